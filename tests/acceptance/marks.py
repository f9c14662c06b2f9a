"""The marks for real: `dev.py run`, the real clock, three releases whose T-3d, T-1d and T-4h come two minutes later.

    python -m tests.acceptance.marks

People plan three releases from the standard checklist in real Chromium, with T-0 in 3 days, 1 day and 4 hours, each
and 2 minutes, and settle some items. Every mail of the mark has then to be in the outbox within 60 seconds of it, to
those who have something open and to nobody else, with what is open and nothing else, in both parts. What is expected
is written by hand below. Prints a line for each mail; ends with 0 only when all of it held. It takes five minutes.
"""

from __future__ import annotations

import email
import email.policy
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html import unescape
from pathlib import Path

from tests.acceptance import hands, server
from tests.acceptance.people import People, chromium_browser

STANDARD = "Release Coordination Checklist"
PATIENCE = timedelta(seconds=60)  # from the mark until the mail is in the outbox
AHEAD = timedelta(minutes=2)
PEOPLE = {
    "Project Manager": ["Dana Ruiz"],
    "QA Lead": ["Chloe Martin"],
    "Developers": ["Ben Osei", "Gita Rao"],  # no item of the standard checklist is theirs
    "Risk Champion": ["Fay Lindqvist"],
    "On-call Engineer": ["Eli Tanaka"],
}
ANA_T_3D = ["CI/CD passing", "Release notes drafted", "Deployment plan reviewed", "Smoke tests prepared"]
ANA_T_1D = ["Deploy to staging", "Performance verified", "Security scan reviewed", "Rollback plan tested"]
BALLOT = "your GO or NO-GO"


@dataclass(frozen=True)
class Case:
    """A release whose `mark` comes in two minutes; who then gets what. A ballot is a line of its own."""

    key: str
    mark: str
    before: timedelta
    settled: dict[str, list[str]]  # by whom, before the mark
    expected: dict[str, list[str]]  # open items by person


CASES = (
    Case(
        "MARK-3D",
        "T-3d",
        timedelta(days=3),
        settled={},
        expected={
            "ana": ["All PRs merged", *ANA_T_3D, "Backup/snapshot taken"],
            "chloe": ["Acceptance criteria validated"],
            "dana": ["Stakeholder notification sent"],
        },
    ),
    Case(
        "MARK-1D",
        "T-1d",
        timedelta(days=1),
        settled={"ana": ["All PRs merged"], "chloe": ["Acceptance criteria validated"]},
        expected={
            "ana": [*ANA_T_3D, "Backup/snapshot taken", *ANA_T_1D],
            "chloe": ["Run smoke tests", "QA sign-off obtained"],
            "dana": ["Stakeholder notification sent"],  # late by then
        },
    ),
    Case(
        "MARK-4H",
        "T-4h",
        timedelta(hours=4),
        settled={
            "chloe": ["Acceptance criteria validated", "Run smoke tests", "QA sign-off obtained"],
            "eli": ["Confirm on-call coverage"],
            "dana": ["Stakeholder notification sent"],
        },
        expected={
            "ana": ["All PRs merged", *ANA_T_3D, "Backup/snapshot taken", *ANA_T_1D, BALLOT],
            "chloe": [BALLOT],
            "dana": ["Communication plan ready", BALLOT],
            "fay": ["Assess risks", BALLOT],
        },
    ),
)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="relcoord-marks-") as folder:
        var = Path(folder) / "var"
        with server.running(var) as site, chromium_browser() as browser:
            people = People(browser, site)
            planned = [(case, plan(people, case)) for case in CASES]
            wrong = [words for case, mark in planned for words in watch(var / "outbox", case, mark)]
            wrong += people.problems
            people.leave()
    print(*wrong or ["every mail came in time, to the right people, with what was open and nothing else"], sep="\n")
    return 1 if wrong else 0


def plan(people: People, case: Case) -> datetime:
    """Plan the release and settle what is settled before its mark; returns the moment of the mark, in UTC."""
    mark = whole_minute(datetime.now(UTC) + AHEAD)
    hands.plans(
        people["ana"],
        case.key,
        f"Marks {case.mark}",
        checklist=STANDARD,
        t_zero=mark + case.before,
        people=PEOPLE,
    )
    for handle, titles in case.settled.items():
        for title in titles:
            hands.ticks(people[handle], case.key, title, phase="Staging Deployment" if "smoke" in title else "")
    late = datetime.now(UTC) - mark
    assert late < timedelta(0), f"{case.key} was not ready when its mark came, {late} ago"
    print(f"{case.key} is planned; {case.mark} is at {mark:%H:%M:%S} UTC", flush=True)
    return mark


def whole_minute(moment: datetime) -> datetime:
    """The next one, as forms take it."""
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


# Looking


@dataclass(frozen=True)
class Kept:
    """A mail as the outbox keeps it."""

    at: datetime  # when it was there
    to: str  # the part before the @
    items: list[str]
    items_of_html: list[str]


def watch(outbox: Path, case: Case, mark: datetime) -> list[str]:
    """Wait until a minute after the mark; say what of the mails is wrong."""
    wait_until(mark + PATIENCE)
    mails = kept(outbox, f"{case.key} {case.mark}:")
    wrong = [f"{case.key}: {handle} got no {case.mark} mail" for handle in case.expected if handle not in names(mails)]
    for mail in mails:
        lag = mail.at - mark
        print(
            f"{case.key} {case.mark} {mail.to:6} {lag.total_seconds():5.1f} s after the mark, {len(mail.items)} asked"
        )
        said = f"{case.key}: the {case.mark} mail to {mail.to}"
        if not timedelta(0) <= lag <= PATIENCE:
            wrong.append(f"{said} came {lag.total_seconds():.0f} s after the mark")
        for part, items in (("text", mail.items), ("HTML", mail.items_of_html)):
            if sorted(items) != sorted(case.expected.get(mail.to, [])):
                wrong.append(f"{said} asks in its {part} for {items}, expected {case.expected.get(mail.to, [])}")
    if len(names(mails)) != len(mails):
        wrong.append(f"{case.key}: somebody got two {case.mark} mails: {sorted(mail.to for mail in mails)}")
    return wrong


def names(mails: list[Kept]) -> set[str]:
    return {mail.to for mail in mails}


def kept(outbox: Path, subject: str) -> list[Kept]:
    mails = [(path, email.message_from_bytes(path.read_bytes(), policy=email.policy.default)) for path in files(outbox)]
    return [read(path, message) for path, message in mails if str(message["Subject"]).startswith(subject)]


def files(outbox: Path) -> list[Path]:
    return sorted(outbox.glob("*.eml"))


def read(path: Path, message: EmailMessage) -> Kept:
    text, html = (body(message, kind) for kind in ("plain", "html"))
    ballots = [BALLOT] if re.search(r"^Your ballot:", text, re.MULTILINE) else []
    ballots_of_html = [BALLOT] if "Your ballot." in html else []
    return Kept(
        at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        to=str(message["To"]).split("@")[0].rpartition("<")[2],
        items=re.findall(r"^  \[ \] (.+?)(?:   .*|, .*)?$", text, re.MULTILINE) + ballots,
        items_of_html=[unescape(title) for title in TITLE.findall(html)] + ballots_of_html,
    )


TITLE = re.compile(r'href="[^"]*/items/\d+/"[^>]*>([^<]+)<')


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    assert part is not None, f"no {kind} part in {message['Subject']}"
    return str(part.get_content())


def wait_until(moment: datetime, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    while (left := (moment - now()).total_seconds()) > 0:
        time.sleep(min(left, 5))


if __name__ == "__main__":
    sys.exit(main())
