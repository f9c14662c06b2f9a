"""`manage.py reminders`: the second driver. Beat and this do the same; either alone is enough, any number is safe."""

from __future__ import annotations

import signal
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from releases import ledger

EVERY = 30  # seconds


class Command(BaseCommand):
    help = (
        "Look at the ledger once, or with --loop every 30 seconds on a clock that steps of the wall clock do not move."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on until stopped")
        parser.add_argument("--alive", metavar="FILE", type=Path, help="touch this file before each look: for probes")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["loop"]:
            self.stdout.write(f"{ledger.tick()} sent")
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + EVERY
            if options["alive"]:
                options["alive"].touch()
            self.look()

    def look(self) -> None:
        """One tick. A database that is away is said and tried again; the loop goes on."""
        close_old_connections()
        try:
            ledger.tick()
        except Exception as failure:
            self.stderr.write(f"could not look at the ledger, trying again in {EVERY} s: {failure}")
