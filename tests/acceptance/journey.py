"""The journey: people in real browsers take three releases from a new checklist to their ends, through the pages alone.

    python -m tests.acceptance.journey [--shots docs/shots] [--quick]

Starts `dev.py run` over an empty folder, signs each person in with the log-ins it prints, and asserts at every step
what the pages show. JRNY-1 gets a NO-GO, then a GO, is watched for a real minute and closed, and its exported record
is verified against the head hash in the closing mail. JRNY-2 is rolled back; JRNY-3 loses its GO and is rescheduled.
Each page met on the way is checked (`sight`). Prints a line for each step, then one for each page; ends with 0 only
when all of it held. `--quick` is the short form that runs as a test.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from tests.acceptance import server
from tests.acceptance.people import People, chromium_browser
from tests.acceptance.sight import Sight


class Journey:
    """The stage of the story: the site, its people, what was looked at, how long each step took."""

    def __init__(
        self, browser: Browser, site: server.Running, *, shots: Path | None = None, examine: bool = True
    ) -> None:
        self.site = site
        self.people = People(browser, site)
        self.sight = Sight(shots, examine=examine)
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.times.append((words, time.monotonic() - began))
        print(f"{self.times[-1][1]:6.1f} s  {words}", flush=True)

    def tells_where_it_failed(self) -> None:
        """Say where everybody is, and keep a picture of what they see."""
        folder = Path(tempfile.mkdtemp(prefix="relcoord-journey-failed-"))
        for handle, person in self.people.known.items():
            person.page.screenshot(path=folder / f"{handle}.png", full_page=True)
            print(f"{person.name} is at {person.page.url}; {folder / handle}.png shows it", file=sys.stderr)
            print(*person.problems, sep="\n", file=sys.stderr)

    def finish(self) -> list[str]:
        """What was wrong on the pages and in their scripts; the people leave."""
        wrong = self.people.problems + self.sight.wrong
        self.people.leave()
        return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shots", type=Path, help="put the pictures of the pages into this folder")
    parser.add_argument("--quick", action="store_true", help="a few steps, no watch, no pictures")
    given = parser.parse_args()
    from tests.acceptance import story

    began = time.monotonic()
    with server.running() as site, chromium_browser() as browser:
        journey = Journey(browser, site, shots=given.shots, examine=not given.quick)
        try:
            (story.quick if given.quick else story.whole)(journey)
        except Exception:
            print(site.output.read_text()[-4000:], file=sys.stderr)
            journey.tells_where_it_failed()
            raise
        wrong = journey.finish()
    print(f"{time.monotonic() - began:6.1f} s  in all, and the server ended with exit code 0 on Ctrl-C\n")
    if journey.sight.examine:
        print("What was wrong on each page, in both themes, at 1440 and at 360 pixels:")
        print(journey.sight.table())
    for fault in wrong:
        print(f"WRONG {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
