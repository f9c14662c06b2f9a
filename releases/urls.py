"""The addresses of releases. Each view says the verb it needs; a test holds every one against the table."""

from django.urls import URLPattern, path

from releases.views import (
    dashboard,
    gonogo,
    items,
    lifecycle,
    listing,
    live,
    mywork,
    people,
    plan,
    record,
    release,
    reminders,
    rollback,
    schedule,
    staff,
)

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
    path("r/<str:key>/notes/", release.note, name="note"),
    path("r/<str:key>/edit/", release.edit, name="edit"),
    path("r/<str:key>/status.txt", release.status_text, name="status_text"),
    # its items
    path("r/<str:key>/items/add/", listing.item_add, name="item_add"),
    path("r/<str:key>/items/give/", listing.items_give, name="items_give"),
    path("r/<str:key>/items/<int:pk>/", items.item_show, name="item"),
    path("r/<str:key>/items/<int:pk>/done/", items.item_done, name="item_done"),
    path("r/<str:key>/items/<int:pk>/block/", items.item_block, name="item_block"),
    path("r/<str:key>/items/<int:pk>/not-applicable/", items.item_not_applicable, name="item_not_applicable"),
    path("r/<str:key>/items/<int:pk>/waive/", items.item_waive, name="item_waive"),
    path("r/<str:key>/items/<int:pk>/reopen/", items.item_reopen, name="item_reopen"),
    path("r/<str:key>/items/<int:pk>/evidence/", items.item_evidence, name="item_evidence"),
    path("r/<str:key>/items/<int:pk>/note/", items.item_note, name="item_note"),
    path("r/<str:key>/items/<int:pk>/watch/", items.item_watch_end, name="item_watch_end"),
    path("r/<str:key>/items/<int:pk>/edit/", listing.item_edit, name="item_edit"),
    path("r/<str:key>/items/<int:pk>/move/", listing.item_move, name="item_move"),
    path("r/<str:key>/items/<int:pk>/due/", listing.item_due, name="item_due"),
    # the go/no-go room
    path("r/<str:key>/decision/", gonogo.decision, name="decision"),
    path("r/<str:key>/decision/actions/", gonogo.action_add, name="action_add"),
    path("r/<str:key>/decision/actions/<int:pk>/", gonogo.action_settle, name="action_settle"),
    path("r/<str:key>/decision/ballots/<int:pk>/", gonogo.ballot, name="ballot"),
    path("r/<str:key>/decision/decide/", gonogo.decide, name="decide"),
    path("r/<str:key>/decision/open/", gonogo.poll_open, name="poll_open"),
    path("r/<str:key>/decision/part/<str:name>/", gonogo.decision_part, name="decision_part"),
    path("r/<str:key>/decision/spoken/", gonogo.ballot_spoken, name="ballot_spoken"),
    path("r/<str:key>/decision/withdraw-go/", gonogo.go_withdraw, name="go_withdraw"),
    path("r/<str:key>/decision/withdraw-poll/", gonogo.poll_withdraw, name="poll_withdraw"),
    # the schedule and the life of a release
    path("r/<str:key>/schedule/", schedule.schedule, name="schedule"),
    path("r/<str:key>/schedule/move/", schedule.reschedule, name="reschedule"),
    path("r/<str:key>/hold/", schedule.hold, name="hold"),
    path("r/<str:key>/resume/", schedule.resume, name="resume"),
    path("r/<str:key>/cancel/", schedule.cancel, name="cancel"),
    path("r/<str:key>/start/", lifecycle.start, name="start"),
    path("r/<str:key>/finish/", lifecycle.finish, name="finish"),
    path("r/<str:key>/close/", lifecycle.close, name="close"),
    # the rollback
    path("r/<str:key>/rollback/", rollback.rollback_page, name="rollback"),
    path("r/<str:key>/rollback/start/", rollback.rollback_trigger, name="rollback_trigger"),
    path("r/<str:key>/rollback/part/<str:name>/", rollback.rollback_part, name="rollback_part"),
    path("r/<str:key>/rollback/<int:number>/assess/", rollback.rollback_assess, name="rollback_assess"),
    path("r/<str:key>/rollback/<int:number>/charge/", rollback.rollback_charge, name="rollback_charge"),
    path("r/<str:key>/rollback/<int:number>/finish/", rollback.rollback_finish, name="rollback_finish"),
    path("r/<str:key>/rollback/<int:number>/log/", rollback.rollback_log, name="rollback_log"),
    path("r/<str:key>/rollback/<int:number>/promise/", rollback.rollback_promise, name="rollback_promise"),
    path("r/<str:key>/rollback/<int:number>/steps/<int:pk>/", rollback.rollback_step, name="rollback_step"),
    # the people of a release
    path("r/<str:key>/people/", people.release_people, name="release_people"),
    path("r/<str:key>/people/assign/", people.assign, name="assign"),
    path("r/<str:key>/people/unassign/", people.unassign, name="unassign"),
    path("r/<str:key>/people/paste/", people.paste, name="paste"),
    path("r/<str:key>/people/transfer/", people.transfer, name="transfer"),
    path("r/<str:key>/people/take-over/", people.take_over, name="take_over"),
    # the ledger of mails
    path("r/<str:key>/reminders/", reminders.reminders_page, name="reminders"),
    path("r/<str:key>/reminders/<int:pk>/send/", reminders.send_now, name="send_now"),
    # the record and the events
    path("r/<str:key>/record/", record.record, name="record"),
    path("r/<str:key>/record.md", record.record_md, name="record_md"),
    path("r/<str:key>/record.json", record.record_json, name="record_json"),
    path("r/<str:key>/record.csv", record.record_csv, name="record_csv"),
    path("r/<str:key>/verify_record.py", record.verify_script, name="verify_script"),
    path("r/<str:key>/events/", record.events, name="events"),
]
