"""The embedded queue: what is put in comes out whole, whoever reads while it is written."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Empty
from typing import Any

from kombu import Connection

from relcoord import embedded, queue

MESSAGES = 60
LONG = "look now " * 200_000  # what takes a while to write


def channel(var: Path) -> Any:
    embedded.prepare(var)
    return Connection(transport=queue.Transport, transport_options=embedded.broker_options(var)).channel()


def test_a_reader_never_meets_half_a_message(tmp_path: Path) -> None:
    writer, reader = channel(tmp_path), channel(tmp_path)
    putting = threading.Thread(
        target=lambda: [writer._put("celery", {"number": number, "text": LONG}) for number in range(MESSAGES)]
    )
    putting.start()
    taken: list[int] = []
    while putting.is_alive() or len(taken) < MESSAGES:
        try:
            taken.append(reader._get("celery")["number"])
        except Empty:
            if not putting.is_alive() and reader._size("celery") == 0:
                break
    putting.join()
    assert sorted(taken) == list(range(MESSAGES))


def test_two_that_bind_at_once_both_stand_in_the_table_and_a_reader_sees_it_whole(tmp_path: Path) -> None:
    names = [f"queue-{number}" for number in range(40)]
    seen: list[int] = []

    def bind(some: list[str]) -> None:
        mine = channel(tmp_path)
        for name in some:
            mine._queue_bind("look", name, "", name)
            seen.append(len(mine.get_table("look")))

    both = [threading.Thread(target=bind, args=(some,)) for some in (names[:20], names[20:])]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(row.queue for row in channel(tmp_path).get_table("look")) == sorted(names)
    assert len(seen) == len(names)


def test_a_queue_leaves_no_drafts_behind(tmp_path: Path) -> None:
    mine = channel(tmp_path)
    mine._put("celery", {"number": 1})
    mine._queue_bind("look", "", "", "celery")
    assert not list(tmp_path.rglob("*.draft"))
