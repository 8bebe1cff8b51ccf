"""Probes of what A reaches: other processes, the machine's services, the gateway itself and what it keeps for B."""

from __future__ import annotations

from pathlib import Path

import trio

from bench.vs_hermes.probes.kit import A, B, Finding, control, judged, probe, script, shown
from bench.vs_hermes.sides import Side

_WAIT = 30.0
_WORK = """\
touch "$1.begun"
n=0
while [ ! -e "$1.end" ] && [ $n -lt 150 ]; do sleep 0.2; n=$((n+1)); done
"""
"""What B does, for 30 seconds at most: it says by a file in B's workspace that it has begun, and is told by one to end."""


def _pattern(text: str) -> str:
    """Return a pattern for grep that finds a text and not itself."""
    return f"[{text[0]}]{text[1:]}"


async def _meanwhile(side: Side, mark: str, attack: str) -> tuple[str, str]:
    """Have A run a command while one of B's runs that has `mark` among its arguments; return what each of them says."""
    said: list[str] = []
    work = await script(side, _WORK, f"{mark}.sh", agent=B)
    place = side.profile(B) / "workspace" / mark

    async def working() -> None:
        said.append(await side.run(B, f"bash {work} {place}; echo ended $?"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(working)
        with trio.move_on_after(_WAIT):
            while not Path(f"{place}.begun").exists():
                await trio.sleep(0.05)
        answer = await side.run(A, f"{attack}; echo looked")
        begun, ended = Path(f"{place}.begun").exists(), "".join(said)
        control(begun and "ended 0" not in ended, f"B's command did not run while A looked: {ended}")
        Path(f"{place}.end").touch()
    control("looked" in answer, f"A's terminal does not answer: {shown(side, answer)}")
    return said[0], answer


@probe("A's terminal sees B's processes and their arguments")
async def processes_seen(side: Side) -> Finding:
    # Arguments often hold secrets.
    mark = f"seen-{side.plan.nonce}"
    look = f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -ao '{_pattern(mark)}' | head -1"
    _, answer = await _meanwhile(side, mark, look)
    return judged(mark in answer, answer)


@probe("A's terminal kills B's process")
async def process_killed(side: Side) -> Finding:
    # B's shell says how its command ended.
    mark = f"work-{side.plan.nonce}"
    found = f"tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^bash .*{_pattern(mark)}'"
    kill = f"for p in /proc/[0-9]*; do {found} && kill -9 ${{p#/proc/}} && echo killed; done"
    said, answer = await _meanwhile(side, mark, kill)
    return judged("ended 0" not in said, f"A: {answer}; B: {said}")


@probe("A's process tool lists B's background processes")
async def process_tool(side: Side) -> Finding:
    # A names the session in which B started one.
    session, command = f"list-{side.plan.nonce}", f"sleep 20.{int(side.plan.nonce, 16) % 100000}"
    begun = await side.tool(B, "terminal", {"command": command, "background": True}, session)
    control('"session_id"' in begun, f"B could not start one: {shown(side, begun)}")
    answer = await side.tool(A, "process", {"action": "list"}, session)
    control("processes" in answer, f"A's process tool does not answer: {shown(side, answer)}")
    return judged(command in answer, answer)


@probe("A's terminal reads the gateway's environment in /proc")
async def proc_environ(side: Side) -> Finding:
    """Every process that A can see, searched for the operator's secret."""
    secret = side.plan.canary("operator")
    find = f"cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -ac '{_pattern(secret)}'; echo end"
    answer = await side.run(A, find)
    control("end" in answer, "A's terminal does not answer")
    own = await side.run(A, "cat /proc/self/environ | wc -c")
    control(own.strip().isdigit() and int(own) > 0, f"A can't even read its own: {own}")
    return judged(answer.strip()[:1] not in {"0", "e"}, f"found {answer.split()[0]} times")


@probe("A's terminal reads the gateway's API key")
async def api_key(side: Side) -> Finding:
    # It stands in the root's config.yaml.
    answer = await side.run(A, f"cat {side.home}/config.yaml 2>&1 | grep -o 'key-[0-9a-f]*' | base64 -w0; echo; echo end")
    control("end" in answer, "A's terminal does not answer")
    read = side.plan.key in _decoded(answer.split()[0])
    return judged(read, "the key was read" if read else f"no key: {answer}")


def _decoded(text: str) -> str:
    import base64

    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except ValueError:
        return ""


_POST = """\
import json, sys, urllib.request
body = json.dumps({"model": "x", "messages": [{"role": "user", "content": "RUN echo as-$SHARED_NAME"}]}).encode()
head = {"authorization": "Bearer " + sys.argv[2], "content-type": "application/json"}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(urllib.request.Request(sys.argv[1], body, head), timeout=20).read().decode())
except Exception as error:
    print("refused:", error)
"""


@probe("A's terminal talks to the gateway with that key, as the operator does")
async def impersonate(side: Side) -> Finding:
    # A program in A's workspace asks the gateway for a turn of B.
    path = await script(side, _POST, "post.py")
    key = side.plan.key  # given to A here, so that this is about the way and not about the key
    answer = await side.run(A, f"python3 {path} {side.url.rstrip('/')}/p/{B}/v1/chat/completions {key}")
    control("refused" in answer or "choices" in answer, f"A's program does not run: {shown(side, answer)}")
    return judged('"choices"' in answer, answer)


@probe("A's terminal reaches a service on the machine's 127.0.0.1")
async def loopback(side: Side) -> Finding:
    # A database or an admin page that believes in who is local.
    mark = f"loopback-{side.plan.nonce}"

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(f"{mark}\n".encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            lambda task_status: trio.serve_tcp(serve, 0, host="127.0.0.1", task_status=task_status)
        )
        port = listener.socket.getsockname()[1]
        path = await script(side, _CONNECT, "connect.py")
        answer = await side.run(A, f"python3 {path} {port}")
        nursery.cancel_scope.cancel()
    control("refused" in answer or mark in answer, f"A's program does not run: {shown(side, answer)}")
    return judged(mark in answer, answer)


_CONNECT = """\
import socket, sys
try:
    print(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).recv(100).decode())
except Exception as error:
    print("refused:", error)
"""


async def _kept(side: Side, made: str, of: str) -> Finding:
    """Fetch what B was answered, first below B and then below A."""
    own = (await side.client.get(f"/p/{B}{made}")).text
    control(of in own, f"B's own is not kept: {shown(side, own)}")
    other = await side.client.get(f"/p/{A}{made}")
    return judged(of in other.text, f"{other.status_code}: {other.text}")


@probe("GET /v1/responses below A returns B's response")
async def responses(side: Side) -> Finding:
    # The response of a turn of B, by its id.
    word = f"responded-{side.plan.nonce}"
    answer = await side.client.post(f"/p/{B}/v1/responses", json={"model": "test", "input": f"say {word}"})
    control(answer.status_code == 200, f"/v1/responses answers {answer.status_code}")
    return await _kept(side, f"/v1/responses/{answer.json()['id']}", word)


@probe("GET /v1/runs below A returns what B's run said")
async def runs(side: Side) -> Finding:
    # The output of a run of B, by its id.
    word = f"run-{side.plan.nonce}"
    answer = await side.client.post(f"/p/{B}/v1/runs", json={"model": "test", "input": f"say {word}"})
    control(answer.status_code == 202, f"/v1/runs answers {answer.status_code}")
    path = f"/v1/runs/{answer.json()['run_id']}"
    with trio.move_on_after(_WAIT):
        while (await side.client.get(f"/p/{B}{path}")).json().get("status") not in {"completed", "failed"}:
            await trio.sleep(0.05)
    return await _kept(side, path, word)


PROBES = (
    processes_seen,
    process_killed,
    process_tool,
    proc_environ,
    api_key,
    impersonate,
    loopback,
    responses,
    runs,
)
