"""The embedded queue: kombu's files, each put in its place whole, and a worker that hears at once that it shall stop.

kombu writes a message where readers look for it already; one that comes in between finds an empty file, and Celery's
worker ends on that. Here every file is written beside its place and renamed into it.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

LONGEST_WAIT = 0.2  # seconds


class Channel(filesystem.Channel):
    """A queue is a folder with a file for each message, an exchange a file with its table."""

    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"
        _write(Path(self.data_folder_out) / name, payload)

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        file = self._exchange_file(exchange)  # type: ignore[attr-defined]
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with (self.control_folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = self.get_table(exchange)
            if row not in rows:
                _write(file, [row, *rows])


class Transport(filesystem.Transport):
    """Celery looks for its stop signal between two waits for messages, and waits 2 s by itself."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **options: Any) -> None:
        super().drain_events(connection, timeout=min(timeout or LONGEST_WAIT, LONGEST_WAIT), **options)


def _write(file: Path, content: Any) -> None:
    """Put `content` there whole or not at all."""
    draft = file.with_name(f".{uuid4()}.draft")
    try:
        draft.write_text(dumps(content), encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ChannelError(f"{file} cannot be written: {error.strerror}") from error
