"""The embedded queue: kombu's files, with a worker that hears at once that it shall stop."""

from typing import Any

from kombu.transport import filesystem

LONGEST_WAIT = 0.2  # seconds


class Transport(filesystem.Transport):
    """Celery looks for its stop signal between two waits for messages, and waits 2 s by itself."""

    def drain_events(self, connection: Any, timeout: float | None = None, **options: Any) -> None:
        super().drain_events(connection, timeout=min(timeout or LONGEST_WAIT, LONGEST_WAIT), **options)
