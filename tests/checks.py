"""Every check that needs no running test: `python3 dev.py lint`.

All of them run, then the failed ones are named; the exit code is 0 when none failed.
"""

import ast
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SOURCES = ("relcoord", "checklists", "releases", "tests", "dev.py", "manage.py")
POSTPONED = {"eta", "countdown"}


def main() -> int:
    os.chdir(ROOT)
    failed = [name for name, check in CHECKS.items() if not passes(name, check)]
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'All checks passed.'}", flush=True)
    return 1 if failed else 0


def passes(name: str, check: Callable[[], str]) -> bool:
    """Run one check, and show what it found only when it found something."""
    started = time.monotonic()
    findings = check()
    print(f"{'FAILED' if findings else 'ok':<7}{name} ({time.monotonic() - started:.1f} s)", flush=True)
    if findings:
        print(findings, flush=True)
    return not findings


def command(*arguments: str, **environment: str) -> Callable[[], str]:
    """A check that is a program of `.venv`, which fails with an exit code."""

    def check() -> str:
        program, *rest = arguments
        path = sys.executable if program == "python" else str(BIN / program)
        with tempfile.TemporaryDirectory(prefix="relcoord-lint-") as var:
            done = subprocess.run(
                [path, *rest],
                env={**os.environ, "VAR_DIR": var, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        return done.stdout or f"exit code {done.returncode}" if done.returncode else ""

    return check


def no_postponed_tasks() -> str:
    """Celery carries "look now", never "at three o'clock": a lost or repeated ETA task is a lost or repeated mail."""
    return "\n".join(
        f"{path.relative_to(ROOT)}:{line}: {name}= is not used here; write what is owed into the database"
        for path in python_files()
        for line, name in postponed_calls(path.read_text())
    )


def postponed_calls(source: str) -> Iterator[tuple[int, str]]:
    """Each `eta=` or `countdown=` handed to a call that queues a task, as line and name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from ((word.value.lineno, word.arg) for word in node.keywords if word.arg in POSTPONED)


def python_files() -> Iterator[Path]:
    for source in SOURCES:
        path = ROOT / source
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


PRODUCTION = {
    "DATABASE_URL": "postgresql://relcoord@localhost/relcoord",
    "REDIS_URL": "redis://localhost:6379/0",
    "SECRET_KEY": "for-this-check-alone-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    "SITE_URL": "https://releases.example.com",
    "ALLOWED_HOSTS": "releases.example.com",
    "EMAIL_URL": "smtp://mail.example.com",
}

CHECKS: dict[str, Callable[[], str]] = {
    "ruff": command("ruff", "check", "--quiet"),
    "ruff format": command("ruff", "format", "--check"),
    "mypy": command("mypy", DJANGO_SETTINGS_MODULE="relcoord.settings"),
    "borders between modules": command("lint-imports", "--no-cache"),
    "no postponed tasks": no_postponed_tasks,
    "templates": command("djlint", "--lint", "--quiet", "templates"),
    "migrations": command("python", "manage.py", "makemigrations", "--check", "--dry-run"),
    "settings in production": command(
        "python", "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION
    ),
    "compose file": command("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"),
    "Dockerfile": command("hadolint", "Dockerfile"),
}

if __name__ == "__main__":
    sys.exit(main())
