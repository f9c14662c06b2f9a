"""The addresses of releases. Each view says the verb it needs; a test holds every one against the table."""

from django.urls import URLPattern, path
from django.views.generic import RedirectView

app_name = "releases"

urlpatterns: list[URLPattern] = []
