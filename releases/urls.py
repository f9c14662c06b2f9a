"""The addresses of releases. Each view says the verb it needs; a test holds every one against the table."""

from django.urls import URLPattern, path

from releases.views import dashboard, live, mywork, people, plan, record, release, staff

app_name = "releases"

urlpatterns: list[URLPattern] = [
    # across releases
    path("", dashboard.home, name="home"),
    path("releases/", dashboard.dashboard, name="dashboard"),
    path("releases/new/", plan.create, name="create"),
    path("releases/live/", dashboard.dashboard_live, name="dashboard_live"),
    path("me/", mywork.my_work, name="my_work"),
    path("me/live/", mywork.my_work_live, name="my_work_live"),
    # what staff administer
    path("people/", staff.staff_people, name="people"),
    path("people/invite/", staff.invite, name="invite"),
    path("people/<int:pk>/invite/", staff.invite_again, name="invite_again"),
    path("people/<int:pk>/active/", staff.set_active, name="set_active"),
    path("people/roles/", staff.role_save, name="role_save"),
    path("people/products/", staff.product_save, name="product_save"),
    # the page of a release
    path("r/<str:key>/", release.release_page, name="release"),
    path("r/<str:key>/live/", live.live_news, name="live"),
    path("r/<str:key>/parts/<slug:name>/", live.part, name="part"),
    # the people of a release
    path("r/<str:key>/people/", people.release_people, name="release_people"),
    path("r/<str:key>/people/assign/", people.assign, name="assign"),
    path("r/<str:key>/people/unassign/", people.unassign, name="unassign"),
    path("r/<str:key>/people/paste/", people.paste, name="paste"),
    path("r/<str:key>/people/transfer/", people.transfer, name="transfer"),
    path("r/<str:key>/people/take-over/", people.take_over, name="take_over"),
    # the record and the events
    path("r/<str:key>/record/", record.record, name="record"),
    path("r/<str:key>/record.md", record.record_md, name="record_md"),
    path("r/<str:key>/record.json", record.record_json, name="record_json"),
    path("r/<str:key>/record.csv", record.record_csv, name="record_csv"),
    path("r/<str:key>/verify_record.py", record.verify_script, name="verify_script"),
    path("r/<str:key>/events/", record.events, name="events"),
]
