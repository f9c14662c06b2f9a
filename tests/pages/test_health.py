"""Probes, metrics, the doctor and what an operator sees of them, each test named as its rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relcoord.lib import logs
from releases import doctor, health, reminders, tasks
from releases.models import Heartbeat, Release, Reminder
from releases.models.guard import lift_guards, put_back_guards
from tests.factories import Cast
from tests.provision import free_port
from tests.smtp import Sink, sink
from tests.web import signed_in, text

pytestmark = [pytest.mark.django_db, pytest.mark.real_clock]  # the doctor compares clocks

TOKEN = "for-the-tests-of-metrics-" + "0123456789abcdefghijklmnopqrstuvwxyz"
SECRETS = re.compile(r"postgres|redis://|127\.0\.0\.1|localhost|Error|Traceback|password|/tmp|refused", re.IGNORECASE)


def alive(**ages: float) -> None:
    """Everything at work; `reminders=130` and `worker=130` make that heartbeat so many seconds old."""
    now = timezone.now()
    reminders.beat(now - timedelta(seconds=ages.get("reminders", 0)))
    health.note_worker(now - timedelta(seconds=ages.get("worker", 0)))
    cache.delete("heartbeat")


def ready(client: Client | None = None) -> tuple[int, dict[str, str], dict[str, str]]:
    """/readyz: its status, the state of each check, what each says."""
    answer = (client or Client()).get("/readyz")
    checks = answer.json()["checks"]
    assert answer.json()["ready"] is (answer.status_code == 200)
    assert SECRETS.search(answer.content.decode().replace("Redis", "")) is None
    states = {name: check["state"] for name, check in checks.items()}
    return answer.status_code, states, {name: check["says"] for name, check in checks.items()}


def failing() -> set[str]:
    status, states, _ = ready()
    found = {name for name, state in states.items() if state == "fail"}
    assert status == (503 if found else 200)
    return found


@pytest.fixture
def gone(settings: Any) -> Iterator[None]:
    """The database cannot be reached."""
    broken = connections.create_connection("default")
    broken.settings_dict = connection.settings_dict | {"HOST": "127.0.0.1", "PORT": str(free_port())}
    kept, connections["default"] = connections["default"], broken
    yield
    connections["default"] = kept


# Probes


def test_a_process_that_answers_is_alive_without_asking_the_database(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = Client().get("/livez")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]
    assert answer.cookies == {}


def test_all_is_ready_when_everything_was_at_work_within_two_minutes() -> None:
    alive(reminders=110, worker=110)
    status, states, _ = ready()
    assert status == 200
    assert states == dict.fromkeys(
        ("database", "migrations", "queue", "scheduler", "worker", "reminders", "delivery"), "ok"
    )


@pytest.mark.parametrize("name", ["reminders", "worker"])
@pytest.mark.parametrize("age", [120, 100_000, -130])
def test_a_heartbeat_of_two_minutes_is_too_old_and_one_from_the_future_is_none(name: str, age: int) -> None:
    alive(**{name: age})
    assert failing() == {{"reminders": "scheduler"}.get(name, name)}


def test_what_never_was_at_work_is_not_ready() -> None:
    assert failing() == {"scheduler", "worker"}


def test_a_worker_that_takes_the_canary_is_heard_again() -> None:
    alive(worker=500)
    assert failing() == {"worker"}
    tasks.canary.apply()
    assert failing() == set()


def test_beat_sends_the_canary_each_minute_and_one_that_nobody_took_is_forgotten_before_the_next(settings: Any) -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["canary"]
    assert entry["task"] == tasks.canary.name
    assert entry["options"]["expires"] < entry["schedule"] == 60


def test_a_mail_left_lying_for_two_minutes_is_told_and_one_put_off_by_the_server_is_a_warning(
    release: Release, cast: Cast
) -> None:
    now = timezone.now()
    Reminder.objects.all().delete()
    alive()
    row = Reminder.objects.owe("held", [cast.ben], now=now - timedelta(seconds=100), release=release, reason="x")[0]
    assert failing() == set(), "a driver is about to look"
    rows = Reminder.objects.filter(pk=row.pk)
    rows.update(due_at=now - timedelta(seconds=125))
    assert failing() == {"reminders"}
    rows.update(next_attempt_at=now + timedelta(minutes=4))
    assert ready()[1]["reminders"] == "warn"
    rows.update(next_attempt_at=None, state="sending", lease_token="x", lease_until=now + timedelta(seconds=60))
    assert failing() == set(), "somebody has it in hand"
    rows.update(lease_until=now - timedelta(seconds=1))
    assert failing() == {"reminders"}


def test_a_mail_server_that_takes_nothing_is_a_warning_and_after_two_minutes_a_failure() -> None:
    alive()
    reminders.note_server(timezone.now() - timedelta(seconds=60), "connection refused by mail.internal")
    assert ready()[1]["delivery"] == "warn"
    reminders.note_server(timezone.now(), "")
    reminders.note_server(timezone.now() - timedelta(seconds=130), "connection refused by mail.internal")
    assert failing() == {"delivery"}
    assert "mail.internal" not in str(ready()), "what the server says is not for strangers"


def test_a_step_the_ledger_could_not_take_is_a_warning() -> None:
    alive()
    reminders.beat(timezone.now(), ["plan"])
    assert ready()[2]["scheduler"].endswith("could not plan")
    assert failing() == set()


def test_redis_away_alone_is_a_warning_also_for_the_worker_who_cannot_hear(settings: Any) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    alive(worker=500)
    status, states, says = ready()
    assert (status, states["queue"], states["worker"]) == (200, "warn", "warn")
    assert says["queue"] == "Redis does not answer: pages are slower and not live, workers hear nothing"
    alive(reminders=130, worker=500)
    assert failing() == {"scheduler", "worker"}, "now nobody sends mails"


def test_a_migration_that_is_missing_fails_and_a_newer_schema_does_not() -> None:
    alive()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('releases', '9999_new', now())")
        assert failing() == set()
        cursor.execute("DELETE FROM django_migrations WHERE app = 'releases' AND name = '0001_initial'")
    assert failing() == {"migrations"}
    assert ready()[2]["migrations"] == "1 is not applied"


def test_a_database_that_is_away_is_503_and_a_word(gone: None) -> None:
    status, states, says = ready()
    assert (status, states["database"], says["database"]) == (503, "fail", "does not answer")
    assert Client().get("/livez").status_code == 200


def test_a_database_that_stops_answering_half_way_is_503_too() -> None:
    alive()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE releases_heartbeat RENAME TO heartbeats_elsewhere")
        cursor.execute("SAVEPOINT before")
    assert failing() == {"ledger"}
    connection.cursor().execute("ROLLBACK TO before")


def test_probes_come_by_address_without_tls_session_or_log_in(settings: Any) -> None:
    """As from within a container of the production site."""
    settings.ALLOWED_HOSTS = ["releases.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.METRICS_TOKEN = True, TOKEN
    alive()
    inside = Client(headers={"Host": "10.0.0.7:8000"})
    for path in ("/livez", "/readyz", "/metrics"):
        answer = inside.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200, path
        assert answer.cookies == {}
        assert "no-store" in answer["Cache-Control"]
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert inside.post(path).status_code == 405
        assert inside.head(path, headers={"Authorization": f"Bearer {TOKEN}"}).content == b""
    assert inside.get("/accounts/login/").status_code == 400, "pages still know their name"
    assert inside.get("/livez/").status_code in {301, 400}, "and so does everything that is no probe"


# Metrics

SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([a-z_]+)"\})? (\+Inf|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)')


def parsed(body: str) -> dict[str, dict[str, float]]:
    """The text format, strictly: HELP and TYPE once each before a metric's samples, each sample once, a last newline."""
    assert body.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    helped, current = "", ""
    for line in body[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped, words = line[7:].split(" ", 1)
            assert words.strip()
            assert "\\" not in words
            assert helped not in found
        elif line.startswith("# TYPE "):
            current, kind = line[7:].split(" ")
            assert current == helped
            assert kind == "gauge"
            found[current] = {}
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, label, word, value = match.groups()
            assert name == current
            assert (word or "") not in found[name]
            found[name][word or ""] = math.inf if value == "+Inf" else float(value)
            assert (label is None) == (word is None)
    assert all(found.values())
    return found


def metrics(settings: Any) -> dict[str, dict[str, float]]:
    settings.METRICS_TOKEN = TOKEN
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.content.decode())


def test_metrics_are_for_who_says_the_token_and_without_that_setting_for_nobody(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    for said in ("Bearer ", "Bearer", "", f"Bearer {TOKEN}"):
        assert Client().get("/metrics", headers={"Authorization": said}).status_code == 404
    settings.METRICS_TOKEN = TOKEN
    for said in ("", f"Bearer {TOKEN[:-1]}", f"bearer {TOKEN}x", "Bearer", "Bearer ü", TOKEN):
        answer = Client().get("/metrics", headers={"Authorization": said})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
        assert "relcoord_" not in answer.content.decode()


def test_metrics_say_what_is_there(settings: Any, release: Release, cast: Cast) -> None:
    now = timezone.now()
    Reminder.objects.all().delete()
    with time_machine.travel(now, tick=False):
        alive(reminders=7, worker=41)
        owed = Reminder.objects.owe(
            "held", [cast.ben, cast.gus], now=now - timedelta(seconds=90), release=release, reason="x"
        )
        Reminder.objects.filter(pk=owed[0].pk).update(state="failed", reason="550")
        reminders.note_server(now - timedelta(seconds=33), "no route")
        found = metrics(settings)
    assert found["relcoord_scheduler_age_seconds"][""] == pytest.approx(7)
    assert found["relcoord_worker_canary_age_seconds"][""] == pytest.approx(41)
    assert found["relcoord_mail_server_failing_seconds"][""] == pytest.approx(33)
    assert found["relcoord_reminders_oldest_due_seconds"][""] == pytest.approx(90)
    assert found["relcoord_reminders_due"][""] == 1
    assert found["relcoord_reminders"] == dict.fromkeys(Reminder.State.values, 0) | {"planned": 1, "failed": 1}
    assert found["relcoord_releases"]["preparing"] == 1
    assert sum(found["relcoord_releases"].values()) == 1
    assert found["relcoord_users"][""] == len(Cast.NAMES)
    assert found["relcoord_redis_up"][""] == 1


def test_what_never_happened_is_later_than_any_limit(settings: Any) -> None:
    found = metrics(settings)
    assert found["relcoord_scheduler_age_seconds"][""] == math.inf
    assert found["relcoord_worker_canary_age_seconds"][""] == math.inf
    assert found["relcoord_reminders_oldest_due_seconds"][""] == 0


def test_probes_cost_the_same_however_much_there_is(settings: Any, release: Release) -> None:
    alive()
    settings.METRICS_TOKEN = TOKEN
    costs = {}
    for path in ("/readyz", "/metrics"):
        with CaptureQueriesContext(connection) as asked:
            Client().get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        costs[path] = len(asked)
    assert costs["/readyz"] <= 8
    assert costs["/metrics"] <= 5


# The doctor


def examined(**options: Any) -> tuple[int, dict[str, tuple[str, str]]]:
    """How many checks fail, and each check's state and whole line."""
    out, failed = StringIO(), 0
    try:
        call_command("doctor", stdout=out, no_color=True, **options)
    except CommandError as refusal:
        failed = int(str(refusal).split()[0])
    lines = re.findall(r"^(ok|WARN|FAIL) +([^:]+): (.+)$", out.getvalue(), re.MULTILINE)
    assert len(lines) == len(out.getvalue().splitlines()), out.getvalue()
    found = {name: (state, words) for state, name, words in lines}
    assert failed == sum(state == "FAIL" for state, _ in found.values())
    return failed, found


@pytest.fixture
def mailed(settings: Any) -> Iterator[Any]:
    settings.OUTBOX_ENABLED = False
    with sink(settings) as server:
        yield server


def test_a_healthy_site_has_a_line_a_part_and_no_mail_is_sent(mailed: Any) -> None:
    alive()
    failed, found = examined()
    assert failed == 0
    assert {name: state for name, (state, _) in found.items() if state != "ok"} == {}
    parts = {"database", "migrations", "history", "queue", "scheduler", "worker", "reminders", "delivery", "clock"}
    assert found.keys() == parts | {"clock of Redis", "mail server", "site", "secret key", "disk", "time zones"}
    assert re.match(r"answers \(PostgreSQL \d+", found["database"][1])
    assert mailed.taken == []
    assert mailed.connections == 1


def test_the_doctor_mails_only_when_asked_and_says_what_the_server_said(mailed: Any) -> None:
    alive()
    assert examined(mail_to="ops@example.org")[1]["test mail"][0] == "ok"
    assert [str(mail["Subject"]) for mail in mailed.taken] == ["relcoord: a test mail"]
    mailed.rcpt["nobody@example.org"] = "550 no such mailbox"
    failed, found = examined(mail_to="nobody@example.org")
    assert failed == 1
    assert "550 no such mailbox" in found["test mail"][1]
    with pytest.raises(CommandError, match="is no mail address"):
        call_command("doctor", mail_to="ops@example.org\nBcc: all@example.org")


def test_a_dead_mail_server_and_an_old_heartbeat_are_told_with_what_to_do(settings: Any, mailed: Any) -> None:
    alive(worker=3600)
    settings.EMAIL_PORT = free_port()
    failed, found = examined()
    assert failed == 2
    assert found["mail server"][1].endswith("Check scheme, host and port in EMAIL_URL.")
    assert "answered the canary 3600 s (1 h) ago" in found["worker"][1]
    assert "Start beat and a worker" in found["worker"][1]


def test_a_mail_server_that_knows_no_such_log_in_is_told(settings: Any) -> None:
    settings.OUTBOX_ENABLED = False
    port = free_port()
    strict = Controller(
        Sink(port), hostname="127.0.0.1", port=port, auth_require_tls=False, ready_timeout=30,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
    )  # fmt: skip
    strict.start()
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = doctor.SMTP, "127.0.0.1", port
    settings.EMAIL_USE_TLS, settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = False, "relcoord", "wrong"
    try:
        found = doctor.mail_server()
    finally:
        strict.stop()
    assert (found.level, found.words) == ("FAIL", "does not let us in")
    assert found.detail.startswith("535") or "535" in found.detail


def test_the_doctor_goes_on_without_a_database(mailed: Any, gone: None) -> None:
    failed, found = examined()
    assert failed == 1
    assert found["database"][0] == "FAIL"
    assert "check DATABASE_URL" in found["database"][1]
    assert {"queue", "mail server", "disk"} <= found.keys()


def test_work_that_piles_up_is_told_and_excuses_no_worker(mailed: Any) -> None:
    alive(worker=500)
    with health.redis_client() as queue:
        queue.rpush("celery", *range(doctor.PILE + 1))
        failed, found = examined()
        queue.delete("celery")
    assert found["queue"] == ("WARN", "101 tasks wait. No worker takes them: start one, or restart it.")
    assert (failed, found["worker"][0]) == (1, "FAIL")


def test_triggers_that_were_removed_are_found() -> None:
    lift_guards()
    assert doctor.triggers().level == "FAIL"
    put_back_guards()
    assert doctor.triggers().level == "ok"


@pytest.mark.parametrize(("seconds", "level"), [(0, "ok"), (30, "WARN"), (-30, "WARN"), (90, "FAIL"), (-90, "FAIL")])
def test_clocks_that_differ_are_told(seconds: int, level: str) -> None:
    with time_machine.travel(timezone.now() + timedelta(seconds=seconds)):
        assert doctor.clock_of_the_database().level == level
        assert doctor.clock_of_redis().level == level


@pytest.mark.parametrize(
    ("changed", "level", "said"),
    [
        ({}, "WARN", "BEHIND_PROXY"),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, "ok", "names it"),
        ({"ALLOWED_HOSTS": ["other.example.com"]}, "FAIL", "does not name releases.example.com"),
        ({"SITE_URL": "http://releases.example.com", "HTTPS": False}, "WARN", "no TLS"),
        ({"DEBUG": True, "EMBEDDED": False}, "FAIL", "DEBUG"),
    ],
)
def test_an_address_that_cannot_work_is_told(settings: Any, changed: dict[str, Any], level: str, said: str) -> None:
    given = {"SITE_URL": "https://releases.example.com", "HTTPS": True, "ALLOWED_HOSTS": ["releases.example.com"]}
    for name, value in (given | changed).items():
        setattr(settings, name, value)
    found = doctor.site()
    assert (found.level, said in found.words) == (level, True)


def test_a_weak_key_a_full_disk_and_an_unknown_zone_are_told(
    settings: Any, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_KEY = "a" * 60
    assert doctor.secret_key().level == "FAIL"
    monkeypatch.setattr(doctor, "LITTLE", 2**62)
    assert doctor.disk().level == "WARN"
    monkeypatch.setattr(doctor, "NOTHING", 2**61)
    assert doctor.disk().level == "FAIL"
    Release.objects.filter(pk=release.pk).update(time_zone="Mars/Olympus")
    assert "Mars/Olympus" in doctor.time_zones().words


def test_the_doctor_speaks_json(mailed: Any) -> None:
    alive()
    out = StringIO()
    call_command("doctor", json=True, stdout=out)
    found = json.loads(out.getvalue())
    assert {entry["check"]: entry["state"] for entry in found}["database"] == "ok"


# Pages


def test_staff_and_coordinators_are_told_that_the_worker_is_silent_and_others_are_not(
    release: Release, cast: Cast
) -> None:
    said = "The worker has not answered since"
    alive(worker=130)
    page = f"/r/{release.key}/reminders/"
    assert text(signed_in(cast.ada).get(page)).count(said) == 1, "the coordinator, with the reminders"
    assert said not in text(signed_in(cast.ada).get("/releases/"))
    assert text(signed_in(cast.sam).get(page)).count(said) == 1, "staff, on every page, once"
    assert said in text(signed_in(cast.sam).get("/releases/"))
    assert said not in text(signed_in(cast.ben).get(page))
    assert "the worker answered 2 min ago" in text(signed_in(cast.ben).get(page))
    alive(worker=110)
    assert said not in text(signed_in(cast.sam).get(page))
    alive(worker=130, reminders=130)
    for reader in (cast.sam, cast.ada):
        late = text(signed_in(reader).get(page))
        assert "Reminders are late" in late
        assert said not in late, "one banner for one trouble, and no driver sends"


# Logs


def test_a_request_s_lines_say_who_asked_what_and_the_answer_carries_the_id(
    release: Release, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(logs.JsonFormatter())
    caplog.set_level("INFO", "relcoord.access")
    answer = signed_in(cast.ben).get(f"/r/{release.key}/?secret=1", headers={"X-Request-ID": "edge-0042:7"})
    assert answer["X-Request-ID"] == "edge-0042:7"
    line = json.loads(caplog.text.splitlines()[-1])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("ms") >= 0
    assert line.pop("message").startswith(f"GET /r/{release.key}/ 200")
    assert line == {
        "level": "INFO",
        "logger": "relcoord.access",
        "method": "GET",
        "path": f"/r/{release.key}/",
        "status": 200,
        "request_id": "edge-0042:7",
        "release": release.key,
        "user_id": cast.ben.pk,
    }


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "new\nline-in-it", 'quote"in-it', "späte-kennung"])
def test_an_id_that_is_none_is_replaced(given: str) -> None:
    made = logs.request_id(given)
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_probes_write_no_line_each_time_and_a_failing_one_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    alive()
    Client().get("/livez")
    Client().get("/readyz")
    assert caplog.text == ""
    alive(worker=500)
    Client().get("/readyz")
    assert "GET /readyz 503" in caplog.text


def test_heartbeats_are_rows_and_need_no_migration() -> None:
    alive()
    assert set(Heartbeat.objects.values_list("name", flat=True)) == {"reminders", "worker"}
