"""kill -9 at every step of a message: nothing is lost, nothing answered twice, no tool runs twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.chaos_gateway import STEPS
from tests.support.gateways import environment

pytestmark = pytest.mark.sandbox

TALK = {f"1{number:02}": f"talk {number}" for number in range(3)}
WORK = {f"2{number:02}": f"RUN echo 2{number:02} >> effects; echo worked" for number in range(2)}


class World:
    """A home, and a platform with messages for it. With one chat nothing is under way beside the message that a step is of."""

    def __init__(self, place: Path, *, chats: str = "a") -> None:
        self.chats = chats
        self.home, self.platform = place / "home", place / "platform"
        (self.platform / "in").mkdir(parents=True)
        (self.platform / "out").mkdir()
        self.home.mkdir()
        routes = "routes: [{match: {chat_id: b}, agent: helper}]"
        (self.home / "config.yaml").write_text(f"model: builtin/offline\nagents: {{helper: {{}}}}\n{routes}\n")
        self.sent: dict[str, str] = {}

    def write(self, messages: dict[str, str]) -> None:
        """Have people write in the chats; the second one is another agent's."""
        for name, text in messages.items():
            self.sent[name] = text
            (self.platform / "in" / f"{name}.json").write_text(
                json.dumps({"chat": self.chats[int(name) % len(self.chats)], "text": text})
            )

    def serve(self, step: str = "never", count: int = 1) -> subprocess.Popen[str]:
        """Start a gateway that dies at a step, and wait until it serves."""
        (self.platform / "open").unlink(missing_ok=True)
        argv = [sys.executable, "-m", "tests.support.chaos_gateway", str(self.home), str(self.platform), step, str(count)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment(), stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def die_at(self, step: str, count: int = 1) -> None:
        """Serve until the gateway has died at a step."""
        process = self.serve(step, count)
        try:
            assert process.wait(timeout=60) == -signal.SIGKILL, f"never came to {step!r}"
        finally:
            end(process)

    def settle(self) -> None:
        """Serve until every message has ended."""
        process = self.serve()
        try:
            wait_for(lambda: not list((self.platform / "in").iterdir()) and self.read("open") == "0")
        finally:
            end(process)

    def read(self, name: str) -> str:
        file = self.platform / name
        return file.read_text() if file.exists() else ""

    def answers(self, name: str) -> list[str]:
        """Return the platform's messages that answer one."""
        found = [json.loads(file.read_text()) for file in sorted((self.platform / "out").iterdir())]
        return [each["text"] for each in found if each["reply_to"] == name]

    def check(self, *, window: Sequence[str] = ()) -> None:
        """Check that each message has one answer, which is whole, in order, and that no command ran twice."""
        effects = [file.read_text().split() for file in self.home.glob("**/workspace/effects")]
        ran = [name for each in effects for name in each]
        assert sorted(set(ran)) == sorted(ran), "a command ran twice"
        for name, text in self.sent.items():
            answers = self.answers(name)
            assert len(answers) == 1 or (name in window and len(answers) == 2), (name, answers)
            if text.startswith("RUN"):
                assert "RESULT" in answers[-1] or "it had run terminal" in answers[-1], answers
                assert "RESULT" not in answers[-1] or name in ran
            else:
                assert answers[-1].endswith(text), answers
        firsts = [line["reply_to"] for line in map(json.loads, self.read("log").splitlines())]
        for chat in range(len(self.chats)):
            order = [name for name in dict.fromkeys(firsts) if int(name) % len(self.chats) == chat]
            assert order == sorted(order), "not in order"


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def wait_for(condition: Callable[[], bool], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not settle"
        time.sleep(0.05)


def test_messages_survive_a_gateway_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """One home through four deaths: accepted, running, in a tool, answered."""
    world = World(tmp_path)
    world.write(TALK | WORK)
    for step in ("after accept", "after running", "after tool", "after answered"):
        world.die_at(step)
    world.settle()
    world.check()


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("step", STEPS)
def test_gateway_killed_at_each_step(tmp_path: Path, step: str, count: int) -> None:
    """Whatever is on disk at that step, the next life brings each message to its one answer."""
    world = World(tmp_path)
    world.write(TALK | WORK)
    count = min(count, 2) if step == "after tool" else count
    world.die_at(step, count)
    world.settle()
    world.check(window=tuple(world.sent) if step == "after send" else ())
    if step == "after send":
        assert sum(len(world.answers(name)) for name in world.sent) <= len(world.sent) + 1


@pytest.mark.long
@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4, 0.7, 1.1])
def test_gateway_killed_at_any_time(tmp_path: Path, delay: float) -> None:
    """A death between two steps is no other than one at a step; the window is for one message of each death."""
    world = World(tmp_path, chats="ab")
    world.write(TALK | WORK)
    deaths = 2  # at the third one a message counts as what kills the gateway
    for _ in range(deaths):
        process = world.serve()
        time.sleep(delay)
        end(process)
    world.settle()
    world.check(window=tuple(world.sent))
    assert sum(len(world.answers(name)) for name in world.sent) <= len(world.sent) + deaths


def children_of(pid: int) -> dict[int, str]:
    """Return a process's descendants with their command lines; those that end meanwhile are left out."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found |= {int(child): _command_line(child), **children_of(int(child))}
    return found


def _command_line(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


@pytest.mark.long
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_process_below_the_gateway_killed(tmp_path: Path, depth: int) -> None:
    """The keeper, the template, a zygote, a turn: whoever dies, each message has one answer, and later ones fare well."""
    world = World(tmp_path, chats="ab")
    world.write({"100": "RUN sleep 2; echo worked", "101": "RUN sleep 2; echo worked"})
    process = world.serve()
    try:
        wait_for(lambda: any("sleep 2" in line for line in children_of(process.pid).values()))
        family = list(children_of(process.pid))
        os.kill(family[min(depth, len(family) - 1)], signal.SIGKILL)
        wait_for(lambda: len(list((world.platform / "out").glob("10*"))) == 2)
        world.write({"102": "talk again", "103": "talk again"})
        wait_for(lambda: not list((world.platform / "in").iterdir()) and world.read("open") == "0")
    finally:
        end(process)
    for name in world.sent:
        assert len(world.answers(name)) == 1, world.answers(name)
    assert world.answers("102")[0].endswith("talk again")
    assert world.answers("103")[0].endswith("talk again")
