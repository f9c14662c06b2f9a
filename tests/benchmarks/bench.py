"""How fast relcoord is, beside a bare floor: behind `python3 dev.py bench`, written to docs/performance.md.

    python -m tests.benchmarks.bench [--quick] [--full] [--only PART ...]

PostgreSQL and Redis are real. relcoord and the floor are served the same way and loaded by turns, so that a busy
machine is busy for both; the ratio says more than the figures. What has no floor is in `tests.benchmarks.parts`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks import plot
from tests.benchmarks.load import Ask, Measured, load, request
from tests.benchmarks.parts import PARTS
from tests.benchmarks.parts import table as table_of
from tests.benchmarks.servers import ROOT, Server, postmaster_of, stage, told
from tests.provision import new_database, version_of

REPORT = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs"
BY_VERBS = 40  # releases that are born and brought on by the verbs; the others are copies
CSRF = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True)
class Size:
    """How much is asked: at most `count` requests and `seconds` in one turn, `turns` for each side."""

    count: int
    seconds: float
    turns: int
    releases: tuple[int, ...]


QUICK = Size(60, 2.0, 2, (100,))
NORMAL = Size(150, 3.0, 3, (100, 1_000))
FULL = Size(400, 8.0, 5, (100, 1_000, 10_000))


@dataclass
class Line:
    """One line of the table: the same work on both."""

    work: str
    ours: Measured
    floor: Measured
    statements: tuple[int, int]
    ratios: list[float] = field(default_factory=list)  # of req/s, each from one turn

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass
class Board:
    """The dashboard of so many releases."""

    releases: int
    ours: Measured = field(default_factory=Measured)
    quotients: list[float] = field(default_factory=list)  # of p50 by that of the floor, each from one turn

    @property
    def of_the_floor(self) -> float:
        return statistics.median(self.quotients)


def main(arguments: Sequence[str]) -> int:
    asked = options(arguments)
    for name in asked.only:
        if name == FLOOR:
            beside_the_floor(asked)
        else:
            part(name, asked)
    return 0


FLOOR = "floor"


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Measure relcoord beside a bare floor.")
    parser.add_argument("--quick", action="store_true", help="a look, in some minutes; docs stay as they are")
    parser.add_argument("--full", action="store_true", help="10 000 releases, five minutes of mixed load")
    names = [FLOOR, *PARTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    return parser.parse_args(arguments)


def called(asked: argparse.Namespace, *more: str) -> str:
    return " ".join(["python3 dev.py bench", *more, *["--full"] * asked.full])


def beside_the_floor(asked: argparse.Namespace) -> None:
    size = QUICK if asked.quick else FULL if asked.full else NORMAL
    began, before = time.monotonic(), busy()
    with stage() as environment:
        bench = Bench(environment, size)
        try:
            lines, pages, boards = bench.table(), bench.pages(), bench.boards()
        finally:
            bench.stop()
        postgres, took = version_of(environment["DATABASE_URL"]), time.monotonic() - began
    text = report(lines, pages, boards, facts(called(asked, "--only", FLOOR), postgres, took, before))
    print(text)
    if not asked.quick:
        write(text, pages, boards)


def part(name: str, asked: argparse.Namespace) -> None:
    """One of those without a floor, in a process and on services of its own."""
    say(name)
    began, before, one = time.monotonic(), busy(), PARTS[name]
    with stage() as environment:
        own = {"DATABASE_URL": new_database(environment["DATABASE_URL"], name)}
        own["DJANGO_SETTINGS_MODULE"] = "relcoord.settings"
        rows = told(environment | own, "tests.benchmarks.parts", name, *["--full"] * asked.full)["rows"]
        postgres, took = version_of(environment["DATABASE_URL"]), time.monotonic() - began
    about = [*facts(called(asked, "--only", name), postgres, took, before), "", one.about]
    text = "\n".join([f"## {one.title}", "", *about, "", *table_of(rows)])
    print(text, flush=True)
    if not asked.quick:
        replace(text, BEGIN_PART.format(name), END_PART.format(name))


class Bench:
    """Both sites with their rows, running."""

    def __init__(self, environment: dict[str, str], size: Size) -> None:
        self.size, url = size, environment["DATABASE_URL"]
        postmaster = postmaster_of(url)
        say("filling")
        names = {"relcoord": "relcoord.settings", "floor": "tests.benchmarks.floor.settings"}
        redis = environment["REDIS_URL"].removesuffix("/0")
        self.environments = {
            name: environment
            | {
                "DATABASE_URL": new_database(url, name),
                "REDIS_URL": f"{redis}/{number}",
                "DJANGO_SETTINGS_MODULE": settings,
            }
            for number, (name, settings) in enumerate(names.items())
        }
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
        subprocess.run(collect, cwd=ROOT, env=self.environments["relcoord"], check=True)
        self.ours = told(self.environments["relcoord"], "tests.benchmarks.fill", str(BY_VERBS))
        told(self.environments["relcoord"], "tests.benchmarks.fill", "--more", str(100 - BY_VERBS))
        self.plain = told(self.environments["floor"], "tests.benchmarks.floor.fill", "100")
        say("starting")
        self.relcoord = Server("relcoord", "relcoord.wsgi", self.environments["relcoord"], postmaster)
        self.floor = Server("floor", "tests.benchmarks.floor.wsgi", self.environments["floor"], postmaster)
        self.our_ticks = [Ticks(entry, self.ours) for entry in self.ours["ticks"]]
        self.plain_ticks = [Ticks(entry, self.plain) for entry in self.plain["ticks"]]

    def stop(self) -> None:
        self.relcoord.stop()
        self.floor.stop()

    def table(self) -> list[Line]:
        found = []
        for at_once in (1, 8):
            words = f"tick, {at_once} connection{'s' if at_once > 1 else ''}"
            found.append(self.line(words, "tick", self.our_ticks[:at_once], self.plain_ticks[:at_once], 200))
        for name, words, status in (
            ("page", "release page, 35 items", 200),
            ("dashboard", "dashboard, 50 rows of 100", 200),
            ("poll", "unchanged poll", 204),
        ):
            found.append(self.line(words, name, [looks(self.ours, name)], [looks(self.plain, name)], status))
        return found

    def line(self, words: str, name: str, ours: Sequence[Ask], plain: Sequence[Ask], status: int) -> Line:
        """Both by turns; the first turn of each warms up and is not counted."""
        say(words)
        line = Line(words, Measured(), Measured(), (self.ours["statements"][name], self.plain["statements"][name]))
        for turn in range(self.size.turns + 1):
            one = self.turn(self.relcoord, ours, status, warm=turn == 0)
            other = self.turn(self.floor, plain, status, warm=turn == 0)
            if turn:
                line.ours.add(one)
                line.floor.add(other)
                line.ratios.append(one.rate / other.rate)
        return line

    def turn(self, server: Server, asks: Sequence[Ask], status: int, *, warm: bool = False) -> Measured:
        count = 16 * len(asks) if warm else self.size.count
        before = server.cpu()
        found = load(server.port, asks, count=count, seconds=self.size.seconds, wanted=status)
        found.cpu = server.cpu() - before
        return found

    def pages(self) -> list[tuple[int, float, int]]:
        """(items, CPU ms, statements) of the release page."""
        found = []
        for size, url in self.ours["pages"].items():
            say(f"release page of {size} items")
            ask = looks(self.ours | {"page": url}, "page")
            self.turn(self.relcoord, [ask], 200, warm=True)
            measured = self.turn(self.relcoord, [ask], 200)
            found.append((int(size), measured.cpu_ms, self.ours["statements"]["pages"][size]))
        return found

    def boards(self) -> list[Board]:
        """The dashboard of more and more releases; the floor's, which stays as it is, is the yardstick beside it."""
        found, there = [], 100
        for wanted in self.size.releases:
            say(f"dashboard of {wanted} releases")
            if wanted > there:
                told(self.environments["relcoord"], "tests.benchmarks.fill", "--more", str(wanted - there))
                there = wanted
            board = Board(wanted)
            for turn in range(self.size.turns + 1):
                one = self.turn(self.relcoord, [looks(self.ours, "dashboard")], 200, warm=turn == 0)
                other = self.turn(self.floor, [looks(self.plain, "dashboard")], 200, warm=turn == 0)
                if turn:
                    board.ours.add(one)
                    board.quotients.append(one.quantile(0.5) / other.quantile(0.5))
            found.append(board)
        return found


# What is asked


def looks(site: dict[str, Any], name: str) -> Ask:
    asked = request("GET", site[name], {"Cookie": f"{site['cookie']}={site['session']}", "Accept-Encoding": "identity"})
    return lambda number: asked


class Ticks:
    """One person at one page: ticks an item, opens it again, and says each time what the page has seen."""

    def __init__(self, entry: dict[str, Any], site: dict[str, Any]) -> None:
        self.entry, self.site = entry, site
        self.done, self.made = entry.get("done", False), 0

    def __call__(self, number: int) -> bytes:
        entry, to = self.entry, "open" if self.done else "done"
        headers = {
            "Cookie": f"{self.site['cookie']}={entry.get('session') or self.site['session']}; csrftoken={CSRF}",
            "X-CSRFToken": CSRF,
            "HX-Request": "true",
        }
        body = f"to={to}"
        if "version" in entry:
            body += f"&v={entry['version'] + self.made}"
            headers["HX-Current-URL"] = f"http://localhost{entry['page']}"
            headers["X-Live-Token"] = f"{entry['sequence'] + self.made}.{int(time.time() * 1000)}"
        else:
            body += f"&release={entry['release']}"
        self.done, self.made = not self.done, self.made + 1
        return request("POST", entry["url"], headers, body)


# The report


def say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


def busy() -> str:
    """What else the machine did before: the load average of five minutes."""
    return f"{os.getloadavg()[1]:.1f}"


def facts(command: str, postgres: str, seconds: float, load_before: str) -> list[str]:
    return [
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, PostgreSQL {postgres}",
        f"- Load of the machine by others, before (average of five minutes): {load_before}",
        f"- Command: `{command}`, {seconds:.0f} s",
    ]


def report(lines: list[Line], pages: list[tuple[int, float, int]], boards: list[Board], about: list[str]) -> str:
    return "\n".join([*about, "", *table(lines), "", *by_size(pages, boards)])


def table(lines: list[Line]) -> list[str]:
    rows = [
        "| work | | req/s | p50 ms | p95 ms | p99 ms | CPU ms | statements | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        sides = (
            (line.work, "relcoord", line.ours, line.statements[0], f"**{line.ratio:.2f}**"),
            ("", "floor", line.floor, line.statements[1], ""),
        )
        for work, side, measured, statements, ratio in sides:
            p50, p95, p99 = (f"{measured.quantile(share):.1f}" for share in (0.5, 0.95, 0.99))
            rows.append(
                f"| {work} | {side} | {measured.rate:.0f} | {p50} | {p95} | {p99} | {measured.cpu_ms:.1f} | {statements} | {ratio} |"
            )
    return rows


def by_size(pages: list[tuple[int, float, int]], boards: list[Board]) -> list[str]:
    return [
        "| release page of | CPU ms | statements |",
        "|---|--:|--:|",
        *(f"| {size} items | {cpu:.1f} | {statements} |" for size, cpu, statements in pages),
        "",
        "| dashboard of | p50 ms | CPU ms | p50 by the floor's beside it | of that with the fewest |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {one.releases} releases | {one.ours.quantile(0.5):.1f} | {one.ours.cpu_ms:.1f} | {one.of_the_floor:.2f}"
            f" | {one.of_the_floor / boards[0].of_the_floor:.2f} |"
            for one in boards
        ),
    ]


BEGIN, END = "<!-- bench -->", "<!-- end of bench -->"
BEGIN_PART, END_PART = "<!-- bench: {} -->", "<!-- end of bench: {} -->"
INTRODUCTION = """# Performance: what was measured

Written by `python3 dev.py bench`; each run replaces the parts it measured, between their marks.
"""


def write(text: str, pages: list[tuple[int, float, int]], boards: list[Board]) -> None:
    """Replace the measured part of the report, and draw the two pictures."""
    (PICTURES / "performance-page.svg").write_text(
        plot.svg("Release page: CPU ms against items", [(size, cpu) for size, cpu, _ in pages]), encoding="utf-8"
    )
    (PICTURES / "performance-dashboard.svg").write_text(
        plot.svg("Dashboard: CPU ms against releases", [(one.releases, one.ours.cpu_ms) for one in boards]),
        encoding="utf-8",
    )
    pictures = "![Release page](performance-page.svg) ![Dashboard](performance-dashboard.svg)"
    replace(f"## Beside the floor\n\n{text}\n\n{pictures}", BEGIN, END)


def replace(text: str, begin: str, end: str) -> None:
    """Put `text` between its marks; what else stands in the report stays."""
    before = REPORT.read_text(encoding="utf-8") if REPORT.exists() else INTRODUCTION
    REPORT.write_text(replaced(before, text, begin, end), encoding="utf-8")


def replaced(before: str, text: str, begin: str, end: str) -> str:
    head, found, rest = before.partition(begin)
    marked = f"{begin}\n{text}\n{end}"
    return head + marked + rest.partition(end)[2] if found else f"{before.rstrip()}\n\n{marked}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
