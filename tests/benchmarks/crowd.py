"""Many people at once: a mixed load over some minutes, and everybody on one release within ten seconds.

Everything leaves in its time, whether or not the answers before have come. Web server, database, Redis and the load
generator share the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.benchmarks.bench import CSRF
from tests.benchmarks.load import request
from tests.benchmarks.pace import Answer, Client, Shot, fire, quantile
from tests.benchmarks.servers import ROOT, Program, Server

if TYPE_CHECKING:
    from relcoord.models import User
    from releases.models import Item, Release

MIX = {"poll": 70, "page": 15, "tick": 10, "dashboard": 5}  # of a hundred requests
FINE = (200, 204)
SEEN = re.compile(rb'data-live-url="[^"]*token=(\d+)\.\d+')
STATE = re.compile(rb'id="item-(\d+)"[^>]*data-state="(\w+)"')


@dataclass
class Room:
    """A release, and how far those who look at it know it."""

    pk: int
    page: str
    sequence: int


@dataclass
class Person:
    cookie: str
    room: Room
    token: str  # what their page has seen


@dataclass
class Box:
    """An item and who may tick it: done and open again, by turns."""

    pk: int
    room: Room
    cookie: str
    version: int
    done: bool = False
    taken: int = 0  # ticks that were acknowledged

    def draw(self) -> bytes:
        headers = {
            "Cookie": f"{self.cookie}; csrftoken={CSRF}",
            "X-CSRFToken": CSRF,
            "HX-Request": "true",
            "HX-Current-URL": f"http://localhost{self.room.page}",
            "X-Live-Token": f"{self.room.sequence}.{int(time.time() * 1000)}",
        }
        body = f"to={'open' if self.done else 'done'}&v={self.version}"
        return request("POST", f"{self.room.page}items/{self.pk}/done/", headers, body)

    def hear(self, answer: Answer) -> None:
        if answer.status == 200:
            self.taken += 1
            self.version += 1
            self.done = not self.done


@dataclass
class Site:
    """Who is there, and where."""

    people: list[Person]
    rooms: list[Room]
    boxes: list[Box]


def opened(people: int, releases: int, *, name: str = "CROWD", own_items: int = 0) -> Site:
    """So many signed-in people on so many releases of the standard checklist, in preparation."""
    from django.utils import timezone

    from releases import amending
    from tests.benchmarks.fill import session_of
    from tests.factories import Cast, ReleaseFactory, role, standard, window

    cast, on_call = Cast(), role("On-call Engineer")
    crowd = made(people, f"{name} guest")
    nights, leads = made(12, f"{name} night"), [cast.ada, cast.ben, cast.dana, cast.fay]
    site, cookies = Site([], [], []), dict[int, str]()
    for number in range(releases):
        release = ReleaseFactory(
            key=f"{name}-{number}",
            version=standard(),
            window=window(timedelta(days=3, hours=1 + 6 * number)),
            coordinator=leads[number % len(leads)],
            holders=cast.holders() | {on_call: [nights[number % len(nights)]]},
        )
        for extra in range(own_items):
            first = release.phases.order_by("position")[0]
            amending.add_item(first, f"Own check {extra}", by=release.coordinator)
        release.refresh_from_db()
        room = Room(release.pk, release.get_absolute_url(), release.event_sequence)
        site.rooms.append(room)
        for row, by in tickable(release):
            cookie = cookies.setdefault(by.pk, f"sessionid={session_of(by)}")
            site.boxes.append(Box(row.pk, room, cookie, row.version))
    now = int(timezone.now().timestamp() * 1000)
    for number, person in enumerate(crowd):
        room = site.rooms[number % releases]
        site.people.append(Person(f"sessionid={session_of(person)}", room, f"{room.sequence}.{now}"))
    return site


def made(count: int, name: str) -> list[User]:
    """So many people who are signed in already: their password is nobody's business, and hashing it takes long."""
    from relcoord.models import User

    people = [
        User(name=f"{name} {n}", email=f"{name.lower().replace(' ', '-')}{n}@example.org", password="!")
        for n in range(count)
    ]
    return User.objects.bulk_create(people)


def tickable(release: Release) -> list[tuple[Item, User]]:
    """The items a tick alone settles, before the decision, and who may."""
    from releases.models import Item
    from tests.factories import _by_role

    holders = _by_role(release)
    rows = Item.objects.of(release).gate().filter(kind="check", evidence_wanted=False, phase__stage="preparation")
    return [(row, holders.get(row.role_id, release.coordinator)) for row in rows]


def lost(site: Site) -> int:
    """Acknowledged ticks that are not in the history, and those that are there more often than they were made."""
    from collections import Counter

    from releases.models import Event, Item

    keys = [box.pk for box in site.boxes]
    events = Event.objects.filter(object_type="item", object_id__in=[str(pk) for pk in keys])
    written = Counter(events.filter(action__in=("item.done", "item.reopened")).values_list("object_id", flat=True))
    states = dict(Item.objects.filter(pk__in=keys).values_list("pk", "state"))
    wrong = sum(abs(written[str(box.pk)] - box.taken) for box in site.boxes)
    return wrong + sum((states[box.pk] == "done") != box.done for box in site.boxes)


# What is asked


def get(url: str, cookie: str) -> bytes:
    return request("GET", url, {"Cookie": cookie, "Accept-Encoding": "identity"})


async def poll(person: Person, client: Client, planned: float) -> None:
    asked = get(f"{person.room.page}live/?token={person.token}", person.cookie)
    answer = await client.ask("poll", planned, asked)
    if answer.status == 200:
        answer.kind = "poll with news"
        person.token = json.loads(answer.body)["token"]
        person.room.sequence = int(person.token.partition(".")[0])


async def look(person: Person, client: Client, planned: float) -> Answer:
    answer = await client.ask("page", planned, get(person.room.page, person.cookie))
    if seen := SEEN.search(answer.body):
        person.room.sequence = int(seen[1])
    return answer


async def overview(person: Person, client: Client, planned: float) -> None:
    await client.ask("dashboard", planned, get("/releases/", person.cookie))


async def tick(boxes: asyncio.Queue[Box], client: Client, planned: float) -> Answer:
    """The next item nobody is ticking now; it waits for one where all are in hand."""
    box = await boxes.get()
    try:
        answer = await client.ask("tick", planned, box.draw())
        box.hear(answer)
    finally:
        boxes.put_nowait(box)
    return answer


def queue_of(boxes: Sequence[Box], chance: random.Random) -> asyncio.Queue[Box]:
    found: asyncio.Queue[Box] = asyncio.Queue()
    for box in chance.sample(list(boxes), len(boxes)):
        found.put_nowait(box)
    return found


# A mixed load


@dataclass
class Mixed:
    people: int
    releases: int
    rate: float
    seconds: float
    answers: list[Answer]
    lost: int
    cpu: float  # of all processors, the share of web, worker and database
    helper: float = 0.0  # of this, the worker's own

    @property
    def errors(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status not in FINE]

    def rows(self) -> list[tuple[str, str, str]]:
        taken = [answer.seconds for answer in self.answers]
        ticks = sum(answer.kind == "tick" for answer in self.answers)
        title = f"mixed load: {self.people} people, {self.releases} releases, {self.rate:.0f} req/s for {self.seconds:.0f} s"
        found = [
            (f"{title}: errors of {len(self.answers)}", "0", str(len(self.errors))),
            (f"lost or doubled writes of {ticks}", "0", str(self.lost)),
            ("p95", "at most 250 ms", f"{quantile(taken, 0.95):.0f} ms"),
            ("p50, p99", "", f"{quantile(taken, 0.5):.0f} ms, {quantile(taken, 0.99):.0f} ms"),
            (
                "web, database and worker, of all processors (of it the worker)",
                "",
                f"{100 * self.cpu:.0f} % ({100 * self.helper:.0f} %)",
            ),
        ]
        for kind in sorted({answer.kind for answer in self.answers}):
            own = [answer.seconds for answer in self.answers if answer.kind == kind]
            times = ", ".join(f"{quantile(own, share):.0f}" for share in (0.5, 0.95, 0.99))
            found.append((f"{kind}, {len(own)} times: p50, p95, p99 in ms", "", times))
        return found


def mixed(
    web: Server,
    helper: Program,
    *,
    people: int = 500,
    releases: int = 50,
    rate: float = 60,
    seconds: float = 30,
) -> Mixed:
    """Of a hundred requests 70 are polls, 15 pages, 10 ticks and 5 dashboards, in an order that is always the same.

    A poll brings the token of the page's last answer, so most find nothing new; a ticked release brings its ten
    watchers news once. No stream is open: with streams there would be fewer polls. `helper` is the worker, which looks
    at the ledger after each tick.
    """
    chance = random.Random(1)
    site = opened(people, releases)
    boxes = queue_of(site.boxes, chance)
    kinds: dict[str, Callable[[], Callable[[Client, float], Awaitable[object]]]] = {
        "poll": lambda: _by(poll, chance.choice(site.people)),
        "page": lambda: _by(look, chance.choice(site.people)),
        "dashboard": lambda: _by(overview, chance.choice(site.people)),
        "tick": lambda: _by(tick, boxes),
    }
    names = chance.choices(list(MIX), weights=list(MIX.values()), k=int(rate * seconds))
    shots = [Shot(number / rate, kinds[name]()) for number, name in enumerate(names)]
    warm_up(web.port, site)
    used, helped, began = web.cpu(), helper.cpu(), time.monotonic()
    answers = fire(web.port, shots)
    available = (time.monotonic() - began) * (os.cpu_count() or 1)
    own = (helper.cpu() - helped) / available
    cpu = (web.cpu() - used) / available + own
    return Mixed(people, releases, rate, seconds, answers, lost(site), cpu, own)


def _by(
    act: Callable[[Any, Client, float], Awaitable[object]], what: Any
) -> Callable[[Client, float], Awaitable[object]]:
    return lambda client, planned: act(what, client, planned)


def warm_up(port: int, site: Site) -> None:
    """Each page a few times, by each process and thread: what is loaded once is loaded."""
    acts = [act for _ in range(8) for act in (look, overview, poll)]
    answers = fire(port, [Shot(0.05 * n, _by(act, site.people[n % len(site.people)])) for n, act in enumerate(acts)])
    if wrong := [answer for answer in answers if answer.status not in FINE]:
        raise RuntimeError(f"a {wrong[0].kind} was answered {wrong[0].status}: {wrong[0].body[:1500]!r}")


# A herd


@dataclass
class Herd:
    ticks: int
    pages: int
    within: float
    answers: list[Answer] = field(default_factory=list)
    lost: int = 0
    stale: int = 0  # pages asked for after a tick's answer that did not show it
    unseen: int = 0  # ticks a page loaded at the end does not show
    visible: list[float] = field(default_factory=list)  # seconds from a tick's moment until a page with it was there

    def rows(self) -> list[tuple[str, str, str]]:
        title = f"herd: {self.ticks} ticks and {self.pages} pages within {self.within:.0f} s on one release"
        faults = sum(answer.status >= 500 for answer in self.answers)
        others = sum(answer.status not in FINE for answer in self.answers) - faults
        taken = [answer.seconds for answer in self.answers]
        late = max(answer.ended for answer in self.answers) - min(answer.planned for answer in self.answers)
        return [
            (f"{title}: answers 5xx", "0", str(faults)),
            ("other answers than 200, and none at all", "", str(others)),
            ("lost or doubled ticks", "0", str(self.lost)),
            ("pages asked for after a tick's answer that do not show it", "0", str(self.stale)),
            ("ticks a page loaded at the end does not show", "0", str(self.unseen)),
            (
                "from a tick's moment until a page that shows it was there, longest",
                "at most 5 s",
                f"{max(self.visible, default=0):.1f} s",
            ),
            ("the same, p50", "", f"{quantile(self.visible, 0.5) / 1000:.1f} s"),
            ("all answers: p50, p95, the last after", "", f"{_s(taken, 0.5)}, {_s(taken, 0.95)}, {late:.1f} s"),
        ]


def _s(seconds: Sequence[float], share: float) -> str:
    return f"{quantile(seconds, share) / 1000:.2f} s"


def herd(web: Server, *, ticks: int = 200, pages: int = 500, within: float = 10, people: int = 500) -> Herd:
    """The standard checklist and six items of its own; each tick and each page in its moment, evenly spread."""
    chance = random.Random(2)
    site = opened(people, 1, name="HERD", own_items=6)
    boxes, found = queue_of(site.boxes, chance), Herd(ticks, pages, within)
    readers = chance.choices(site.people, k=pages)
    shots = [Shot(within * number / ticks, _by(tick, boxes)) for number in range(ticks)]
    shots += [Shot(within * number / pages, _by(look, person)) for number, person in enumerate(readers)]
    warm_up(web.port, site)
    found.answers = fire(web.port, shots)
    last = fire(web.port, [Shot(0, _by(look, site.people[0]))])[0]
    found.lost = lost(site)
    _seen(found)
    shown = {int(pk): state == b"done" for pk, state in STATE.findall(last.body)}
    found.unseen = sum(shown.get(box.pk) != box.done for box in site.boxes)
    return found


def _seen(found: Herd) -> None:
    """When each tick was to be seen: a page says which event of the release is the last it shows."""
    looks = [(one.began, one.ended, int(seen[1])) for one in _of(found, "page") if (seen := SEEN.search(one.body))]
    for one in _of(found, "tick"):
        sequence = _told(one)
        found.stale += sum(began > one.ended and seen < sequence for began, _, seen in looks)
        if showing := [ended for _, ended, seen in looks if seen >= sequence]:
            found.visible.append(min(showing) - one.planned)


def _of(found: Herd, kind: str) -> list[Answer]:
    return [answer for answer in found.answers if answer.kind == kind and answer.status == 200]


def _told(tick: Answer) -> int:
    """The event up to which a tick's answer brings the page."""
    head = next(line for line in tick.head.split(b"\r\n") if line.lower().startswith(b"hx-trigger:"))
    token: str = json.loads(head.partition(b":")[2])["live:token"]
    return int(token.partition(".")[0])


def collect(environment: Mapping[str, str]) -> None:
    """Style sheets and icons, which pages need."""
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
