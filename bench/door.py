"""Time what a door costs: megabytes per second through a tunnel, and what it adds to a small exchange in an open tunnel.

    python bench/door.py [--megabytes N] [--rounds N]

One client asks a local server directly and through a door, in turns; server, gateway's part and client are a process each.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import trio

from hermes_iso.broker.egress.dialing import Dialer, Endpoint
from hermes_iso.broker.egress.door import Door, DoorLimits
from hermes_iso.broker.egress.rules import EgressRules, parse_rule
from hermes_iso.broker.egress.serving import serve_door

HOST = "far.example.com"
PIECE = b"x" * (1 << 16)


def serve_upstream() -> None:
    """Answer each line `N` with N bytes: one process for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for line in connection.makefile("rb"):
                    left = int(line)
                    while left > 0:
                        left -= connection.send(PIECE[:left])
                os._exit(0)


async def serve_gateway(port: int) -> None:
    """Serve a door to that server, until the process is ended."""
    rules = EgressRules(allow=(parse_rule(f"{HOST}:443"),))
    dialer = Dialer({HOST: Endpoint("127.0.0.1", port)})
    limits = DoorLimits(total=1_000_000, bytes=1 << 50)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listener.socket.getsockname()[1], flush=True)
    await serve_door(listener, Door("main", "bench", rules, lambda _: None, dialer=dialer, limits=limits))


def part(*words: str) -> tuple[subprocess.Popen[str], int]:
    """Start a part of the bench as a process of its own; return it and its port."""
    process = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def connect(port: int, *, through_door: bool) -> socket.socket:
    """Return a connection to the server."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if through_door:
        connection.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        answer = connection.recv(4096)
        assert b" 200 " in answer, answer
    return connection


def fetch(connection: socket.socket, size: int) -> float:
    """Return the seconds that so many bytes take."""
    start = time.perf_counter()
    connection.sendall(b"%d\n" % size)
    while size:
        size -= len(connection.recv(1 << 18))
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=["upstream", "gateway"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "upstream":
        serve_upstream()
    if given.part == "gateway":
        trio.run(serve_gateway, given.port)
    upstream, port = part("--part", "upstream")
    gateway, door = part("--part", "gateway", "--port", str(port))
    try:
        ways = (connect(port, through_door=False), connect(door, through_door=True))
        large = [[fetch(way, given.megabytes << 20) for way in ways] for _ in range(given.rounds)]
        small = [[fetch(way, 100) for way in ways] for _ in range(1000)]
    finally:
        for process in (gateway, upstream):
            process.kill()
            process.wait()
    direct, tunnel = (round(given.megabytes / min(each)) for each in zip(*large, strict=True))
    added = statistics.median(each[1] for each in small) - statistics.median(each[0] for each in small)
    print(json.dumps({"direct_mb_per_s": direct, "door_mb_per_s": tunnel, "added_p50_ms": round(added * 1e3, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
