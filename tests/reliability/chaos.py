"""The long form, behind `python3 dev.py chaos`: random histories, kills, load; tables go to docs/reliability.md.

    python -m tests.reliability.chaos [--histories 10000] [--first 0] [--kills 1000] [--load 1000] [--processes 2]

0 leaves one of the three out, and its table as it was. Each process plays its share of the histories on a PostgreSQL
database of its own. Ends with 0 only when nothing was wrong; a history that fails is printed with its seed, and
`history(seed)` is the same again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests import plugin, provision
from tests.reliability.history import A_BASE

if TYPE_CHECKING:
    from tests.provision import Server
    from tests.reliability.kills import Result as KillsResult
    from tests.reliability.load import Handed, Ticked

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: {} -->", "<!-- end of {} -->"
SAID_EVERY = 60  # seconds
A_MINUTE = 60.0  # seconds


def main(arguments: Sequence[str]) -> int:
    asked = _options(arguments)
    if asked.share:
        return play_share(asked.first, asked.histories)
    wrong: list[str] = []
    if asked.histories:
        with stage() as environment:
            played = simulate(asked.first, asked.histories, asked.processes, environment)
        wrong += played.wrong
        publish("simulation", table(played, asked), asked)
    if asked.kills:
        with durable_stage() as (environment, services):
            survived = chaos(asked, environment, services)
            postgres = provision.version_of(environment["DATABASE_URL"])
        wrong += survived.wrong
        print(*survived.wrong, sep="\n")
        publish("kills", table_of_kills(survived, asked, postgres), asked)
    if asked.load and asked.kills:  # the application is set up once a process, on one database
        wrong += ["the load"] * bool(subprocess.call([sys.executable, "-m", __spec__.name, *alone(asked)], cwd=ROOT))
    elif asked.load:
        wrong += loads(asked)
    return 1 if wrong else 0


def alone(asked: argparse.Namespace) -> list[str]:
    """The options of a process that measures the load and nothing else."""
    return ["--histories=0", "--kills=0", f"--load={asked.load}", f"--future={asked.future}"]


def publish(name: str, lines: list[str], asked: argparse.Namespace) -> None:
    print("\n".join(lines), flush=True)
    if not asked.quick:
        write(name, lines)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py chaos", description="Show that no reminder is lost.")
    parser.add_argument("--histories", type=int, default=10_000, help="how many to play (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=1_000, help="how many (default: %(default)s)")
    parser.add_argument(
        "--answers-after",
        type=float,
        default=0.0,
        help="seconds the mail server takes from a mail to its answer, in which a kill repeats it (default: %(default)s)",
    )
    parser.add_argument("--load", type=int, default=1_000, help="mails due in one minute (default: %(default)s)")
    parser.add_argument("--future", type=int, default=100_000, help="reminders still to come (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2, help="at once (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="as the tests run it: younger deaths, nothing written")
    parser.add_argument("--share", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# The services


@contextmanager
def stage() -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis, and the environment the tests have."""
    with ExitStack() as until_the_end:
        var = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="relcoord-chaos-"))
        url = until_the_end.enter_context(provision.postgres())
        given = {name: value for name, value in os.environ.items() if name not in plugin.CLEARED}
        broker = until_the_end.enter_context(provision.redis())
        own = {"VAR_DIR": var, "DATABASE_URL": url, "REDIS_URL": broker}
        yield given | plugin.SETTINGS | plugin.PRODUCTION | own


@contextmanager
def durable_stage() -> Iterator[tuple[dict[str, str], dict[str, Server]]]:
    """PostgreSQL and Redis that can be killed, and keep what they were told; given ones are not asked for that."""
    from tests.reliability.kills import POSTGRES, REDIS

    with ExitStack() as until_the_end:
        var = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="relcoord-chaos-"))
        database = until_the_end.enter_context(provision.postgres_server(durable=True))
        broker = until_the_end.enter_context(provision.redis_server(durable=True))
        given = {name: value for name, value in os.environ.items() if name not in plugin.CLEARED}
        own = {"VAR_DIR": var, "DATABASE_URL": database.url, "REDIS_URL": broker.url, "STATIC_ROOT": f"{var}/static"}
        yield given | plugin.SETTINGS | plugin.PRODUCTION | own, {REDIS: broker, POSTGRES: database}


# The simulation


@dataclass
class Result:
    """What all shares found together."""

    counts: Counter[str]
    wrong: list[str]
    seconds: float
    postgres: str


def simulate(first: int, histories: int, processes: int, environment: dict[str, str]) -> Result:
    """Play them in several processes; says now and then how far it is."""
    started, shares = time.monotonic(), []
    for number, (begin, amount) in enumerate(shared(first, histories, processes)):
        url = provision.new_database(environment["DATABASE_URL"], f"share{number}")
        command = [sys.executable, "-m", __spec__.name, "--share", f"--first={begin}", f"--histories={amount}"]
        own = environment | {"DATABASE_URL": url}
        shares.append(subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True))
    result = Result(Counter(), [], 0.0, provision.version_of(environment["DATABASE_URL"]))
    said = started
    for line in lines_of(shares):
        entry = json.loads(line)
        result.counts.update(entry["counts"])
        result.wrong += entry["wrong"]
        for words in entry["wrong"]:
            print(words, flush=True)
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"{result.counts['histories']} of {histories} histories, {said - started:.0f} s", flush=True)
    failed = [share.returncode for share in shares if share.wait()]
    result.wrong += [f"a process ended with {code}" for code in failed]
    if result.counts["histories"] != histories:
        result.wrong.append(f"{histories} histories were asked for, {result.counts['histories']} were played")
    result.seconds = time.monotonic() - started
    return result


def shared(first: int, histories: int, processes: int) -> list[tuple[int, int]]:
    """Whole bases for each process, as far as they go."""
    each = -(-histories // processes)
    each = -(-each // A_BASE) * A_BASE
    return [(first + begin, min(each, histories - begin)) for begin in range(0, histories, each)]


def lines_of(shares: list[subprocess.Popen[str]]) -> Iterator[str]:
    """The lines of all of them as they come."""
    import selectors

    with selectors.DefaultSelector() as waiting:
        for share in shares:
            waiting.register(share.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting.get_map():
            for key, _ in waiting.select():
                if line := key.fileobj.readline():  # type: ignore[union-attr]
                    yield line
                else:
                    waiting.unregister(key.fileobj)


def play_share(first: int, histories: int) -> int:
    """In a process of its own: play, judge, and print one line of JSON for each base."""
    import django

    django.setup()
    logging.disable(logging.ERROR)
    from django.core.management import call_command
    from django.db import connection

    from tests.reliability.driver import play_all
    from tests.reliability.history import history
    from tests.reliability.judge import judge
    from tests.reliability.model import owed

    call_command("migrate", verbosity=0)
    for begin in range(first, first + histories, A_BASE):
        told = [history(seed) for seed in range(begin, min(begin + A_BASE, first + histories))]
        counts, wrong = Counter[str](), []
        for each, account in zip(told, play_all(told), strict=True):
            verdict = judge(each, account)
            counts["histories"] += 1
            counts["marks demanded"] += len(list(owed(each, account)))
            counts["mark mails sent"] += len(account.sent)
            counts["other mails sent"] += account.others
            counts["sender deaths"] += len(account.deaths)
            counts["repeated after a death"] += len(account.sent) - len({sent.message_id for sent in account.sent})
            for happening in each.happenings:
                counts[f"happening: {happening.what}"] += 1
            counts.update({name: len(lines) for name, lines in verdict.by_name.items()})
            wrong += [f"{line}\n{each}" for line in verdict.wrong]
        print(json.dumps({"counts": counts, "wrong": wrong}), flush=True)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")  # what was undone would be read past, in more and more pages
    return 0


# The kills


def chaos(asked: argparse.Namespace, environment: dict[str, str], services: dict[str, Server]) -> KillsResult:
    """Kill the programs and services of production while mails flow, on a database of its own."""
    environment = prepared(environment, "chaos", pages=not asked.quick)
    from tests.reliability.kills import run
    from tests.smtp import sink_apart

    log = Path(environment["VAR_DIR"]) / "programs.log"
    with sink_apart(asked.answers_after) as smtp, log.open("w") as output:
        given = environment | {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
        found = run(asked.kills, given, services, smtp, output, provision.free_port(), quick=asked.quick)
    if found.wrong and asked.quick:
        print(log.read_text())
    return found


def prepared(environment: dict[str, str], name: str, *, pages: bool = True) -> dict[str, str]:
    """Set Django up in this process, on a new database of this name; returns the environment of the programs.

    Without `pages` the style sheets are not collected: forms are taken, pages cannot be shown.
    """
    database = provision.new_database(environment["DATABASE_URL"], name)
    environment = environment | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "relcoord.settings"}
    os.environ.clear()
    os.environ.update(environment)
    import django

    django.setup()
    for noisy in ("mail.log", "releases.tasks", "relcoord.lib.cache"):  # every line; every broken connection
        logging.getLogger(noisy).setLevel(logging.ERROR)
    from django.core.management import call_command

    with at_ease():
        call_command("migrate", verbosity=0)
    if pages:
        call_command("collectstatic", interactive=False, verbosity=0)
    return environment


@contextmanager
def at_ease() -> Iterator[None]:
    """Let this process's commits not wait for the disk: what is made here is not put to the test."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    yield
    connection.close()


def table_of_kills(result: KillsResult, asked: argparse.Namespace, postgres: str) -> list[str]:
    from tests.reliability.kills import AGES, BEAT, REDIS, SENDER, WORKER

    def share(kills: int) -> str:
        return f"{100 * result.extra / kills:.1f} %" if kills else "-"

    also = {SENDER: "", WORKER: ", which send too", BEAT: "", REDIS: ""}
    rows: list[tuple[str, int | str]] = [
        (f"`kill -9` of {name}{also.get(name, '')}", result.kills[name]) for name in AGES
    ]
    rows += [
        ("`kill -9` together", result.kills.total()),
        *((f"verbs {name}", number) for name, number in sorted(result.verbs.items())),
        *((name, number) for name, number in sorted(result.visits.items())),
        ("mails owed by what was done", result.expected),
        ("mails that were tried again: who had them was killed", result.in_hand),
        ("extra copies, all under the same Message-ID", result.extra),
        ("extra copies, of the kills of senders and workers", share(result.senders_killed)),
        ("extra copies, of those and the kills of PostgreSQL", share(result.may_repeat)),
        ("rows that ended missed", result.failed["missed"]),
        ("rows that ended failed", result.failed["failed"]),
        ("**acknowledged verbs the database forgot**", len(result.forgotten)),
        ("**copies under another Message-ID**", len(result.strangers)),
        ("**lost**", len(result.lost)),
    ]
    command = f"python3 dev.py chaos --histories 0 --kills {asked.kills} --load 0"
    command += f" --answers-after {asked.answers_after}" if asked.answers_after else ""
    came = ", ".join(f"{number} {kind}" for kind, number in sorted(result.mails.items()))
    facts_ = facts(command, postgres, result.seconds)
    return ["## Kills", "", *facts_, f"- Mails that came: {came}", "", *listed(rows)]


# The load


def loads(asked: argparse.Namespace) -> list[str]:
    """So many mails due in one minute, with Redis and with Redis absent; then a tick over very many to come."""
    with durable_stage() as (environment, _):
        environment = prepared(environment, "load")
        from tests.reliability import load
        from tests.smtp import sink

        absent = environment | {"REDIS_URL": f"redis://127.0.0.1:{provision.free_port()}/0"}
        log, found = Path(environment["VAR_DIR"]) / "programs.log", []
        for drivers, given in ((load.BY_CELERY, environment), ((*load.BY_CELERY, *load.BY_LOOP), absent)):
            with sink(SimpleNamespace()) as smtp, log.open("a") as output:
                begins = datetime.now(UTC) + timedelta(seconds=A_MINUTE + 0.1 * asked.load)
                releases = load.due_within(asked.load, begins, A_MINUTE)
                mail = {"EMAIL_URL": f"smtp+plain://127.0.0.1:{smtp.port}"}
                found.append(load.handed_over(releases, given | mail, smtp, output, drivers, patience=900))
        postgres = provision.version_of(environment["DATABASE_URL"])
        publish("load", table_of_load(*found, asked, postgres), asked)
        ticked = load.ticked(asked.future)
        publish("tick", table_of_tick(ticked, asked, postgres), asked)
    wrong = [line for one in (*found, ticked) for line in one.wrong]
    print(*wrong, sep="\n")
    return wrong


def table_of_load(with_redis: Handed, without: Handed, asked: argparse.Namespace, postgres: str) -> list[str]:
    """Seconds from the moment a mail is due until the server has it."""
    command = f"python3 dev.py chaos --histories 0 --kills 0 --load {asked.load}"
    words = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    both = (with_redis, without)
    measured = [(name, *(f"{one.quantile(part):.1f} s" for one in both)) for name, part in words.items()]
    rows = [("mails due within one minute", *(str(one.expected) for one in both))]
    rows += [("mails that came", *(str(len(one.delays)) for one in both)), *measured]
    lines = ["| from due to handed over | worker and beat | Redis absent: the second driver alone |", "|---|--:|--:|"]
    return ["## Load", "", *facts(command, postgres), "", *lines, *(f"| {' | '.join(row)} |" for row in rows)]


def table_of_tick(ticked: Ticked, asked: argparse.Namespace, postgres: str) -> list[str]:
    rows: list[tuple[str, int | str]] = [
        ("future reminders", ticked.rows),
        ("releases they belong to", ticked.releases),
        ("planning all of them, once", f"{ticked.first:.1f} s"),
        ("planning with nothing to plan, median of 5", f"{ticked.plan:.2f} s"),
        ("a whole tick with nothing to do, median of 5", f"{ticked.tick:.2f} s"),
    ]
    command = f"python3 dev.py chaos --histories 0 --kills 0 --load {asked.load} --future {asked.future}"
    return ["## A tick over what is still to come", "", *facts(command, postgres), "", *listed(rows)]


# The report

HAPPENINGS = {
    "reschedules": ("moved", "same T-0"),
    "holds": ("held",),
    "resumes": ("resumed",),
    "NO-GO decisions": ("no-go",),
    "cancellations": ("cancelled",),
    "changes of the holder": ("holds",),
    "outages of all drivers": ("down",),
    "outages of the mail server": ("server down",),
    "clock steps of up to 2 h": ("clock set",),
    "addresses refused for a while (4xx, broken lines)": ("busy",),
    "addresses refused for good (5xx)": ("gone",),
    "senders stopped and continued": ("sleeps",),
}
FACTS = (
    "histories",
    "marks demanded",
    "mark mails sent",
    "other mails sent",
    "sender deaths",
    "repeated after a death",
)
WRONG = ("lost", "stale", "out of order", "double")


def table(result: Result, asked: argparse.Namespace) -> list[str]:
    """The report's part, in Markdown."""
    rows: list[tuple[str, int | str]] = [(name, result.counts[name]) for name in FACTS]
    rows += [(name, sum(result.counts[f"happening: {what}"] for what in whats)) for name, whats in HAPPENINGS.items()]
    rows += [(f"**{name}**", result.counts[name]) for name in WRONG]
    first = f" --first {asked.first}" if asked.first else ""
    command = f"python3 dev.py chaos --histories {asked.histories}{first} --kills 0 --load 0"
    return ["## Simulation", "", *facts(command, result.postgres, result.seconds), "", *listed(rows)]


def facts(command: str, postgres: str, seconds: float | None = None) -> list[str]:
    return [
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Machine: {os.cpu_count()} CPUs, Python {platform.python_version()}, PostgreSQL {postgres}",
        f"- Command: `{command}`" + (f", {seconds:.0f} s" if seconds else ""),
    ]


def listed(rows: list[tuple[str, int | str]]) -> list[str]:
    return ["| | |", "|---|--:|", *(f"| {name} | {number} |" for name, number in rows)]


INTRODUCTION = """# Reliability of the reminders: what was measured

Written by `python3 dev.py chaos`, every word of it; each run replaces the parts it measured. What the words mean stands
in `tests/reliability/model.py`, which says what should have been sent and imports nothing of the application.

- **Simulation**: time is travelled and the mail server is a stand-in behind the real courier; in one history of five the
  mails that are no marks flow as well. It demands a mail only where five minutes on end were undisturbed (18 more after
  a temporary failure, which the back-off may take), so more are sent than are demanded; none may be sent that is not
  wanted at its moment.
- **Kills**: programs, web server, PostgreSQL, Redis and the SMTP server are real, and all but the last are killed with
  all their processes and come back on the same data. What is owed follows from the verbs that were done, never from the
  ledger. A verb whose answer was lost owes its mails if its event is in the history, which its own transaction writes;
  a verb that was acknowledged must be there.
- **Load**: real programs and a real SMTP server on this machine; from the moment a mail is due until the server has it.

What this is weaker in than one might wish:

- In the kills, mails of every kind flow, but only those that real time brings within the run: of the marks T-4h, of the
  alarms T-1h, of the escalations the first. The others are the simulation's and the tests'. The mail about a new role
  waits 2 seconds instead of 10 minutes for more of them.
- The mail server answers as soon as it has a mail. The longer a real one takes for that, the more kills fall between
  hand-over and mark: with `--answers-after 0.02`, 20 ms for every mail while some fifteen a second flow, 12 mails came
  twice in 89 kills of senders, workers and PostgreSQL (a run of 150 kills in all).
- A kill of PostgreSQL between hand-over and mark repeats a mail as the kill of a sender does. So the limit of 10 % extra
  copies is held against the kills of senders, workers and PostgreSQL together; the share of senders and workers alone
  is shown as well.
- `kill -9` ends processes and not the machine: what PostgreSQL has given to the kernel survives. Its data is kept in
  memory here where there is room, with `fsync` and `synchronous_commit` on.
- A sender that is stopped past its lease and continued (`tests/services/test_ledger_races.py`) sends nothing more when
  it was stopped before its last look. One that is stopped in the middle of its talk with the mail server may end it, and
  then a second copy carries the same Message-ID.
- Beat follows the clock on the wall, so that a clock set back an hour may keep it still for that hour. What holds up
  nothing then is the second driver, `manage.py reminders --loop`, which has to be running for it.
"""
PARTS = ("kills", "simulation", "load", "tick")


def write(name: str, lines: list[str]) -> None:
    """Replace the part called `name`; the other parts stay as they were measured."""
    known = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    parts = {part: found for part in PARTS if (found := part_of(known, part))} | {name: "\n".join(lines)}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(document(parts), encoding="utf-8")


def part_of(text: str, name: str) -> str:
    return text.partition(BEGIN.format(name) + "\n")[2].partition("\n" + END.format(name))[0]


def document(parts: dict[str, str]) -> str:
    marked = [f"{BEGIN.format(name)}\n{parts[name]}\n{END.format(name)}" for name in PARTS if name in parts]
    return "\n\n".join([INTRODUCTION.rstrip(), *marked]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
