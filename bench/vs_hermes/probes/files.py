"""Probes of files and conversations: what of another agent, and of the operator, can be read and changed."""

from __future__ import annotations

from pathlib import Path

from bench.vs_hermes.probes.kit import A, B, Finding, control, judged, probe, script, shown
from bench.vs_hermes.sides import Side


async def _reads(side: Side, name: str) -> str:
    """Return what A's terminal shows of a file of its own and of B's; the own one must be there."""
    own, other = side.profile(A) / name, side.profile(B) / name
    answer = await side.run(A, f"cat {own}; echo; echo ==; cat {other} 2>&1")
    control(side.plan.canary(A) in answer, f"A can't read its own {name}: {shown(side, answer)}")
    return answer.partition("==")[2]


@probe("A's terminal reads B's .env")
async def env_file(side: Side) -> Finding:
    # The file in which B's secrets are.
    answer = await _reads(side, ".env")
    return judged(side.plan.canary(B) in answer, answer)


@probe("A's terminal reads B's memory")
async def memory_file(side: Side) -> Finding:
    # What B's people have told it.
    answer = await _reads(side, "memories/MEMORY.md")
    return judged(side.plan.canary(B) in answer, answer)


async def _read_tool(side: Side, path: object) -> str:
    return await side.tool(A, "read_file", {"path": str(path)})


@probe("A's read_file tool reads B's .env")
async def env_file_tool(side: Side) -> Finding:
    """Where a tool itself refuses, that is what holds."""
    control("workspace-of-alice" in await _read_tool(side, side.profile(A) / "workspace" / "whose"), "read_file does not read")
    answer = await _read_tool(side, side.profile(B) / ".env")
    return judged(side.plan.canary(B) in answer, answer)


@probe("A's read_file tool reads B's memory")
async def memory_file_tool(side: Side) -> Finding:
    # The same tool, on a file that it does not refuse.
    own = await _read_tool(side, side.profile(A) / "memories" / "MEMORY.md")
    control(side.plan.canary(A) in own, f"read_file does not read A's own memory: {shown(side, own)}")
    answer = await _read_tool(side, side.profile(B) / "memories" / "MEMORY.md")
    return judged(side.plan.canary(B) in answer, answer)


async def _appends(side: Side, path: object, what: str) -> str:
    """Have a program of A's append to a file; the same has to work in its own workspace."""
    own = side.profile(A) / "workspace" / "notes.txt"
    append = await script(side, 'echo "$1" >> "$2" && echo written\n', "append.sh")
    done = await side.run(A, f"bash {append} '{what}' {own}; cat {own}")
    control(what in done, f"A can't write into its own workspace: {shown(side, done)}")
    return await side.run(A, f"bash {append} '{what}' {path} 2>&1")


@probe("A's terminal writes into B's memory")
async def memory_write(side: Side) -> Finding:
    # What stands there, B believes; looked up on the host.
    path, mark = side.profile(B) / "memories" / "MEMORY.md", f"believe-me-{side.plan.nonce}"
    answer = await _appends(side, path, mark)
    return judged(mark in path.read_text(encoding="utf-8"), answer)


@probe("A's terminal writes code into B's plugin")
async def plugin_write(side: Side) -> Finding:
    # What stands there, the gateway runs; looked up on the host.
    path, mark = side.profile(B) / "plugins" / "bench" / "more.py", f"code_{side.plan.nonce}"
    answer = await _appends(side, path, mark)
    return judged(path.exists() and mark in path.read_text(encoding="utf-8"), answer)


@probe("A's terminal changes the gateway's config.yaml")
async def config_write(side: Side) -> Finding:
    # A comment is enough to show it; looked up on the host.
    path, mark = side.home / "config.yaml", f"#changed-{side.plan.nonce}"
    answer = await _appends(side, path, mark)
    return judged(mark in path.read_text(encoding="utf-8"), answer)


@probe("A's terminal reads the model provider's key of B")
async def model_key(side: Side) -> Finding:
    # It stands in B's config.yaml.
    answer = await side.run(A, f"cat {side.profile(B)}/config.yaml 2>&1; echo read")
    control("read" in answer, "A's terminal does not answer")
    return judged("key-of-bob" in answer, answer)


@probe("a file that A leaves in /tmp is there for B")
async def tmp_files(side: Side) -> Finding:
    """/tmp is where programs of everybody leave things."""
    return await _left(side, "/tmp")


@probe("a file that A leaves in /dev/shm is there for B")
async def shm_files(side: Side) -> Finding:
    """Shared memory, by its name."""
    return await _left(side, "/dev/shm")


async def _left(side: Side, directory: str) -> Finding:
    mark, path = f"left-by-a-{side.plan.nonce}", f"{directory}/bench-{side.name}-{side.plan.nonce}.txt"
    try:
        control(mark in await side.run(A, f"echo {mark} > {path}; cat {path}"), f"A could not write into {directory}")
        answer = await side.run(B, f"cat {path} 2>&1")
    finally:
        Path(path).unlink(missing_ok=True)
    return judged(mark in answer, answer)


def _session(side: Side, of: str) -> str:
    return f"bench-{of}-{side.plan.nonce}"


async def _talk(side: Side) -> str:
    """Have B say something that nobody else says; return the word."""
    word = f"zyzzyva{side.plan.nonce}"
    if "talked" in side.notes:
        return word
    await side.ask(B, f"remember {word}", _session(side, "talk"))
    told = await side.ask(B, "TELL", _session(side, "talk"))
    control(word in told, f"B's own session does not keep what was said: {shown(side, told)}")
    side.notes["talked"] = True
    return word


def _pattern(word: str) -> str:
    """Return a pattern for grep that finds what B said with that word, and not itself in A's own records."""
    return f"[r]emember {word}"


@probe("A's terminal reads B's conversations in B's database")
async def session_database(side: Side) -> Finding:
    """Wherever below the home a file holds B's words."""
    word = await _talk(side)
    control("1" in await side.run(A, "echo a1b | grep -ac a1b"), "A's terminal has no grep")
    answer = await side.run(
        A, f"grep -rlas '{_pattern(word)}' {side.profile(B)} {side.home}/hermes-iso {side.home}/state.db* | head -3; echo end"
    )
    return judged("state.db" in answer or "hermes-iso/" in answer, answer)


@probe("A's terminal reads B's messages in the logs")
async def logs(side: Side) -> Finding:
    """Wherever below the home a log holds B's words."""
    word = await _talk(side)
    answer = await side.run(A, f'grep -rlas "{_pattern(word)}" {side.home} "$HERMES_HOME" | grep -a log | head -3; echo end')
    return judged(".log" in answer, answer)


@probe("A's session_search tool finds B's conversation")
async def session_search(side: Side) -> Finding:
    # A search for a word that only B's people said.
    word = await _talk(side)
    own = f"own{word}"
    await side.ask(A, f"remember {own}", _session(side, "own"))
    control(own in await side.tool(A, "session_search", {"query": own}, _session(side, "own")), "A's own words are not found")
    answer = await side.tool(A, "session_search", {"query": word})
    return judged(f"remember {word}" in answer, answer)


@probe("A's session_search tool opens B's conversation by its id")
async def session_by_id(side: Side) -> Finding:
    """Ids are no secrets: they stand in headers and logs."""
    word = await _talk(side)
    answer = await side.tool(A, "session_search", {"session_id": _session(side, "talk")})
    control("session" in answer, f"session_search does not answer: {shown(side, answer)}")
    return judged(word in answer, answer)


@probe("A that names B's session goes on in B's conversation")
async def session_named(side: Side) -> Finding:
    # The header X-Hermes-Session-Id, with B's session in it.
    word = await _talk(side)
    answer = await side.ask(A, "TELL", _session(side, "talk"))
    return judged(word in answer, answer)


PROBES = (
    env_file,
    env_file_tool,
    memory_file,
    memory_file_tool,
    memory_write,
    plugin_write,
    config_write,
    model_key,
    tmp_files,
    shm_files,
    session_database,
    logs,
    session_search,
    session_by_id,
    session_named,
)
