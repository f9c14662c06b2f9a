"""Many open pages in one light process, as far as the stream can tell: `python -m tests.benchmarks.watching PORT`.

The first line of standard input is a JSON list of the pages' addresses; when it ends, so does this. A line of JSON is
printed when all are live, whenever the last of them has heard of a revision, and at the end. The clock is the
machine's own, so another process may compare its times.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

AT_ONCE = 50  # connections being opened
EVENT = re.compile(rb"event: (\w+)\ndata: (\S*)\n\n")
AWAKE = (b"live", b"resync")


class Pages:
    """What all of them have heard."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.pages: list[Page] = []
        self.awake = 0
        self.gone = 0
        self.heard: dict[int, int] = {}  # how many have heard of a revision, or of a later one

    def hears(self, page: Page, revision: int, now: float) -> None:
        before, page.revision = page.revision, revision
        if revision not in self.heard:
            self.heard[revision] = sum(other.revision > revision for other in self.pages)
        for known in [known for known in self.heard if before < known <= revision]:
            self.heard[known] += 1
            if self.heard[known] == self.wanted:
                say(revision=known, last=now)
                del self.heard[known]

    def wakes(self) -> None:
        self.awake += 1
        if self.awake == self.wanted:
            say(open=self.awake)

    def end(self) -> dict[str, int]:
        newest = max((page.revision for page in self.pages), default=0)
        return {"behind": sum(page.revision < newest for page in self.pages), "gone": self.gone}


class Page(asyncio.Protocol):
    def __init__(self, pages: Pages, address: str) -> None:
        self.pages, self.address = pages, address
        self.revision, self.awake, self.rest = 0, False, b""
        pages.pages.append(self)

    def connection_made(self, transport: Any) -> None:
        transport.write(f"GET {self.address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now, self.rest, end = time.monotonic(), self.rest + data, 0
        for found in EVENT.finditer(self.rest):
            end = found.end()
            if found[1] == b"change" and found[2].isdigit():
                self.pages.hears(self, int(found[2]), now)
            elif found[1] in AWAKE and not self.awake:
                self.awake = True
                self.pages.wakes()
        self.rest = self.rest[end:][-4096:]

    def connection_lost(self, failure: Exception | None) -> None:
        self.pages.gone += 1


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def watch(port: int) -> None:
    loop = asyncio.get_running_loop()
    addresses = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    pages, gate = Pages(len(addresses)), asyncio.Semaphore(AT_ONCE)

    async def open_one(address: str) -> None:
        async with gate:
            await loop.create_connection(lambda: Page(pages, address), "127.0.0.1", port)

    await asyncio.gather(*map(open_one, addresses))
    await loop.run_in_executor(None, sys.stdin.read)  # until the other side closes it
    say(**pages.end())


if __name__ == "__main__":
    asyncio.run(watch(int(sys.argv[1])))
