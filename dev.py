#!/usr/bin/env python3
"""The one door to a checkout: `python3 dev.py run`, `test`, `lint`, ...

Standard library only, because it runs before anything is installed. It makes
`.venv`, installs the hash-pinned requirements into it (once; a stamp remembers),
and hands over to the program asked for. `python3 dev.py help` lists the commands.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
    sys.exit(f"relcoord needs Python 3.11 or newer; this is Python {sys.version.split()[0]}.")

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"

Command = list[str | Path]


def main(arguments: Sequence[str]) -> int:
    name, *rest = arguments or ["help"]
    command = COMMANDS.get(name)
    if command is None:
        print(f"dev.py: there is no command {name!r}.\n", file=sys.stderr)
        show_help([])
        return 2
    os.chdir(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # many programs are started, and none should compile all again
    return command(rest)


# Commands ---------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """start relcoord here: web, worker and scheduler, with demo data on the first start"""
    install("base")
    hand_over("manage.py", "runall", *arguments)


def test(arguments: Sequence[str]) -> int:
    """run the tests on PostgreSQL, and the rules and journeys again on SQLite

    Arguments go to pytest (`dev.py test -k poll tests/releases`). TEST_DATABASE=sqlite
    or =postgres picks one of the two rounds; tests/plugin.py says what each holds.
    """
    install("dev")
    only = os.environ.get("TEST_DATABASE", "")
    if only not in {"", "postgres", "sqlite"}:
        print(f"TEST_DATABASE is {only!r}; it can be postgres or sqlite.", file=sys.stderr)
        return 2
    results: dict[str, int] = {}
    for database in [only] if only else ["postgres", "sqlite"]:
        print(f"\n=== tests on {database} ===", flush=True)
        results[database] = subprocess.call(
            [PYTHON, "-m", "pytest", *side_by_side(database, arguments), *arguments],
            env={**os.environ, "TEST_DATABASE": database},
        )
    return report(results, nothing_collected_is_fine=bool(arguments))


def side_by_side(database: str, arguments: Sequence[str]) -> list[str]:
    """As many workers as there are processors; one more where they wait for a server. None for a part of the tests."""
    if any_path(arguments) or "-n" in arguments:
        return []
    workers = (os.cpu_count() or 2) + (database == "postgres")
    return ["-n", str(min(6, workers)), "--dist", "loadfile", "--no-loadscope-reorder"]


def chaos(arguments: Sequence[str]) -> int:
    """show that no reminder is lost: the long form of tests/reliability, written to docs/reliability.md

    `--histories`, `--kills` and `--load` say how many random histories, `kill -9` and mails due in one minute;
    0 leaves one out: `dev.py chaos --histories 1000 --kills 0 --load 0`.
    """
    install("dev")
    hand_over("-m", "tests.reliability.chaos", *arguments)


def bench(arguments: Sequence[str]) -> int:
    """measure relcoord beside a bare floor, and write docs/performance.md

    `dev.py bench --quick` is a look that writes nothing; `--full` goes up to 10 000 releases and loads for five
    minutes. `--only watchers mixed` measures these parts alone, of floor, watchers, mixed, herd, reminders, memory and
    embedded.
    """
    install("dev")
    hand_over("-m", "tests.benchmarks.bench", *arguments)


def lint(arguments: Sequence[str]) -> int:
    """check style, types, borders between modules, templates, migrations and the container files"""
    install("dev")
    hand_over("-m", "tests.checks", *arguments)


def format_code(arguments: Sequence[str]) -> int:
    """put the Python files into shape"""
    install("dev")
    subprocess.check_call([PYTHON, "-m", "ruff", "check", "--fix-only", *arguments])
    return subprocess.call([PYTHON, "-m", "ruff", "format", *arguments])


def lock(arguments: Sequence[str]) -> int:
    """compile requirements/*.in into hash-pinned *.txt (--upgrade takes newer versions)"""
    install("dev")
    for name in ("uv", "base", "dev"):
        compile_ = ["pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        style = ["--no-emit-index-url", "--no-header", "--annotation-style", "line"]
        subprocess.check_call(
            [PYTHON, "-m", "uv", *compile_, *style, *arguments, f"{name}.in", "-o", f"{name}.txt"], cwd=REQUIREMENTS
        )
    return 0


def setup(arguments: Sequence[str]) -> int:
    """install what the tests and checks need, and stop"""
    install("dev")
    return 0


def manage(arguments: Sequence[str]) -> int:
    """run manage.py with the project's own Python"""
    install("base")
    hand_over("manage.py", *arguments)


def show_help(arguments: Sequence[str]) -> int:
    """show this list"""
    print("usage: python3 dev.py COMMAND [ARGUMENTS]\n")
    for name, command in COMMANDS.items():
        print(f"  {name:<8}{(command.__doc__ or '').splitlines()[0]}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": run,
    "test": test,
    "chaos": chaos,
    "bench": bench,
    "lint": lint,
    "format": format_code,
    "lock": lock,
    "setup": setup,
    "manage": manage,
    "help": show_help,
}


# Installing -------------------------------------------------------------------------------------


def install(wanted: str) -> None:
    """Bring `.venv` up to `requirements/<wanted>.txt`; nothing happens when it already is."""
    if is_installed(wanted):
        return
    with only_one_at_a_time():
        if is_installed(wanted):
            return
        if not PYTHON.exists():
            make_venv()
        print(f"Installing requirements/{wanted}.txt into .venv ...", file=sys.stderr, flush=True)
        install_requirements(REQUIREMENTS / f"{wanted}.txt")
        for name in {wanted, "base"}:  # dev.txt holds all of base.txt, in the same versions
            stamp(name).write_text(fingerprint(name))


def is_installed(wanted: str) -> bool:
    return PYTHON.exists() and stamp(wanted).exists() and stamp(wanted).read_text() == fingerprint(wanted)


def stamp(name: str) -> Path:
    return VENV / f".installed-{name}"


def fingerprint(name: str) -> str:
    content = (REQUIREMENTS / f"{name}.txt").read_bytes() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"Python {version} could not make a virtual environment. On Debian or Ubuntu this helps:\n"
            f"  apt-get install python{version}-venv\n\n{made.stdout}{made.stderr}"
        )


def install_requirements(path: Path) -> None:
    """With uv, in seconds; with pip where uv does not get through (it ignores pip's configuration)."""
    pip: Command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
    uv: Command = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--system-certs", "--python", PYTHON]
    uv += ["--require-hashes", "-r", path]
    if subprocess.call([*pip, REQUIREMENTS / "uv.txt"]) == 0 and subprocess.call(uv) == 0:
        return
    print("uv did not get through; installing with pip, which takes a minute.", file=sys.stderr, flush=True)
    if subprocess.call([*pip, path]) != 0:
        sys.exit("The requirements could not be installed; the lines above say why.")


def any_path(arguments: Sequence[str]) -> bool:
    return any((ROOT / argument.split("::")[0]).exists() for argument in arguments)


# Handing over -----------------------------------------------------------------------------------


def hand_over(*arguments: str) -> NoReturn:
    """Become that program, so signals and the exit code are its own."""
    sys.stdout.flush()
    os.execv(PYTHON, [str(PYTHON), *arguments])


def report(results: dict[str, int], *, nothing_collected_is_fine: bool) -> int:
    """Print one line for each round and one for all; pytest's exit code 5 means that nothing was collected."""
    fine = {0, 5} if nothing_collected_is_fine else {0}
    ok = all(code in fine for code in results.values()) and 0 in results.values()
    print()
    for database, code in results.items():
        verdict = {0: "passed", 5: "no tests"}.get(code, f"FAILED (pytest exit code {code})")
        print(f"tests on {database}: {verdict}")
    print(f"{'PASSED' if ok else 'FAILED'} in {time.monotonic() - STARTED:.0f} s", flush=True)
    return 0 if ok else 1


STARTED = time.monotonic()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
