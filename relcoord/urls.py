"""Every address of the site, wiring only."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from relcoord import views
from releases.views import account, calendar, guide, probes

handler400 = views.bad_request
handler500 = views.server_error

urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.figures, name="metrics"),
    path("", include("releases.urls")),
    path("help/", guide.help_page, name="help"),
    path("settings/", account.settings_page, name="settings"),
    path("settings/away/", account.absence_add, name="absence_add"),
    path("settings/away/<int:pk>/end/", account.absence_end, name="absence_end"),
    path("settings/mails/", account.mails_choose, name="mails_choose"),
    path("settings/calendar/", calendar.reset, name="calendar_reset"),
    path("cal/<str:token>.ics", calendar.feed_text, name="calendar_feed"),
    path("unsubscribe/<str:token>/", account.unsubscribe, name="unsubscribe"),
    path("welcome/<str:token>/", account.welcome, name="invitation"),
    path("outbox/", views.outbox_list, name="outbox"),
    path("outbox/<str:name>/", views.outbox_message, name="outbox_message"),
    path("outbox/<str:name>/html/", views.outbox_html, name="outbox_html"),
    path("checklists/", include("checklists.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
