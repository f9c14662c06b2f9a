"""Programs and services of production, ended one by one under load: only 503, nothing lost, back within 30 seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 280  # seconds, on a busy machine


@pytest.mark.postgres
def test_each_part_may_die_under_load_and_nobody_sees_more_than_a_503() -> None:
    """In a process of its own, with services of its own: nobody else may meet a PostgreSQL that is killed."""
    command = [sys.executable, "-m", "tests.reliability.one_by_one", "--quick"]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    parts = ("web", "live", "worker", "beat", "reminders", "Redis", "PostgreSQL")
    assert [line.split(":")[0] for line in run.stdout.splitlines() if ": all is well again" in line] == list(parts)
