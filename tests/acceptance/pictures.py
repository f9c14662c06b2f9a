"""The pictures: the demo's releases, which show every face of the product, minutes after the first start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.journey import Journey

PAGES = (  # name of the picture, who looks, where, what must be there
    ("dashboard", "dana", "/releases/", "Search 9.1"),
    ("release", "ana", "/r/PAY-4.2/", "Backup/snapshot taken"),
    ("decision", "dana", "/r/SRCH-9.1/decision/", "3 of 4 answered"),
    ("decision-wall", "dana", "/r/SRCH-9.1/decision/?wall=1", "QA Lead"),
    ("rollback", "eli", "/r/ID-2.8/rollback/", "Execute rollback"),
    ("reminders", "ana", "/r/PAY-4.2/reminders/", "T-1d"),
    ("my-work", "ana", "/me/", "Payments 4.2"),
    ("people", "ana", "/r/PAY-4.2/people/", "Chloe Martin"),
)
OTHERS = (  # looked at, not pictured
    ("home of a closed release", "ana", "/r/WEB-5.7/", "Closed"),
    ("record of the demo", "ana", "/r/WEB-5.7/record/", "Website"),
    ("events of the demo", "eli", "/r/ID-2.8/events/", "Eli Tanaka"),
    ("schedule", "ana", "/r/PAY-4.2/schedule/", "The plan"),
    ("hold", "ana", "/r/PAY-4.2/hold/", "clock"),
    ("cancel", "ana", "/r/PAY-4.2/cancel/", "Cancel"),
    ("plan a release", "ana", "/releases/new/", "Plan a release"),
    ("settings", "ana", "/settings/", "Time zone"),
    ("outbox", "sam", "/outbox/", "Outbox"),
    ("ended releases of the demo", "ana", "/releases/?which=ended", "Website"),
)


def of_the_demo(journey: Journey) -> None:
    """Look at the pages of the demo's releases, and picture the main ones."""
    with journey.step("the pages of the demo are looked at, in both themes, on a desktop and a phone"):
        for name, who, path, words in PAGES:
            person = journey.people[who].goes(path)
            person.sees(words)
            journey.sight.look(person, name, shot=True)
        for name, who, path, words in OTHERS:
            person = journey.people[who].goes(path)
            person.sees(words)
            journey.sight.look(person, name)
