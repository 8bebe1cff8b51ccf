"""Time what the model host adds to a model call, and print how it was run.

    python bench/model_host.py [--calls N]

One client asks a local server that answers at once, in turns directly and through a door and its model host, each over a
connection that stays open. Server, gateway's part and client are a process each. p50 and p99 in milliseconds; exit 1 when the
added p50 is over its target.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import trio

from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.broker.budgets import Budget
from hermes_iso.broker.egress.door import Door, DoorLimits
from hermes_iso.broker.egress.rules import EgressRules
from hermes_iso.broker.egress.serving import serve_door
from hermes_iso.broker.model_host.answering import Answers
from hermes_iso.broker.model_host.host import ModelHost
from hermes_iso.broker.model_host.menu import Menu
from hermes_iso.broker.models import ModelBroker
from hermes_iso.policy import ToolPolicy
from hermes_iso.profiles import Profile

TARGET_MS = 1.0
WARM_UP = 50
ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "test",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello " * 50}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60},
    }
).encode()
BODY = json.dumps({"model": "test", "messages": [{"role": "user", "content": "hello " * 200}]}).encode()


class Log:
    """A journal that forgets."""

    turn_id = "bench"

    async def add_last(self, kind: str, **data: object) -> None:
        """Take an entry."""


def _forget(record: dict[str, object]) -> None:
    """Take a record."""


def read_message(connection: socket.socket) -> bytes:
    """Return one message with a content-length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(1 << 16)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head


def serve_upstream() -> None:
    """Answer each request of each connection at once: two are open at a time at most."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while read_message(connection):
                    connection.sendall(answer)
                os._exit(0)


async def serve_gateway(port: int) -> None:
    """Serve a door with a model host, until the process is ended."""
    settings = ModelSettings("custom", "test", f"http://127.0.0.1:{port}/v1", "chat_completions", "sk-bench-0123456789")
    agent = Agent("main", "main", settings, "", ToolPolicy(), Profile("main", Path("/nowhere")), models=())
    menu = Menu.of(agent, agent.policy, "console")
    async with ModelBroker() as broker:
        answers = Answers(menu, (Budget(max_iterations=1_000_000),), Log())
        host = ModelHost(broker, menu=menu, answers=answers, deadline=trio.current_time() + 3600)
        limits = DoorLimits(total=1_000_000)
        door = Door("main", "bench", EgressRules(), _forget, limits=limits, local=host.serve)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listener.socket.getsockname()[1], flush=True)
        await serve_door(listener, door)


def measure(ports: tuple[int, int], calls: int) -> tuple[list[float], list[float]]:
    """Return the seconds of direct calls and of those through the door, taken in turns."""
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    request += b"authorization: Bearer any\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
    connections = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    seconds: tuple[list[float], list[float]] = ([], [])
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(WARM_UP + calls):
        for connection, found in zip(connections, seconds, strict=True):
            start = time.perf_counter()
            connection.sendall(request)
            assert b" 200 " in read_message(connection).split(b"\r\n")[0], "the call failed"
            if number >= WARM_UP:
                found.append(time.perf_counter() - start)
    return seconds


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of processors so far, which others' load does not change."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def part(*words: str) -> tuple[subprocess.Popen[str], int]:
    """Start a part of the bench as a process of its own; return it and its port."""
    process = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def row(name: str, seconds: list[float]) -> float:
    """Print one measurement; return its p50 in milliseconds."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
    print(f"{name:<24} p50 {p50:7.3f} ms   p99 {p99:7.3f} ms   n {len(ordered)}")
    return p50


def main() -> int:
    """Measure, print, and compare with the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--part", choices=["upstream", "gateway"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "upstream":
        serve_upstream()
    if given.part == "gateway":
        trio.run(serve_gateway, given.port)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{platform.python_version()} on {platform.system()} {platform.release()}, {os.cpu_count()} cores, load {load}")
    print(f"{given.calls} calls each way in turns, {len(BODY)} bytes asked, {len(ANSWER)} answered, plain HTTP on 127.0.0.1")
    upstream, port = part("--part", "upstream")
    gateway, door = part("--part", "gateway", "--port", str(port))
    try:
        spent = cpu_seconds(gateway.pid)
        direct, hosted = measure((port, door), given.calls)
        spent = (cpu_seconds(gateway.pid) - spent) / (WARM_UP + given.calls)
    finally:
        for process in (gateway, upstream):
            process.kill()
            process.wait()
    added = row("through the model host", hosted) - row("direct", direct)
    print(json.dumps({"added_p50_ms": round(added, 3), "target_ms": TARGET_MS, "gateway_cpu_ms": round(spent * 1e3, 3)}))
    if added > TARGET_MS:
        print(f"missed: {added:.3f} ms > {TARGET_MS} ms", file=sys.stderr)
    return 1 if added > TARGET_MS else 0


if __name__ == "__main__":
    sys.exit(main())
