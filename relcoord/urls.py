"""Every address of the site, wiring only."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("releases.urls")),
    path("checklists/", include("checklists.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
