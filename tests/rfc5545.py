"""A strict reader of calendars, written from RFC 5545, 5546 and 6868 and sharing nothing with what writes them.

It refuses what a lenient program would let pass: bare line feeds, lines over 75 octets, unescaped commas and semicolons,
local times, a property that is missing or comes twice. `Diary` is a calendar program as iTIP wants it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

LINE = re.compile(r'(?P<name>[A-Z0-9-]+)(?P<params>(?:;[A-Z0-9-]+=(?:"[^"]*"|[^";:,]*))*):(?P<value>.*)', re.DOTALL)
PARAM = re.compile(r';(?P<name>[A-Z0-9-]+)=(?:"(?P<quoted>[^"]*)"|(?P<plain>[^";:,]*))')
TEXT = re.compile(r"(?:[^\\,;]|\\[\\,;nN])*")
TEXTS = {"SUMMARY", "DESCRIPTION", "UID", "PRODID", "NAME", "X-WR-CALNAME", "CALSCALE", "VERSION", "STATUS", "TRANSP"}
MOMENTS = {"DTSTART", "DTEND", "DTSTAMP"}
ONCE = {
    "UID",
    "DTSTAMP",
    "DTSTART",
    "DTEND",
    "SEQUENCE",
    "STATUS",
    "SUMMARY",
    "DESCRIPTION",
    "ORGANIZER",
    "URL",
    "CLASS",
}


class NotACalendar(AssertionError):
    """The text breaks a rule of the standard."""


def must(holds: object, words: object) -> None:
    if not holds:
        raise NotACalendar(words)


@dataclass
class Component:
    name: str
    lines: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    inside: list[Component] = field(default_factory=list)

    def get(self, name: str) -> Any:
        return next((value for known, _, value in self.lines if known == name), None)

    def params(self, name: str) -> dict[str, str]:
        return next(params for known, params, _ in self.lines if known == name)

    def __getattr__(self, name: str) -> Any:
        return self.get(name.upper())


def read(text: bytes) -> Component:
    """The calendar of `text`. Raises NotACalendar."""
    must(text.endswith(b"\r\n"), "it ends within a line")
    must(not re.search(rb"(?<!\r)\n|\r(?!\n)", text), "a line ends in something else than CRLF")
    folded = text[:-2].split(b"\r\n")
    for line in folded:
        must(0 < len(line) <= 75, f"{len(line)} octets: {line!r}")
        line.decode()  # a fold within a character would not pass
    unfolded = text[:-2].replace(b"\r\n ", b"").decode().split("\r\n")
    top = Component("")
    within = [top]
    for line in unfolded:
        must(not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", line), f"control character: {line!r}")
        found = LINE.fullmatch(line)
        must(found, f"no content line: {line!r}")
        name, value = found["name"], found["value"]  # type: ignore[index]
        if name == "BEGIN":
            within[-1].inside.append(Component(value))
            within.append(within[-1].inside[-1])
        elif name == "END":
            must(within.pop().name == value, f"END:{value} where it did not begin")
        else:
            params = {p["name"]: _caret(p["quoted"] or p["plain"] or "") for p in PARAM.finditer(found["params"])}  # type: ignore[index]
            within[-1].lines.append((name, params, _value(name, params, value)))
    must(within == [top] and len(top.inside) == 1, "not one whole calendar")
    return _checked(top.inside[0])


def _caret(text: str) -> str:
    """RFC 6868."""
    return re.sub(r"\^[n'^]", lambda found: {"^n": "\n", "^'": '"', "^^": "^"}[found[0]], text)


def _value(name: str, params: dict[str, str], value: str) -> Any:
    if name in MOMENTS:
        must(not params and re.fullmatch(r"\d{8}T\d{6}Z", value), f"no instant: {name} {params} {value}")
        return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if name == "SEQUENCE":
        return int(value)
    if name in TEXTS:
        must(TEXT.fullmatch(value), f"not escaped: {value!r}")
        return re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)
    return value


def _checked(calendar: Component) -> Component:
    must(calendar.name == "VCALENDAR" and calendar.version == "2.0" and calendar.prodid, "no VCALENDAR 2.0")
    names = [name for name, _, _ in calendar.lines]
    must(len(names) == len(set(names)), f"twice: {names}")
    for event in calendar.inside:
        names = [name for name, _, _ in event.lines]
        must(event.name == "VEVENT" and {"UID", "DTSTAMP", "DTSTART"} <= set(names), f"no event: {names}")
        must(not [name for name in ONCE if names.count(name) > 1], f"twice: {names}")
        must(event.dtend is None or event.dtend > event.dtstart, "it ends before it begins")
        must(event.status in ("TENTATIVE", "CONFIRMED", "CANCELLED"), event.status)
    uids = [event.uid for event in calendar.inside]
    must(len(uids) == len(set(uids)), f"one UID twice: {uids}")
    if calendar.method in ("REQUEST", "CANCEL"):
        must(len(uids) == 1, "iTIP: one UID a part")
        must(calendar.inside[0].organizer and calendar.inside[0].attendee, "iTIP: organizer and attendee")
        must(
            (calendar.method == "CANCEL") == (calendar.inside[0].status == "CANCELLED"), "iTIP: the status of a CANCEL"
        )
    return calendar


def of_mail(message: Any) -> list[Component]:
    """The calendars a mail carries, as its bytes on the wire have them; the one programs act on first."""
    parsed = message_from_bytes(message.message().as_bytes(linesep="\r\n"), policy=policy.default)
    parts = [part for part in parsed.walk() if part.get_content_type() == "text/calendar"]
    found = []
    for part in parts:
        content = part.get_payload(decode=True)
        calendar = read(re.sub(rb"\r?\n", b"\r\n", content))
        must(part["Content-Type"].params["method"] == calendar.method, "the method of the part is another")
        must(part["Content-Type"].params["charset"].lower() == "utf-8", part["Content-Type"])
        found.append(calendar)
    dispositions = [part.get_content_disposition() for part in parts]
    must(dispositions == [None, *["attachment"] * (len(parts) - 1)][: len(parts)], dispositions)
    return found


class Diary:
    """What is in somebody's calendar after the mails they got, by the rules of RFC 5546."""

    def __init__(self) -> None:
        self.entries: dict[str, Component] = {}

    def take(self, *messages: Any) -> Diary:
        for message in messages:
            for calendar in of_mail(message):
                event = calendar.inside[0]
                known = self.entries.get(event.uid)
                if known is None or (event.sequence, event.dtstamp) >= (known.sequence, known.dtstamp):
                    self.entries[event.uid] = event
        return self

    def of(self, name: str) -> Component:
        """The one entry whose UID begins with `name`."""
        (found,) = [event for uid, event in self.entries.items() if uid.startswith(name)]
        return found
