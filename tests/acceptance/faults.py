"""Ten deliberate one-line faults, each of which must turn the suite red: `python3 -m tests.acceptance.faults`.

Each fault is made in a copy of the checkout, never in the checkout itself; then the tests that guard the rule run
there. Prints a table and ends with 0 only when every fault was caught. A test of the suite holds that each line
to be changed still stands in the code exactly once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "var", "node_modules", "__pycache__", ".*_cache", ".hypothesis", "docs"
)


@dataclass(frozen=True)
class Fault:
    """`old` in `file` becomes `new`; `tests` are what must then fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        "drop the release lock",
        "releases/models/release.py",
        'return self.select_for_update(of=("self",)).select_related("coordinator").filter(pk=pk)',
        'return self.select_related("coordinator").filter(pk=pk)',
        ("tests/services/test_verb_races.py",),
    ),
    Fault(
        "pass an empty gate",
        "releases/readiness.py",
        'found.append(Hindrance("empty", "the checklist has no required item before the decision"))',
        "pass",
        ("tests/releases/test_gonogo.py",),
    ),
    Fault(
        "GO with an empty required seat",
        "releases/readiness.py",
        "if seat.required and (ballot is None or stale):",
        "if seat.required and ballot and stale:",
        ("tests/releases/test_gonogo.py",),
    ),
    Fault(
        "tick production before the start",
        "releases/models/item.py",
        'Stage.PRODUCTION: ("deploying",),',
        'Stage.PRODUCTION: ("cleared", "deploying"),',
        ("tests/pages/test_expected_tables.py",),
    ),
    Fault(
        "let a member decide",
        "releases/permissions.py",
        '"decide": _LEAD,',
        '"decide": _LEAD | {Standing.MEMBER},',
        ("tests/releases/test_gonogo.py", "tests/pages/test_expected_tables.py"),
    ),
    Fault(
        "skip the event",
        "releases/workflow.py",
        'events.record(release, "deployment.started", by=by, before=before, after=after)',
        "pass",
        ("tests/releases/test_every_change_is_an_event.py",),
    ),
    Fault(
        "accept a stale version",
        "releases/ticking.py",
        "if version is not None and version != item.version:",
        "if version is None and version != item.version:",
        ("tests/releases/test_ticking.py",),
    ),
    Fault(
        "forget to supersede on reschedule",
        "releases/workflow.py",
        'clearance.supersede(release, "the release moved", kinds=SPEAKS_OF_THE_PLAN)',
        "pass",
        ("tests/releases/test_workflow.py",),
    ),
    Fault(
        "act on GET",
        "releases/views/base.py",
        "        @needs(verb)\n        @require_POST\n",
        "        @needs(verb)\n",
        ("tests/pages/test_addresses.py",),
    ),
    Fault(
        "leave Markdown unsanitised",
        "relcoord/lib/markup.py",
        "nh3.clean(",
        "(lambda html, **_: html)(",
        ("tests/lib/test_markup.py",),
    ),
)


def main() -> int:
    names = sys.argv[1:]
    chosen = [fault for fault in FAULTS if not names or any(name in fault.name for name in names)]
    missed = []
    for fault in chosen:
        began = time.monotonic()
        red, words = caught(fault)
        print(f"{'caught' if red else 'MISSED':8}{time.monotonic() - began:5.0f} s  {fault.name}: {words}", flush=True)
        if not red:
            missed.append(fault.name)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} faults turned the suite red")
    return 1 if missed else 0


def caught(fault: Fault) -> tuple[bool, str]:
    """Make the fault in a copy and run its tests there; returns whether they failed, and pytest's last line."""
    with tempfile.TemporaryDirectory(prefix="relcoord-fault-") as folder:
        copy = Path(folder) / "relcoord"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT, symlinks=True)
        source = copy / fault.file
        text = source.read_text(encoding="utf-8")
        if text.count(fault.old) != 1:
            return False, f"the line stands {text.count(fault.old)} times in {fault.file}"
        source.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        found = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *fault.tests],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "TEST_DATABASE": "postgres", "VAR_DIR": str(Path(folder) / "var")},
        )
        lines = [line for line in found.stdout.splitlines() if line.strip()]
        failed = found.returncode == 1 and any(line.startswith("FAILED") for line in lines)
        return failed, next(
            (line for line in lines if line.startswith("FAILED")), lines[-1] if lines else found.stderr[-200:]
        )


if __name__ == "__main__":
    sys.exit(main())
