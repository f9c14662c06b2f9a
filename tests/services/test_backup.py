"""The restore drill: a site is filled, kept, and restored elsewhere; what went out before never goes out again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from relcoord.models import User
from releases import backup, ledger, workflow
from releases.models import Reminder, Status
from tests.factories import ReleaseFactory, bring_to, fresh, window
from tests.smtp import Sink, sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

ROOT = Path(__file__).resolve().parents[2]
A_SITE = """
import django, sys
django.setup()
from django.conf import settings
from django.core.management import call_command
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the others take their time
call_command("migrate", verbosity=0)
call_command("import_checklist", "checklists/standard.md")
call_command("demo")
call_command("reminders")
call_command("backup", sys.argv[1])
"""


def everything() -> dict[str, list[dict[str, Any]]]:
    return {model._meta.db_table: list(model._base_manager.order_by("pk").values()) for model in backup.tables()}


def owed(row: dict[str, Any]) -> tuple[Any, ...]:
    """Which mail a row is, whatever its number."""
    return tuple(row[name] for name in ("kind", "release_id", "recipient_id", "about", "mark", "schedule_version"))


@pytest.fixture
def another_database(transactional_db: None) -> Iterator[str]:
    """On the same server, migrated and empty: a copy of this one as long as that is."""
    here = connection.settings_dict["NAME"]
    place = {key.lower(): connection.settings_dict[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    connection.close()
    with psycopg.connect(dbname="postgres", autocommit=True, **{k: v for k, v in place.items() if v}) as server:
        server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [here])
        server.execute(f'DROP DATABASE IF EXISTS "{here}_elsewhere"')
        server.execute(f'CREATE DATABASE "{here}_elsewhere" TEMPLATE "{here}"')
        yield f"{here}_elsewhere"
        server.execute(f'DROP DATABASE "{here}_elsewhere" WITH (FORCE)')


@contextmanager
def working_on(name: str) -> Iterator[None]:
    here = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = here


@pytest.fixture
def smtp(settings: Any) -> Iterator[Sink]:
    with sink(settings) as server:
        yield server


def test_the_drill(another_database: str, smtp: Sink, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = bring_to(ReleaseFactory(), Status.CLOSED)
    running = ReleaseFactory(window=window(timedelta(days=2)))  # T-3d is behind us, T-1d is to come
    workflow.hold(running, "incident elsewhere", by=running.coordinator)
    workflow.resume(running, by=running.coordinator, window=window(timedelta(days=2)), reason="solved")
    sent_here = ledger.tick()
    assert sent_here == len(smtp.taken) > 12
    workflow.reschedule(running, window(timedelta(days=2, hours=1)), by=running.coordinator, reason="a train is late")
    file = tmp_path / "site.zip"
    call_command("backup", str(file))
    before = everything()
    old = {row["id"] for row in before["releases_reminder"] if row["state"] == "sent"}
    assert ledger.tick() > 0, "the old site goes on"
    sent_since = {owed(row) for row in Reminder.objects.filter(state="sent").exclude(pk__in=old).values()}
    ids = smtp.ids()

    with working_on(another_database):
        call_command("restore", str(file))
        unlike = {name for name, rows in everything().items() if rows != before[name]}
        assert unlike == {"releases_reminder"}, "held back; row by row equal but for these"
        then = {row["id"]: row for row in before["releases_reminder"]}
        found = {row["id"]: row for row in everything()["releases_reminder"]}
        moves = {(row["state"], found[pk]["state"]) for pk, row in then.items() if row != found[pk]}
        assert moves == {("planned", "suppressed")}
        held = {owed(row) for row in found.values() if row["reason"].startswith("restored from a backup of ")}
        assert sent_since <= held, "what the old site sent since, planned by then or not"
        call_command("verify_audit")
        assert ledger.tick() == 0
        assert smtp.ids() == ids, "nothing went out again"
        assert running.reminders.filter(state="planned", mark="T-1d").exists(), "and what is to come will"
        reader = Client()
        reader.force_login(
            User.objects.get(pk=closed.coordinator_id), backend="django.contrib.auth.backends.ModelBackend"
        )
        pages = [
            "/releases/",
            reverse("releases:my_work"),
            closed.get_absolute_url(),
            fresh(running).get_absolute_url(),
        ]
        assert {page: reader.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
        born = ReleaseFactory()
        assert born.pk > running.pk, "numbers go on"
        _move_from_embedded(tmp_path, smtp)
    assert "All 2 chains hold" in capsys.readouterr().out


def _move_from_embedded(tmp_path: Path, smtp: Sink) -> None:
    """A site on SQLite, stopped, goes on here; what it owed is sent here, once."""
    bare = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "relcoord.settings", "VAR_DIR": str(tmp_path / "var")}
    file = tmp_path / "embedded.zip"
    made = subprocess.run(
        [sys.executable, "-c", A_SITE, str(file)], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "var" / "outbox").iterdir())) > 0
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        told = {name: archive.read(f"tables/{name}.jsonl").splitlines() for name in manifest["tables"]}

    call_command("restore", str(file), "--replace", "--send-what-is-due")
    assert manifest["database"] == "sqlite"
    assert sum(len(rows) for rows in told.values()) > 500
    assert {name: len(rows) for name, rows in everything().items()} == {name: len(rows) for name, rows in told.items()}
    first = {name: [json.loads(line) for line in lines] for name, lines in told.items()}
    again = json.loads(json.dumps(everything(), default=lambda value: value.isoformat()))
    assert again == first, "row by row equal, to the microsecond"
    call_command("verify_audit")
    smtp.taken.clear()
    due = Reminder.objects.filter(state="planned", due_at__lte=timezone.now()).count()
    assert ledger.tick() == due == 0, "the old site had sent all of it"
    late = Reminder.objects.planned().earliest("due_at")
    Reminder.objects.filter(pk=late.pk).update(due_at=timezone.now(), not_after=timezone.now() + timedelta(hours=1))
    ledger.tick()
    assert Counter(smtp.ids()) == Counter([Reminder.objects.get(pk=late.pk).message_id])
