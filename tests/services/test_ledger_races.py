"""Two drivers at once, and a sender killed at the worst moment: real threads, real processes, PostgreSQL, real SMTP."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from releases import ledger, workflow
from releases.models import Release, Reminder
from tests.factories import Cast, ReleaseFactory, fresh, window
from tests.releases.mailing import at
from tests.smtp import Gate, Sink, sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = 4
PATIENCE = 60  # seconds, on a busy machine


@pytest.fixture
def smtp(settings: Any) -> Iterator[Sink]:
    with sink(settings) as server:
        yield server


def at_once(*acts: Callable[[], Any]) -> None:
    """Run `acts` in threads that start together, each with a connection of its own."""
    start, failures = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=10)
            act()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_any_number_of_drivers_send_each_mail_once(smtp: Sink) -> None:
    releases = [ReleaseFactory() for _ in range(3)]
    now = max(at(release, "T-4h") for release in releases)

    at_once(*[lambda: ledger.tick(now)] * DRIVERS)

    sent = Reminder.objects.filter(state="sent")
    assert sent.filter(mark="T-4h").count() == 18
    assert Counter(smtp.ids()) == Counter(sent.values_list("message_id", flat=True)), "each sent row is one mail"
    assert max(Counter(smtp.ids()).values()) == 1
    assert not Reminder.objects.filter(state="sending").exists()


def test_drivers_that_plan_at_once_plan_each_row_once(smtp: Sink) -> None:
    release = ReleaseFactory()
    at_once(*[lambda: ledger.plan(timezone.now())] * DRIVERS)
    rows = Counter(release.reminders.filter(kind="mark").values_list("recipient", "mark"))
    assert len(rows) == 18
    assert set(rows.values()) == {1}


def test_a_release_that_moves_while_drivers_send_ends_with_one_plan(smtp: Sink) -> None:
    release, ada = ReleaseFactory(), Cast().ada
    now = at(release, "T-1d")
    ledger.plan(now)

    at_once(
        lambda: ledger.tick(now),
        lambda: ledger.tick(now),
        lambda: workflow.reschedule(release, window(timedelta(days=9)), by=ada, reason="a holiday"),
    )
    ledger.tick(now)

    version = fresh(release).schedule_version
    rows = release.reminders.filter(kind="mark")
    assert not rows.planned().exclude(schedule_version=version).exists()  # type: ignore[attr-defined]
    assert rows.filter(schedule_version=version, state="planned").count() == 18
    assert max(Counter(smtp.ids()).values()) == 1


def test_a_later_mark_waits_while_an_earlier_one_is_under_way(smtp: Sink) -> None:
    release, gate = ReleaseFactory(), Gate()
    early = at(release, "T-1d") - timedelta(seconds=1)
    ledger.tick(at(release, "T-3d") - timedelta(minutes=1))
    smtp.taken.clear()
    smtp.before_answer = gate.wait
    slow = threading.Thread(target=lambda: (ledger.tick(early), connection.close()))
    slow.start()
    assert gate.reached.wait(timeout=PATIENCE)
    ada = Cast().ada

    later = Reminder.objects.get(mark="T-1d", recipient=ada)
    claimed = ledger.claim(later.pk, early + timedelta(seconds=1))
    gate.opened.set()
    slow.join(timeout=PATIENCE)

    assert claimed is None, "the T-3d mail is under way"
    ledger.tick(early + timedelta(seconds=1))
    order = [subject for subject in smtp.to("Ada") if " T-" in subject]
    assert [subject.split(":")[0].split()[-1] for subject in order] == ["T-3d", "T-1d"]


# A sender that dies


def one_shot(environment: dict[str, str], smtp: Sink) -> subprocess.Popen[bytes]:
    """`manage.py reminders`, as a process of its own."""
    given = environment | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
    return subprocess.Popen([sys.executable, "manage.py", "reminders"], cwd=ROOT, env=given)


@pytest.fixture
def owed(service_environment: dict[str, str]) -> Reminder:
    """One mail that is due now, and nothing else."""
    release: Release = ReleaseFactory()
    workflow.hold(release, "incident elsewhere", by=release.coordinator)  # no marks, whatever the time is
    first = release.reminders.filter(kind="held", recipient__name__startswith="Ben").get()
    Reminder.objects.exclude(pk=first.pk).delete()
    return first


def is_sending(owed: Reminder) -> bool:
    owed.refresh_from_db()
    return owed.state == "sending"


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("moment", "copies"), [("before_rcpt", 1), ("before_answer", 2)], ids=["before hand-over", "before the mark"]
)
def test_a_sender_killed_between_claim_and_mark_loses_nothing(
    moment: str, copies: int, owed: Reminder, smtp: Sink, service_environment: dict[str, str]
) -> None:
    gate = Gate()
    setattr(smtp, moment, gate.wait)
    process = one_shot(service_environment, smtp)
    assert gate.reached.wait(timeout=PATIENCE)
    assert is_sending(owed)
    process.kill()
    process.wait(timeout=PATIENCE)
    gate.opened.set()

    assert ledger.tick() == 0, "its lease is not over, and nobody can tell whether it went out"
    assert is_sending(owed)
    lost = owed.message_id
    Reminder.objects.filter(pk=owed.pk).update(lease_until=timezone.now())  # as two minutes later
    assert one_shot(service_environment, smtp).wait(timeout=PATIENCE) == 0

    owed.refresh_from_db()
    assert (owed.state, owed.message_id) == ("sent", lost)
    assert smtp.ids() == [lost] * copies, "a second copy carries the same Message-ID"


def cut_other_lines() -> None:
    """End every other connection to the test's database, as a PostgreSQL that is killed does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_database_that_is_away_between_hand_over_and_mark_makes_no_second_copy(
    owed: Reminder, smtp: Sink, service_environment: dict[str, str]
) -> None:
    gate = Gate()
    smtp.before_answer = gate.wait
    process = one_shot(service_environment, smtp)
    assert gate.reached.wait(timeout=PATIENCE)
    cut_other_lines()
    gate.opened.set()
    process.wait(timeout=PATIENCE)

    owed.refresh_from_db()
    assert owed.state == "sent"
    assert smtp.ids() == [owed.message_id]


def test_a_sender_stopped_past_its_lease_and_continued_sends_nothing_more(
    owed: Reminder, smtp: Sink, service_environment: dict[str, str]
) -> None:
    """It is stopped between claim and hand-over: there the mail is written, for which it reads who holds what.

    Planning reads that too, and gives up waiting for it.
    """
    url = service_environment["DATABASE_URL"]
    patient = service_environment | {"DATABASE_URL": f"{url}&options=-c%20lock_timeout%3D3s"}
    with psycopg.connect(url) as elsewhere:
        elsewhere.execute("LOCK TABLE releases_assignment IN ACCESS EXCLUSIVE MODE")
        first = one_shot(patient, smtp)
        wait_until(lambda: is_sending(owed))
        first.send_signal(signal.SIGSTOP)
    Reminder.objects.filter(pk=owed.pk).update(lease_until=timezone.now())  # as two minutes later
    assert one_shot(service_environment, smtp).wait(timeout=PATIENCE) == 0
    owed.refresh_from_db()
    assert (owed.state, owed.attempts, smtp.ids()) == ("sent", 2, [owed.message_id])

    first.send_signal(signal.SIGCONT)
    assert first.wait(timeout=PATIENCE) == 0

    assert smtp.ids() == [owed.message_id], "no second send"


def test_the_second_driver_goes_on_until_it_is_told_to_stop(
    owed: Reminder, smtp: Sink, service_environment: dict[str, str]
) -> None:
    given = service_environment | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
    process = subprocess.Popen([sys.executable, "manage.py", "reminders", "--loop"], cwd=ROOT, env=given)
    wait_until(lambda: bool(smtp.taken))
    wait_until(lambda: not is_sending(owed))
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0
    owed.refresh_from_db()
    assert owed.state == "sent"
