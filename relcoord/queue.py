"""The embedded queue: kombu's files, with a worker that hears at once that it shall stop."""

from typing import Any

from kombu.transport import filesystem

LONGEST_WAIT = 0.2  # seconds


class Transport(filesystem.Transport):
    """Celery looks for its stop signal between two waits for messages, and waits 2 s by itself."""

    def drain_events(self, connection: Any, **options: Any) -> None:
        wait = min(options.pop("timeout", None) or LONGEST_WAIT, LONGEST_WAIT)
        super().drain_events(connection, timeout=wait, **options)
