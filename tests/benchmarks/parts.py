"""The parts of `dev.py bench` that need no floor: `python -m tests.benchmarks.parts NAME [--full]`.

Each is measured in a process of its own, on an empty database named by the environment, and prints its table as the
last line, in JSON. `bench` runs them and writes what they say to docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = tuple[str, str, str]  # what, what is wanted, what was measured
MINUTES = 300  # seconds of the mixed load, in full
MANY = 1000  # watchers


@dataclass(frozen=True)
class Part:
    title: str
    measure: Callable[[dict[str, str], bool], list[Row]]  # of production's environment, and whether in full
    about: str  # how it is measured, for the report


def watchers(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import crowd, watchers
    from tests.benchmarks.servers import Live, web

    crowd.collect(environment)
    watchers.enough_files(MANY)
    with web(environment, workers=1) as site, Live(environment) as live:
        heard = watchers.ticks(site, live, times=500 if full else 200)
    with Live(environment) as live:
        return [*heard.rows(), *watchers.very_many(live, watchers=MANY, times=60 if full else 20).rows()]


def mixed(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import crowd
    from tests.benchmarks.servers import web, worker

    crowd.collect(environment)
    with web(environment) as site, worker(environment) as helper:
        return crowd.mixed(site, helper, seconds=MINUTES if full else 30).rows()


def herd(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import crowd
    from tests.benchmarks.servers import web, worker

    crowd.collect(environment)
    with web(environment) as site, worker(environment):
        return crowd.herd(site).rows()


def reminders(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import reminders

    rows = [
        row
        for processes in (1, 2)
        for row in reminders.mailed(environment, mails=5000 if full else 1000, processes=processes).rows()
    ]
    return [*reminders.scanned().rows(), *rows]


def memory(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import crowd, footprint

    crowd.collect(environment)
    return footprint.whole_tree(environment).rows()


def embedded(environment: dict[str, str], full: bool) -> list[Row]:
    from tests.benchmarks import footprint

    return footprint.embedded(environment["VAR_DIR"]).rows()


PARTS = {
    "watchers": Part(
        "Watchers",
        watchers,
        "One web and one `live` process, PostgreSQL and Redis; the pages are sockets in one process beside them. Ticks "
        "one after the other; the time runs from the beginning of the POST until the last page has the event.",
    ),
    "mixed": Part(
        "Mixed load",
        mixed,
        "70 % polls, 15 % pages, 10 % ticks, 5 % dashboards, each leaving in its time (an open loop) and counted from "
        "it; two web processes of eight threads, a worker, the database and the load generator on this machine. Five "
        "minutes with `--full`, else 30 s.",
    ),
    "herd": Part(
        "Herd",
        herd,
        "29 + 6 items; ticks and pages evenly spread over the seconds, whether or not the answers before have come.",
    ),
    "reminders": Part(
        "Reminders",
        reminders,
        "The scans: median of 51, planning and execution as PostgreSQL tells them. The mails: from the first to the "
        "last that was marked as sent; the mail server answers at once.",
    ),
    "memory": Part(
        "Memory of production",
        memory,
        "After some pages, a tick, ten streams and a look of each driver; PostgreSQL, Redis and Caddy are not in it.",
    ),
    "embedded": Part("The embedded default", embedded, "SQLite, no services; nobody has a page open when it is idle."),
}


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| what | wanted | measured |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--full", action="store_true")
    asked = parser.parse_args(arguments)
    import logging

    import django

    django.setup()
    logging.disable(logging.WARNING)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(json.dumps({"rows": PARTS[asked.part].measure(dict(os.environ), asked.full)}))


if __name__ == "__main__":
    main(sys.argv[1:])
