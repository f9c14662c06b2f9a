"""Somebody who leaves a page open: hears of one release's changes over the event stream, and comes back when it ends."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from contextlib import closing

PATIENCE = 25.0  # seconds without a word; a stream says something at least every 20
AGAIN = 0.5  # seconds until it comes back; pages are told 1 to 3


class Watcher:
    def __init__(self, port: int, user: int, release: int) -> None:
        self.port, self.heard_at = port, 0.0
        self._user, self._release = user, release

    def watch(self, stopped: threading.Event) -> None:
        while not stopped.wait(AGAIN):
            try:
                self._listen(stopped)
            except (OSError, http.client.HTTPException):  # nobody there, or cut off in the middle
                continue

    def _listen(self, stopped: threading.Event) -> None:
        from django.utils import timezone

        from relcoord.lib import tickets

        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", tickets.address(self._user, self._release, 0, timezone.now()))
            with connection.getresponse() as answer:
                while (line := answer.readline()) and not stopped.is_set():
                    if line == b"event: change\n":
                        self.heard_at = time.time()

    def heard(self) -> Callable[[], bool]:
        """Has a change been heard of from now on?"""
        began = time.time()
        return lambda: self.heard_at > began
