"""Every program and service of production, killed one by one while people load pages and tick: who notices what?

`python -m tests.reliability.one_by_one [--quick]`: web, the event stream, worker, beat, the second driver, Redis and
PostgreSQL run for real; somebody ticks, somebody looks at pages and somebody listens to the stream. What is killed
starts again after a moment, and nothing else is restarted; before, each program is also stopped in order. In the quick
form two of them are stopped and the others killed. It ends with 1, saying why, when an answer was a fault other than 503,
when a tick that was acknowledged is gone, or when a part was not of use again in time.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from tests import provision
from tests.reliability import chaos
from tests.reliability.kills import BIN, Program
from tests.reliability.watcher import Watcher

Reached = Callable[[], bool]
RECOVERY = 30.0  # seconds
QUICK = "--quick" in sys.argv
STOPPED = {"beat", "reminders"}  # of these, in the quick form
AWAY = 1.0 if QUICK else 1.5  # seconds each stays dead
TICKS_EVERY, LOOKS_EVERY = (0.4, 0.8) if QUICK else (0.1, 0.2)  # seconds; other tests run beside the quick form
TOLD = {"Redis": (200, "Redis does not answer"), "PostgreSQL": (503, "Back in a moment")}  # what pages say meanwhile
MANY = 40  # items to tick, and to take back
LOOK_EVERY = 2  # seconds between the looks of the second driver, here; 30 in production
LOOP = f"""
import django
django.setup()
from django.core.management import execute_from_command_line
from releases.management.commands import reminders
reminders.EVERY = {LOOK_EVERY}
execute_from_command_line(["manage.py", "reminders", "--loop"])
"""


@dataclass
class Load:
    """Somebody who ticks one item after the other and takes them back, and somebody who looks at pages."""

    address: str
    headers: dict[str, str]
    ticks: list[str]
    pages: list[str]
    stopped: threading.Event = field(default_factory=threading.Event)
    answers: Counter[int] = field(default_factory=Counter)  # 0: nobody answered
    acknowledged: int = 0
    taken: dict[str, str] = field(default_factory=dict)  # what each item must be now; not where no answer told
    seen: list[tuple[int, str]] = field(default_factory=list)  # what went wrong, or differed from the usual page
    slowest: float = 0.0

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        data = urllib.parse.urlencode(form).encode() if form else None
        request, began = urllib.request.Request(self.address + path, data, self.headers), time.monotonic()
        try:
            with urllib.request.build_opener(_Stay).open(request, timeout=15) as answer:
                status, text = int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as failure:
            with failure:
                status, text = failure.code, failure.read().decode()
        except (OSError, http.client.HTTPException):
            status, text = 0, ""
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[status] += 1
        if status >= 400 or "Redis does not answer" in text:
            self.seen.append((status, text))
        return status, text

    def tick(self) -> None:
        for to, path in ((to, path) for to in itertools.cycle(("done", "open")) for path in self.ticks):
            if self.stopped.wait(TICKS_EVERY):
                return
            self.taken.pop(path, None)
            if self.ask(path, {"to": to})[0] == 303:
                self.taken[path] = to
                self.acknowledged += 1

    def look(self) -> None:
        while not self.stopped.wait(LOOKS_EVERY):
            for page in self.pages:
                self.ask(page)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@dataclass
class Part:
    """What is killed, what brings it back, and how it is seen to be of use from a moment on."""

    name: str
    kill: Callable[[], None]
    restart: Callable[[], None]
    works: Callable[[], Reached]
    stop: Callable[[], None] | None = None


def main() -> int:
    with chaos.durable_stage() as (environment, services):
        environment = chaos.prepared(environment, "one_by_one")
        wrong = run(environment, services)
    print(*wrong, sep="\n")
    return 1 if wrong else 0


def run(environment: dict[str, str], services: dict[str, provision.Server]) -> list[str]:
    load, watcher = prepare(provision.free_port(), provision.free_port())
    log = Path(environment["VAR_DIR"]) / "programs.log"
    with log.open("w") as output:
        celery = [str(BIN / "celery"), "--app", "relcoord"]
        port = load.address.rsplit(":", 1)[1]
        commands = {
            "web": [
                str(BIN / "gunicorn"),
                "relcoord.wsgi",
                "--bind",
                f"127.0.0.1:{port}",
                "--workers",
                "1",
                "--threads",
                "4",
            ],
            "live": [
                str(BIN / "uvicorn"),
                "relcoord.stream:application",
                "--port",
                str(watcher.port),
                "--timeout-graceful-shutdown",
                "3",
            ],
            "worker": [*celery, "worker", "--concurrency", "1"],
            "beat": [*celery, "beat", "--pidfile=", "--schedule", f"{environment['VAR_DIR']}/schedule"],
            "reminders": [sys.executable, "-c", LOOP],
        }
        programs = {name: Program(command, environment, output) for name, command in commands.items()}
        try:
            wrong = play(load, watcher, programs, services)
        finally:
            load.stopped.set()
            for program in programs.values():
                program.kill()
    return [*wrong, log.read_text()] if wrong else []


def prepare(port: int, live: int) -> tuple[Load, Watcher]:
    from checklists.blueprints import ItemPlan
    from releases.models import Item
    from tests.factories import SMALL, Cast, ReleaseFactory, saved, window
    from tests.reliability.journeys import _signed_in

    first = SMALL.phases[0]
    many = replace(first, items=(*first.items, *(ItemPlan(f"Step {number}") for number in range(MANY))))
    with chaos.at_ease():
        ada = Cast().ada
        seen = ReleaseFactory(key="SEEN", window=window(timedelta(days=2)))
        ticked = ReleaseFactory(
            key="TICKED", version=saved(replace(SMALL, name="Many", phases=(many, *SMALL.phases[1:])))
        )
        steps = Item.objects.filter(phase__release__key="TICKED", title__startswith="Step ").order_by("pk")
        ticks = [f"/r/TICKED/items/{pk}/done/" for pk in steps.values_list("pk", flat=True)]
        headers = _signed_in(ada)
    load = Load(f"http://127.0.0.1:{port}", headers, ticks, ["/releases/", seen.get_absolute_url()])
    return load, Watcher(live, ada.pk, ticked.pk)


def play(
    load: Load, watcher: Watcher, programs: dict[str, Program], services: dict[str, provision.Server]
) -> list[str]:
    def page() -> Reached:
        return lambda: load.ask("/releases/")[0] == 200

    def beats() -> Reached:
        return lambda: programs["beat"].is_running

    of_use = {"web": page, "live": watcher.heard, "worker": heard, "beat": beats, "reminders": looked}
    parts = [
        Part(name, programs[name].kill, programs[name].start, works, programs[name].stop)
        for name, works in of_use.items()
    ]
    started = [(part.name, part.works()) for part in parts]
    for part in parts:
        part.restart()
    watch = functools.partial(watcher.watch, load.stopped)
    threads = [threading.Thread(target=act, daemon=True) for act in (load.tick, load.look, watch)]
    for thread in threads:
        thread.start()
    wrong = [f"{name} did not start" for name, works in started if not soon(works, 60)]
    parts += [Part(name, one.kill, one.start_again, page) for name, one in services.items()]
    for part in parts:
        wrong += disturb(part, load, programs, list(of_use.values()))
    load.stopped.set()
    for thread in threads:
        thread.join(timeout=30)
    print(json.dumps({"answers": load.answers, "ticks": load.acknowledged, "slowest": round(load.slowest, 1)}))
    return wrong + judged(load)


def disturb(part: Part, load: Load, programs: dict[str, Program], of_use: Sequence[Callable[[], Reached]]) -> list[str]:
    """Stop it, kill it, bring it back; it and all others must be of use again in time, without another restart."""
    if part.stop is not None and not QUICK:
        part.stop()
        works = part.works()
        part.restart()
        if not soon(works, RECOVERY):
            return [f"{part.name} was not back {RECOVERY:.0f} s after a stop"]
    before = len(load.seen)
    if QUICK and part.name in STOPPED and part.stop is not None:
        part.stop()
    else:
        part.kill()
    time.sleep(AWAY)
    wrong = []
    if part.name in TOLD and not soon(
        lambda: any(TOLD[part.name] == told(*one) for one in load.seen[before:]), RECOVERY
    ):
        wrong.append(f"while {part.name} was away nobody was told so")
    began, all_of_them = time.monotonic(), [works() for works in of_use]
    part.restart()
    wrong += [f"{name} ended by itself when {part.name} died" for name, one in programs.items() if not one.is_running]
    if not all(soon(works, began + RECOVERY - time.monotonic()) for works in all_of_them):
        wrong.append(f"after {part.name} died not everything was of use again within {RECOVERY:.0f} s")
    print(f"{part.name}: all is well again after {time.monotonic() - began:.1f} s", flush=True)
    return wrong


def told(status: int, text: str) -> tuple[int, str]:
    """The status of an answer, and which of our words it has."""
    return status, next((words for _, words in TOLD.values() if words in text), "")


def judged(load: Load) -> list[str]:
    from releases.models import Item

    wrong = [f"an answer was {status}: {text[:300]}" for status, text in load.seen if status not in (200, 503)]
    wrong += ["a page showed a stack trace" for _, text in load.seen if "Traceback" in text]
    states = Item.objects.filter(phase__release__key="TICKED").values_list("pk", "state")
    kept = {(f"/r/TICKED/items/{pk}/done/", state) for pk, state in states}
    wrong += [f"an acknowledged tick is gone: {path} is not {to}" for path, to in load.taken.items() - kept]
    if load.acknowledged < 20:
        wrong.append(f"only {load.acknowledged} ticks were taken")
    return wrong


def soon(reached: Reached, patience: float) -> bool:
    end = time.monotonic() + patience
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def heard() -> Reached:
    """Has a worker answered a canary sent from now on? One is sent each second, as Redis may be away."""
    began, sent = time.time(), [0.0]

    def answered() -> bool:
        from releases import tasks

        if time.monotonic() - sent[0] > 1:
            sent[0] = time.monotonic()
            try:
                tasks.canary.apply_async(expires=20, retry=False)
            except Exception:  # the broker is away; the next one
                return False
        return heartbeat("worker") > began

    return answered


def looked() -> Reached:
    """Has a driver looked at the ledger from now on?"""
    began = time.time()
    return lambda: heartbeat("reminders") > began


def heartbeat(name: str) -> float:
    from django.db import DatabaseError, InterfaceError, connections

    from releases.models import Heartbeat

    try:
        row = Heartbeat.objects.filter(name=name).first()
    except (DatabaseError, InterfaceError):
        connections.close_all()
        return 0.0
    return row.at.timestamp() if row else 0.0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("LOG_LEVEL", "INFO")
    sys.exit(main())
