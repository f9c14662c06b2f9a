"""What people do on the pages, in the steps their hands take: plan, tick, vote, decide, move, roll back, read mail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from playwright.sync_api import Locator, Page, expect

from tests.acceptance.people import PATIENCE, Person

MAIL_PATIENCE = 60  # seconds; what is owed goes out at once, and by the next look at the latest


def in_minutes(minutes: float) -> datetime:
    """A moment so many minutes from now, on a whole minute, as forms take it."""
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)


# Mail


@dataclass(frozen=True)
class Mail:
    to: str
    subject: str
    text: str
    links: list[str]


def reads_mail(person: Person, *, to: str, words: str, subject: str = "") -> Mail:
    """Find, at /outbox/, the newest mail to the address `to` whose text has `words`; wait for it for a minute."""
    end, read = monotonic() + MAIL_PATIENCE, set[str]()
    while True:
        person.goes("/outbox/")
        rows = person.page.locator("tbody tr").filter(has_text=to).filter(has_text=subject)
        for path in rows.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))"):
            if path in read:
                continue
            read.add(path)
            person.goes(path)
            mail = _mail(person.page, to)
            if words.lower() in mail.text.lower():
                return mail
        assert monotonic() < end, (
            f"no mail to {to} says “{words}” within {MAIL_PATIENCE} seconds; {len(read)} were read"
        )
        person.page.wait_for_timeout(1000)


def _mail(page: Page, to: str) -> Mail:
    text = page.locator("pre.mail-text").first
    links = text.locator("a").evaluate_all("links => links.map(link => link.href)")
    return Mail(to, page.locator("h1").inner_text(), " ".join(text.inner_text().split()), links)


# Planning


def plans(
    person: Person,
    key: str,
    title: str,
    *,
    checklist: str,
    t_zero: datetime,
    people: Mapping[str, Sequence[str]] | None,
) -> None:
    """Fill in and send the form that plans a release; `people` are names by role, None takes those of the last one."""
    person.goes("/releases/new/")
    person.page.get_by_label("Key", exact=True).fill(key)
    person.page.get_by_label("Title", exact=True).fill(title)
    person.page.get_by_label("Product").first.fill(title.split(maxsplit=1)[0])
    says_window(person.page.locator("#when"), t_zero)
    with person.page.expect_response(lambda answer: "do=roles" in (answer.request.post_data or "")):
        person.page.get_by_label("Checklist", exact=True).select_option(label=checklist)
    person.waits_for_the_page()
    if people is None:
        person.presses("Take the last release’s people")
        person.sees("These are the people of the last release")
    for role, names in (people or {}).items():
        block = person.page.locator(".role").filter(has=person.page.locator("label", has_text=role))
        for place, name in enumerate(names):
            if place:
                block.get_by_role("button", name="Another").click()
            select = block.locator("select").nth(place)
            option = select.locator("option").filter(has_text=name).first
            select.select_option(value=option.get_attribute("value"))
    person.page.locator("button#plan").click()
    person.page.wait_for_url(f"**/r/{key}/")
    person.sees(key, title, "is planned")


def says_window(form: Locator, t_zero: datetime, *, ends: str = "2 h") -> None:
    """Fill in the four fields of a window, in UTC."""
    form.get_by_label(re.compile("^Day of T-0")).fill(f"{t_zero:%Y-%m-%d}")
    form.get_by_label("T-0", exact=True).fill(f"{t_zero:%H:%M}")
    form.get_by_label("Window ends").fill(ends)
    form.get_by_label("Time zone").fill("UTC")


# Items


def row(person: Person, title: str, phase: str = "") -> Locator:
    """The row of an item on the release's page, unfolded as a hand would."""
    phases = person.page.locator("details.phase")
    section = phases.filter(has=person.page.get_by_role("heading", name=phase)) if phase else phases
    found = section.locator("li.row[id^=item-]").filter(
        has=person.page.locator(".row-title", has_text=re.compile(f"^{re.escape(title)}$"))
    )
    expect(found, f"rows called {title}").to_have_count(1, timeout=PATIENCE)
    fold = found.locator("xpath=ancestor::details[contains(concat(' ', @class, ' '), ' phase ')]")
    if fold.get_attribute("open") is None:
        fold.locator("summary").first.click()
    return found


def ticks(person: Person, key: str, *titles: str, phase: str = "") -> None:
    """Open the release's page and mark each item done by its own button."""
    person.goes(f"/r/{key}/")
    for title in titles:
        item = row(person, title, phase)
        item.get_by_role("button", name="Done").click()
        is_now(item, "done")


def ticks_for_another(person: Person, key: str, title: str, reason: str, phase: str = "") -> None:
    """Tick what somebody else holds: the row asks why."""
    person.goes(f"/r/{key}/")
    item = row(person, title, phase)
    item.get_by_role("button", name="Done for").click()
    item.get_by_label(re.compile("tick it for them")).fill(reason)
    item.get_by_role("button", name="Mark done").click()
    is_now(item, "done")
    expect(item).to_contain_text(reason)


def ticks_with_evidence(person: Person, key: str, title: str, proof: str, words: str = "") -> None:
    """Tick what wants evidence: the row asks for it, one press saves both."""
    person.goes(f"/r/{key}/")
    item = row(person, title)
    item.get_by_role("button", name="Done").click()
    item.get_by_label(re.compile("Link or note")).fill(proof)
    if words:
        item.get_by_label(re.compile("Words for the link")).fill(words)
    item.get_by_role("button", name="Save and mark done").click()
    is_now(item, "done")
    expect(item).to_contain_text(words or proof)


def answers(person: Person, key: str, title: str, choice: str, reason: str, becomes: str, phase: str = "") -> None:
    """Choose a line of an item's menu ("Mark blocked…") and give its reason."""
    person.goes(f"/r/{key}/")
    item = row(person, title, phase)
    chooses(item, choice)
    item.locator("textarea").first.fill(reason)
    item.locator("form.act-form").get_by_role("button").first.click()
    is_now(item, becomes)
    if becomes != "open":
        expect(item).to_contain_text(reason)


def chooses(item: Locator, choice: str) -> None:
    item.locator("details.row-menu > summary").click()
    item.get_by_role("link", name=re.compile(choice)).click()


def is_now(item: Locator, state: str) -> None:
    expect(item).to_have_attribute("data-state", state, timeout=PATIENCE)


# Go/no-go


def opens_poll(person: Person, key: str, round_: int) -> None:
    person.goes(f"/r/{key}/decision/")
    person.presses("Open the poll")
    person.sees(f"Poll, round {round_}")


def votes(person: Person, key: str, choice: str, statement: str, *, role: str = "") -> None:
    """Answer for one's seat (`role`, for those who hold several)."""
    person.goes(f"/r/{key}/decision/")
    panel = person.page.locator("#ballots section.panel").filter(has_text=f"as {role}" if role else "Your answer").first
    panel.locator("label.choice").filter(has_text=re.compile(f"^\\s*{choice}\\s*$")).click()
    panel.get_by_label(re.compile("^Statement")).fill(statement)
    panel.get_by_role("button", name=re.compile("Answer the poll|Change answer")).click()
    expect(person.page.locator("#toasts")).to_contain_text(f"{choice} as")
    person.sees(statement, where="#poll")


def records_spoken(person: Person, key: str, who: str, choice: str, statement: str) -> None:
    """Take down what a holder said in the meeting."""
    person.goes(f"/r/{key}/decision/")
    box = person.page.locator("#spoken")
    box.locator("summary").click()
    voices = box.get_by_label("Who spoke")
    value = voices.locator("option").filter(has_text=who).first.get_attribute("value")
    voices.select_option(value=value)
    box.get_by_label(choice, exact=True).check()
    box.get_by_label(re.compile("^Statement")).fill(statement)
    box.get_by_role("button", name="Record what they said").click()
    person.sees(who, statement, "spoken, recorded by", where="#poll")


def decides_go(person: Person, key: str, rationale: str) -> None:
    person.goes(f"/r/{key}/decision/")
    form = person.page.locator("#decide")
    form.locator("label.choice").filter(has_text=re.compile(r"^\s*GO")).click()
    form.locator("#id_rationale").fill(rationale)
    person.confirms(person.page.locator("#record-go"))
    person.sees("GO is recorded", rationale)


@dataclass(frozen=True)
class Follow:
    """An action item as somebody types it."""

    title: str
    owner: str
    due: datetime


def decides_no_go(person: Person, key: str, reasons: str, follow: Sequence[Follow], t_zero: datetime) -> None:
    """Reasons, action items and the new T-0, in the one form."""
    person.goes(f"/r/{key}/decision/")
    form = person.page.locator("#decide")
    form.locator("label.choice").filter(has_text=re.compile(r"^\s*NO-GO")).click()
    form.locator("#id_rationale").fill(reasons)
    for line, entry in zip(form.locator(".follow-ups > li").filter(visible=True).all(), follow, strict=False):
        line.get_by_label("What has to happen").fill(entry.title)
        line.get_by_label("Owner").fill(entry.owner)
        line.get_by_label("Due").fill(f"{entry.due:%Y-%m-%dT%H:%M}")
    form.get_by_label(re.compile("^A new T-0")).check()
    says_window(form.locator(".unfold.if-new"), t_zero)
    person.confirms(person.page.locator("#record-no-go"))
    person.sees("NO-GO is recorded")


# The rest of a release's life


def moves(person: Person, key: str, t_zero: datetime, reason: str) -> Locator:
    """Ask what a new T-0 would do; returns the preview. `confirm_move` does it."""
    person.goes(f"/r/{key}/schedule/")
    form = person.page.locator("#reschedule form")
    says_window(form, t_zero)
    form.get_by_label(re.compile("^Why it moves")).fill(reason)
    form.get_by_role("button", name="Look at what moves").click()
    preview = person.page.locator(".preview")
    expect(preview).to_be_visible()
    return preview


def starts(person: Person, key: str, override: str = "") -> None:
    person.goes(f"/r/{key}/start/")
    if override:
        person.page.get_by_label(re.compile("^Why it starts")).fill(override)
    person.confirms(person.page.locator("#start"))
    person.page.wait_for_url(f"**/r/{key}/")
    person.sees(f"The deployment of {key} has started")


def takes_step(person: Person, title: str, note: str, *, button: str = "Done, next step") -> None:
    """Settle the current step of a running rollback, which has to be `title`."""
    expect(person.page.locator("#step h2")).to_have_text(title, timeout=PATIENCE)
    person.page.locator("#step").get_by_label(re.compile("^Note")).fill(note)
    person.page.locator("#step").get_by_role("button", name=button).click()
