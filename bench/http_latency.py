"""Time turns through HTTP, and print how it was run. What a turn costs without HTTP: `hermes-iso bench turns`.

    python bench/http_latency.py [--turns N]

Two measurements, with p50 and p99 in milliseconds:
  http    a chat completion with the built-in offline model, one client
  fair    16 clients at once, half on each of two agents: the slowest client's p50 over the fastest's
It starts `hermes-iso run --demo` as a process of its own. Exit 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

import httpx
import trio

TARGETS = {"http": 40.0, "fair": 2.0}


def row(name: str, seconds: list[float]) -> float:
    """Print one measurement; return its p50 in milliseconds."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
    print(f"{name:<34} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   n {len(ordered)}")
    return p50


async def one_client(client: httpx.AsyncClient, url: str, turns: int, seconds: list[float]) -> None:
    """Send turns one after the other, noting how long each took."""
    for _ in range(turns):
        start = time.perf_counter()
        answer = await client.post(url, json={"model": "x", "messages": [{"role": "user", "content": "hello"}]})
        answer.raise_for_status()
        seconds.append(time.perf_counter() - start)


async def time_http(base: str, key: str, turns: int) -> tuple[list[float], list[list[float]]]:
    """Return one client's seconds, and those of each of 16 concurrent clients."""
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60, limits=limits) as client:
        alone: list[float] = []
        await one_client(client, f"{base}/v1/chat/completions", 5, [])
        await one_client(client, f"{base}/v1/chat/completions", turns, alone)
        crowd: list[list[float]] = [[] for _ in range(16)]
        async with trio.open_nursery() as nursery:
            for number, seconds in enumerate(crowd):
                agent = ("main", "coder")[number % 2]
                nursery.start_soon(one_client, client, f"{base}/p/{agent}/v1/chat/completions", max(5, turns // 10), seconds)
        return alone, crowd


def main() -> int:
    """Measure, print, and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=200)
    turns = parser.parse_args().turns
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    print(f"{platform.python_version()} on {platform.system()} {platform.release()}, {os.cpu_count()} cores, as {who}")
    found = {}
    demo = subprocess.Popen(
        [sys.executable, "-m", "hermes_iso", "run", "--demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert demo.stdout is not None
        ready = re.search(r"ready url=(\S+) .*key=(\S+)", demo.stdout.readline())
        assert ready is not None, "the demo did not start"
        alone, crowd = trio.run(time_http, ready[1], ready[2], turns)
    finally:
        demo.terminate()
        demo.wait()
    found["http"] = row("HTTP turn, offline model, 1 client", alone)
    row("HTTP turn, 16 clients", [each for client in crowd for each in client])
    medians = [statistics.median(client) for client in crowd]
    found["fair"] = max(medians) / min(medians)
    print(f"{'slowest client / fastest client':<34} {found['fair']:.2f}")
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))
    missed = [name for name, target in TARGETS.items() if found[name] > target]
    for name in missed:
        print(f"missed: {name} {found[name]:.2f} > {TARGETS[name]}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
