"""Time the inbox: taking a message, draining a full queue, memory over many messages; and print how it was run.

    python bench/inbox.py [--queued N] [--messages N]

  accept   a message from its adapter's hands to the disk, nothing else running: p50 and p99 in milliseconds
  drain    N queued messages of 40 chats and two agents, taken up by a gateway that starts, in messages per second; beside it
           the pool's own rate: as many turns of 40 chats straight through the line, before and after, without an inbox
  memory   the gateway's resident memory after a tenth of N further messages, and after all of them
Real sandboxes, the built-in offline model, a platform in memory. Exit 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import trio

from hermes_iso.adapter import DeliveryNotes, OutboundFile
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt
from hermes_iso.reload import Controls

CHATS = 40
ACCEPT_MS = 2.0
DRAIN_SHARE = 0.8
"""Of the pool's own rate; what is missing is what the steps on disk cost."""
GROWTH = 1.1


class Counted:
    """A platform that takes every answer and counts."""

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def answering(
        self,
        chat: ChatRef,  # noqa: ARG002  # the form of Chats
        *,
        reply_to: str | None,  # noqa: ARG002
        notes: DeliveryNotes,  # noqa: ARG002
    ) -> AsyncIterator[Counted]:
        yield self

    async def show(self, progress: Progress) -> None:
        pass

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:  # noqa: ARG002
        assert outbound.error is None, outbound.text
        self.count += 1
        return str(self.count)


def message(number: int, what: str) -> Inbound:
    """Return a message of one of the chats."""
    chat = ChatRef("bench", f"chat-{number % CHATS}")
    return Inbound(chat, f"message {number}", f"{what}-{number}", "person", agent=("main", "other")[number % 2])


async def direct_rate(gateway: Gateway, count: int) -> float:
    """Return how many turns per second the line itself takes."""

    async def deliver(outbound: Outbound) -> Receipt:
        assert outbound.error is None, outbound.text
        return Receipt(outbound, "")

    async def show(progress: Progress) -> None:
        pass

    async def chat(first: int) -> None:
        for number in range(first, count, CHATS):
            await gateway.handle(message(number, "direct"), deliver, show)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for first in range(CHATS):
            nursery.start_soon(chat, first)
    return count / (time.perf_counter() - began)


async def wait_for(chats: Counted, count: int) -> None:
    """Wait until so many answers have come."""
    while chats.count < count:
        await trio.sleep(0.01)


def resident_mb() -> float:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def accept_times(config: Config, count: int) -> list[float]:
    """Take messages that nobody works on yet, and return the seconds of each."""
    seconds = []
    async with open_gateway(config, admin=False) as gateway:
        for number in range(count):
            began = time.perf_counter()
            await gateway.front.inbox.accept(message(number, "queued"))
            seconds.append(time.perf_counter() - began)
    return seconds


async def measure(home: Path, queued: int, messages: int) -> dict[str, float]:
    """Measure everything on one home."""
    config = load_config(home, {})
    seconds = sorted(await accept_times(config, queued))
    found = {"accept_p50": statistics.median(seconds) * 1e3, "accept_p99": seconds[int(len(seconds) * 0.99)] * 1e3}
    async with open_gateway(config, admin=False) as gateway:
        await direct_rate(gateway, CHATS)
        before = await direct_rate(gateway, queued // 2)
    chats, controls = Counted(), Controls(lambda: config, trio.Event())
    async with open_gateway(config, admin=False, controls=controls, chats=chats) as gateway:
        await wait_for(chats, CHATS)  # the sandboxes are made by then, as they were for the direct turns
        first, began = chats.count, time.perf_counter()
        await wait_for(chats, queued)
        found["drain"] = (queued - first) / (time.perf_counter() - began)
        found["pool"] = statistics.mean([before, await direct_rate(gateway, queued // 2)])
        for number in range(messages):
            await wait_for(chats, queued + number - 500)
            await gateway.front.inbox.accept(message(number, "more"))
            if number == messages // 10:
                await wait_for(chats, queued + number)
                found["mb_before"] = resident_mb()
        await wait_for(chats, queued + messages)
        found["mb_after"] = resident_mb()
    return found


def main() -> int:
    """Measure, print, and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queued", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=10_000)
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    print(f"{platform.python_version()} on {platform.system()} {platform.release()}, {os.cpu_count()} cores, as {who}")
    place = Path(tempfile.mkdtemp(prefix="hermes-iso-bench-"))
    try:
        (place / "config.yaml").write_text(
            "model: builtin/offline\nagents: {other: {}}\n"
            f"gateway: {{inbox: {{max_queued: {asked.queued + 1000}, max_queued_per_chat: {asked.queued}}}}}\n"
        )
        found = trio.run(measure, place, asked.queued, asked.messages)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(f"accept                     p50 {found['accept_p50']:.2f} ms   p99 {found['accept_p99']:.2f} ms   n {asked.queued}")
    print(f"drain {asked.queued} queued messages   {found['drain']:.1f} per second")
    print(f"the same through the line  {found['pool']:.1f} per second")
    print(f"memory over {asked.messages} messages  {found['mb_before']:.1f} MB, then {found['mb_after']:.1f} MB")
    missed = [
        text
        for text, good in (
            (f"accept p50 <= {ACCEPT_MS} ms", found["accept_p50"] <= ACCEPT_MS),
            (f"drain >= {DRAIN_SHARE} of the line's rate", found["drain"] >= DRAIN_SHARE * found["pool"]),
            (f"memory <= {GROWTH} of what it was", found["mb_after"] <= GROWTH * found["mb_before"]),
        )
        if not good
    ]
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
