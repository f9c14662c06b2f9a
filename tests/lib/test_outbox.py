"""Mail that is kept instead of sent."""

from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection

from relcoord.lib import outbox


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.OUTBOX_DIR = tmp_path / "outbox"
    return tmp_path / "outbox"


def post(subject: str = "T-1d: 2 open items für PAY-1.4", **options: Any) -> int | None:
    mail = EmailMultiAlternatives(subject, "Still yours: naïve test\n", "Relcoord <r@example.com>", ["ada@example.com"])
    mail.attach_alternative("<p>Still <b>yours</b></p>", "text/html")
    for name, value in options.items():
        setattr(mail, name, value)
    return get_connection("relcoord.lib.outbox.EmailBackend").send_messages([mail])


def test_a_kept_mail_reads_as_it_was_written(folder: Path) -> None:
    assert post(cc=["ben@example.com"], extra_headers={"Message-ID": "<reminder-7@example.com>"}) == 1

    [mail] = outbox.messages()
    assert mail == outbox.read(mail.name)
    assert mail.subject == "T-1d: 2 open items für PAY-1.4"
    assert mail.recipients == ("ada@example.com", "ben@example.com")
    assert mail.text.strip() == "Still yours: naïve test"
    assert mail.html.strip() == "<p>Still <b>yours</b></p>"
    assert ("Message-ID", "<reminder-7@example.com>") in mail.headers
    assert abs(datetime.now(UTC) - mail.sent_at) < timedelta(minutes=1)


def test_the_newest_mail_comes_first_and_old_ones_are_left_out(folder: Path) -> None:
    for number in range(3):
        post(f"mail {number}")
    assert [mail.subject for mail in outbox.messages(limit=2)] == ["mail 2", "mail 1"]


def test_a_mail_to_nobody_is_not_kept(folder: Path) -> None:
    assert post(to=[]) == 0
    assert outbox.messages() == []


@pytest.mark.parametrize("name", ["../secret_key", "/etc/passwd", "", "20260101T000000000000-00000000.eml"])
def test_no_name_leads_out_of_the_outbox(folder: Path, name: str) -> None:
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        outbox.read(name)


def test_a_half_written_mail_is_never_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outbox.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        post()
    assert outbox.messages() == []


def test_a_mail_without_a_readable_date_has_the_date_of_its_file(folder: Path) -> None:
    folder.mkdir()
    message = Message()
    message["Subject"] = "bare"
    message["Date"] = "yesterday, I think"
    (folder / "20260329T083000000000-0123abcd.eml").write_bytes(message.as_bytes())
    [mail] = outbox.messages()
    assert mail.sent_at == datetime(2026, 3, 29, 8, 30, tzinfo=UTC)
    assert (mail.text, mail.html) == ("", "")
