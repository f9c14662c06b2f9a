"""A look at an idle connection that costs no trip to the other side."""

from __future__ import annotations

import select


def has_news(descriptor: int) -> bool:
    """Is there something to read, or has the other side ended it? An idle connection that is good has nothing."""
    socket = select.poll()
    socket.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(socket.poll(0))
