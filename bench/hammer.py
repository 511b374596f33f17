"""The load generator: requests over kept connections, from a process of its own and as cheaply as
Python can, so that what is measured keeps the cores.

Reads a plan as JSON from stdin and prints what came of it as JSON. In an open loop a request is due
at its instant whatever became of the others, and its time counts from that instant; in a closed
loop each caller asks again as soon as it has its answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

# Below what gunicorn keeps an idle connection for: an older one may be closed under our request.
KEPT_SECONDS = 3.0
PATIENCE = 30.0


@dataclass(frozen=True)
class Plan:
    """What to ask: one body for each token, in turn. `rate` a second in an open loop, or so many
    `callers` in a closed one."""

    port: int
    path: str
    tokens: list[str]
    bodies: list[str]
    seconds: float
    rate: float | None = None
    callers: int = 1

    def request(self, number: int) -> bytes:
        body = self.bodies[number % len(self.bodies)].encode()
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.tokens[number % len(self.tokens)]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


@dataclass
class Outcome:
    """`took` in seconds, of every answer; `statuses` counts them, a broken connection as 0."""

    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    # How late the generator itself was.
    late: list[float] = field(default_factory=list)


class Hammer:
    """Kept connections, the warmest first, and what came of the requests."""

    def __init__(self, plan: Plan) -> None:
        self.outcome = Outcome()
        self._plan = plan
        self._requests = [plan.request(number) for number in range(len(plan.bodies))]
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []

    async def run(self) -> None:
        began = time.perf_counter()
        await (self._closed_loop(began) if self._plan.rate is None else self._open_loop(began))
        self.outcome.seconds = time.perf_counter() - began

    async def _open_loop(self, began: float) -> None:
        assert self._plan.rate
        tasks = []
        for number in range(round(self._plan.rate * self._plan.seconds)):
            due = began + number / self._plan.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.outcome.late.append(time.perf_counter() - due)
            tasks.append(asyncio.create_task(self._ask(number, due)))
        await asyncio.gather(*tasks)

    async def _closed_loop(self, began: float) -> None:
        end = began + self._plan.seconds

        async def caller(first: int) -> None:
            number = first
            while (now := time.perf_counter()) < end:
                await self._ask(number, now)
                number += self._plan.callers

        await asyncio.gather(*map(caller, range(self._plan.callers)))

    async def _ask(self, number: int, since: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self._answer(self._requests[number % len(self._requests)])
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError):
            status = 0
        self.outcome.took.append(time.perf_counter() - since)
        self.outcome.statuses[status] += 1

    async def _answer(self, request: bytes) -> int:
        reader, writer = await self._connection()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = head.lower()
        length = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in fields:
            writer.close()
        else:
            self._free.append((reader, writer, time.perf_counter()))
        return int(head.split(b" ", 2)[1])

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._free:
            reader, writer, used = self._free.pop()
            if time.perf_counter() - used < KEPT_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._plan.port)


def main() -> None:
    hammer = Hammer(Plan(**json.load(sys.stdin)))
    asyncio.run(hammer.run())
    json.dump(vars(hammer.outcome), sys.stdout)


if __name__ == "__main__":
    main()
