"""The pages of the mail that was kept instead of sent, each test named as its rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone

from relcoord.lib import outbox
from releases import ledger, people, workflow
from releases.models import Release
from tests.factories import Cast, ReleaseFactory
from tests.web import markup, signed_in, text


@pytest.fixture(autouse=True)
def kept(settings: Any, tmp_path: Path) -> Path:
    settings.OUTBOX_ENABLED, settings.OUTBOX_DIR = True, tmp_path
    settings.EMAIL_BACKEND = "relcoord.lib.outbox.EmailBackend"
    return tmp_path


@pytest.fixture
def name(release: Release, cast: Cast) -> str:
    """The file name of a mail to Ben."""
    workflow.hold(release, "incident <elsewhere>", by=cast.ada)
    ledger.tick(timezone.now())
    return next(mail.name for mail in outbox.messages() if "Ben" in mail.recipients[0])


def test_mail_is_listed_the_newest_first_and_shown_as_text(name: str, cast: Cast) -> None:
    client = signed_in(cast.cy)
    assert "PAY-4.2 Payments" in text(client.get("/outbox/"))
    page = text(client.get(f"/outbox/{name}/"))
    assert "Why: incident <elsewhere>" in page
    assert "Message-ID: <reminder-" in page


def test_the_html_part_stands_in_a_frame_that_runs_no_script(name: str, cast: Cast) -> None:
    client = signed_in(cast.cy)
    page = client.get(f"/outbox/{name}/")
    assert f'src="/outbox/{name}/html/"' in markup(page)
    assert "style=" not in markup(page).split("<main")[1]
    part = client.get(f"/outbox/{name}/html/")
    policy = part["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert "sandbox" in policy
    assert part["X-Frame-Options"] == "SAMEORIGIN"
    assert '<base target="_blank">' in markup(part)
    assert "incident &lt;elsewhere&gt;" in markup(part)


def test_where_mail_is_sent_there_is_no_outbox(name: str, cast: Cast, settings: Any) -> None:
    settings.OUTBOX_ENABLED = False
    for path in ("/outbox/", f"/outbox/{name}/", f"/outbox/{name}/html/"):
        assert signed_in(cast.sam).get(path).status_code == 404


@pytest.mark.parametrize("wrong", ["nothing.eml", "..%2fsecret_key", "20260101T000000000000-00000000.eml"])
def test_a_name_that_is_no_mail_is_404(wrong: str, cast: Cast) -> None:
    assert signed_in(cast.sam).get(f"/outbox/{wrong}/").status_code == 404


def test_an_invitation_is_for_staff_and_its_addressee_alone(cast: Cast) -> None:
    people.invite("new@example.org", "New Person", by=cast.sam)
    ledger.tick(timezone.now())
    sent = outbox.messages()[0].name
    assert "invites you" in text(signed_in(cast.sam).get("/outbox/"))
    assert "invites you" not in text(signed_in(cast.ada).get("/outbox/"))
    assert signed_in(cast.ada).get(f"/outbox/{sent}/").status_code == 404
    assert signed_in(cast.ada).get(f"/outbox/{sent}/html/").status_code == 404


def test_a_mail_about_a_password_is_for_nobody_besides(cast: Cast) -> None:
    EmailMessage("New password", "the link", to=["Ben <BEN@example.org>"]).send()
    assert "New password" in text(signed_in(cast.ben).get("/outbox/"))
    assert "New password" not in text(signed_in(cast.ada).get("/outbox/"))


def test_mails_about_a_restricted_release_are_for_those_they_went_to(cast: Cast) -> None:
    release = ReleaseFactory(restricted=True, key="SEC-1")
    workflow.hold(release, "a secret", by=cast.ada)
    ledger.tick(timezone.now())
    assert "SEC-1" in text(signed_in(cast.ben).get("/outbox/"))
    assert "SEC-1" not in text(signed_in(cast.cy).get("/outbox/"))
