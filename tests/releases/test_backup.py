"""Backup and restore on whichever database this round has: what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from releases import backup, ledger, workflow
from releases.models import Event, Item, Reminder
from releases.models.guard import guards_stand, lift_guards, put_back_guards
from tests.factories import ReleaseFactory, window

pytestmark = pytest.mark.django_db(transaction=True)


def everything() -> dict[str, list[dict[str, Any]]]:
    return {model._meta.db_table: list(model._base_manager.order_by("pk").values()) for model in backup.tables()}


def changed(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """A copy of the archive with other members, well formed."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    copy = path.with_name("changed.zip")
    with zipfile.ZipFile(copy, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return copy


def with_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    def edit(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        change(manifest)
        members["manifest.json"] = json.dumps(manifest).encode()

    return changed(path, edit)


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("restore", str(path), *options)
    said = str(refused.value)
    assert said.endswith("Nothing was changed."), said
    assert "\n" not in said
    return said


def test_a_backup_is_kept_whole_or_refused_in_a_sentence_and_replaces_only_when_told(
    tmp_path: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    (settings.MEDIA_ROOT / "proof").mkdir(parents=True)
    (settings.MEDIA_ROOT / "proof" / "run 1.png").write_bytes(b"\x89PNG")
    release = ReleaseFactory()
    workflow.hold(release, "incident elsewhere ✓", by=release.coordinator)
    path = tmp_path / "site.zip"
    call_command("backup", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [name.name for name in tmp_path.iterdir() if "site.zip" in name.name] == ["site.zip"], "no draft is left"
    assert " 1 releases, " in capsys.readouterr().err
    before = everything()
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(path))

    # What is refused, each with its reason
    assert "is not empty: " in refusal(path)
    whole = path.read_bytes()
    broken = tmp_path / "broken.zip"
    for content in (b"", b"nothing of the kind", whole[:-200], whole[: len(whole) // 2]):
        broken.write_bytes(content)
        assert "no backup of relcoord, or it was cut off" in refusal(broken, "--replace")
    middle = whole.index(b"tables/releases_item.jsonl") + 400
    broken.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    assert "cannot be restored" in refusal(broken, "--replace")
    newer = with_manifest(path, lambda manifest: manifest["migrations"].append("releases.0999_dreams"))
    assert "newer relcoord (1.0.0): this one does not know releases.0999_dreams" in refusal(newer, "--replace")
    older = with_manifest(path, lambda manifest: manifest["migrations"].remove("checklists.0003_editors_group"))
    assert "checklists.0003_editors_group changes rows" in refusal(older, "--replace")
    assert "its format is 7" in refusal(with_manifest(path, lambda manifest: manifest.update(format=7)), "--replace")
    gone = with_manifest(path, lambda manifest: manifest["tables"]["releases_hold"]["columns"].append("mood"))
    assert "no releases_hold.mood any more" in refusal(gone, "--replace")
    fewer = changed(
        path, lambda members: members.update({"tables/releases_note.jsonl": b"", "tables/releases_hold.jsonl": b""})
    )
    assert "releases_hold has 0 rows where 1 were written" in refusal(fewer, "--replace")

    def forge(members: dict[str, bytes]) -> None:
        members["tables/releases_event.jsonl"] = members["tables/releases_event.jsonl"].replace(
            b"incident", b"accident"
        )

    assert release.key in refusal(changed(path, forge), "--replace")
    outside = changed(path, lambda members: members.update({"media/../../escaped": b"x"}))
    assert "outside of the media folder" in refusal(outside, "--replace")
    assert everything() == before
    assert guards_stand()

    # Then it is replaced: what came later goes, files come back, new rows get new numbers
    ReleaseFactory()
    (settings.MEDIA_ROOT / "proof" / "run 1.png").unlink()
    call_command("restore", str(path), "--replace", "--send-what-is-due")
    assert everything() == before
    assert (settings.MEDIA_ROOT / "proof" / "run 1.png").read_bytes() == b"\x89PNG"
    assert [found.name for found in settings.MEDIA_ROOT.iterdir()] == ["proof"]
    assert guards_stand()
    last = Item.objects.latest("pk").pk
    assert ReleaseFactory().pk > release.pk
    assert Item.objects.latest("pk").pk > last
    # A broken history is better than none, when that is said
    lift_guards()
    Event.objects.filter(action="release.held").update(actor="Nobody")
    put_back_guards()
    stream = io.BytesIO()
    backup.take(stream)
    with pytest.raises(backup.Refused, match="--despite-findings"):
        backup.restore(stream, replace=True)
    assert len(backup.restore(stream, replace=True, despite_findings=True).findings) == 1


def test_after_a_restore_nothing_leaves_that_may_have_left_before(mailoutbox: list[Any]) -> None:
    release = ReleaseFactory()
    ledger.plan(timezone.now())
    workflow.hold(release, "incident elsewhere", by=release.coordinator)
    on_its_way, due, *_ = release.reminders.filter(kind="held")
    assert ledger.claim(on_its_way.pk, timezone.now()) is not None
    unplanned = ReleaseFactory(
        window=window(timedelta(days=2))
    )  # the old site planned and sent its marks after the backup
    stream = io.BytesIO()
    backup.take(stream)

    outcome = backup.restore(stream, replace=True)
    Reminder.objects.filter(state="sending").update(lease_until=timezone.now())  # as two minutes later
    assert ledger.tick() == 0
    assert mailoutbox == []
    held = Reminder.objects.filter(state="suppressed", reason__startswith="restored from a backup of ")
    assert outcome.held == held.count() > 0
    assert {on_its_way.pk, due.pk} <= set(held.values_list("pk", flat=True))
    assert unplanned.reminders.filter(state="planned", mark="T-1d").exists(), "what comes later is still owed"

    backup.restore(stream, replace=True, send_what_is_due=True)
    Reminder.objects.filter(state="sending").update(lease_until=timezone.now())  # as two minutes later
    ledger.tick()
    sent = Reminder.objects.filter(kind="held", state="sent")
    assert set(sent.values_list("pk", flat=True)) >= {on_its_way.pk, due.pk}
    assert (
        len(mailoutbox)
        == len({mail.extra_headers["Message-ID"] for mail in mailoutbox})
        == Reminder.objects.filter(state="sent").count()
    )
