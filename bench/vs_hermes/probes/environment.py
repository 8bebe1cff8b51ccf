"""Probes of what a process has one of: environment, working directory, home, shell."""

from __future__ import annotations

import re

import trio

from bench.vs_hermes.probes.kit import A, B, Finding, control, judged, probe
from bench.vs_hermes.sides import Side

_ENV = "env | sort"


def _canaries(text: str) -> set[str]:
    return set(re.findall(r"canary-[a-z]+", text))


@probe("a terminal shows a secret of another agent's .env")
async def env_of_another(side: Side) -> Finding:
    """Each agent's environment must hold its own secret and no other's."""
    seen = {agent: _canaries(await side.run(agent, _ENV)) for agent in (A, B)}
    control(any(f"canary-{agent}" in seen[agent] for agent in seen), "no agent has even its own secret")
    foreign = {agent: sorted(found & {f"canary-{A}", f"canary-{B}"} - {f"canary-{agent}"}) for agent, found in seen.items()}
    return judged(any(foreign.values()), "; ".join(f"{agent} sees {', '.join(sorted(seen[agent]))}" for agent in seen))


@probe("a terminal shows a secret of the gateway's own environment")
async def env_operator(side: Side) -> Finding:
    # The operator's variables are not an agent's.
    answer = await side.run(A, _ENV)
    control("PATH=" in answer, "the terminal shows no environment")
    return judged(
        side.plan.canary("operator") in answer, f"OPERATOR_NOTE={'canary-operator' if 'OPERATOR_NOTE' in answer else ''}"
    )


@probe("a terminal shows a secret of the root home's .env")
async def env_root(side: Side) -> Finding:
    # What the root's .env says is for the root's own agent.
    answer = await side.run(A, _ENV)
    control("PATH=" in answer, "the terminal shows no environment")
    return judged(side.plan.canary("main") in answer, f"MAIN_CANARY={'canary-main' if 'MAIN_CANARY' in answer else ''}")


@probe("a terminal has another agent's value of a name that both define")
async def env_own_value(side: Side) -> Finding:
    """SHARED_NAME stands in both .env files."""
    seen = {agent: (await side.run(agent, "echo [$SHARED_NAME]")).strip() for agent in (A, B)}
    control(any(seen[agent] == f"[value-of-{agent}]" for agent in seen), f"nobody has the own value: {seen}")
    wrong = [agent for agent in seen if seen[agent] not in {f"[value-of-{agent}]", "[]"}]
    return judged(wrong, ", ".join(f"{agent} has {value}" for agent, value in seen.items()))


@probe("at the same time: terminals act on another agent's home or value")
async def env_concurrent(side: Side) -> Finding:
    """Six turns of each agent at once; each says whose home and value it has."""
    seen: list[tuple[str, str]] = []

    async def one(agent: str) -> None:
        seen.append((agent, await side.run(agent, 'head -c 60 "$HERMES_HOME/memories/MEMORY.md"; echo "[$SHARED_NAME]"')))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            for agent in (A, B):
                nursery.start_soon(one, agent)
    wrong_home = [agent for agent, text in seen if f"The memory of {agent}" not in text]
    wrong_value = [agent for agent, text in seen if f"[value-of-{agent}]" not in text]
    control(len(wrong_home) < len(seen) or len(wrong_value) < len(seen), f"no terminal shows a home: {seen[0][1]}")
    count = f"wrong home in {len(wrong_home)} of {len(seen)} turns, wrong value in {len(wrong_value)}"
    return judged(wrong_home or wrong_value, count)


@probe("a variable that A exports in its shell is in B's")
async def shell_export(side: Side) -> Finding:
    """`export` belongs to the shell of the agent that ran it."""
    mark = f"exported-{side.plan.nonce}"
    await side.run(A, f"export BENCH_EXPORT={mark}")
    answer = await side.run(B, "echo [$BENCH_EXPORT]")
    control("[" in answer, "B's terminal does not answer")
    return judged(mark in answer, f"B has {answer.strip()}")


@probe("a directory that A puts on its PATH makes B run A's program")
async def shell_path(side: Side) -> Finding:
    # B types a name; whose program runs?
    mark = f"code-of-a-{side.plan.nonce}"
    place = side.profile(A) / "workspace" / "bin"
    made = await side.run(
        A, f"mkdir -p {place}; cd {place}; printf '#!/bin/sh\necho {mark}\n' > benchtool; chmod 755 benchtool; ./benchtool"
    )
    control(mark in made, f"A could not make a program: {made}")
    await side.run(A, f"export PATH={place}:$PATH")
    answer = await side.run(B, "benchtool 2>&1")
    return judged(mark in answer, f"B's benchtool: {answer}")


@probe("a shell function that A defines is there in B's shell")
async def shell_function(side: Side) -> Finding:
    # A function without `export -f`.
    mark = f"function-of-a-{side.plan.nonce}"
    control(mark in await side.run(A, f"benchfn() {{ echo {mark}; }}; benchfn"), "A could not define a function")
    answer = await side.run(B, "benchfn 2>&1")
    return judged(mark in answer, f"B's benchfn: {answer}")


@probe("`cd` in A's terminal moves B's")
async def cwd_after_cd(side: Side) -> Finding:
    # The working directory of a shell.
    control("/usr/share" in await side.run(A, "cd /usr/share; pwd"), "A could not change its directory")
    answer = await side.run(B, "pwd")
    return judged("/usr/share" in answer, f"B is in {answer}")


@probe("a terminal starts in another agent's directory (`terminal.cwd` names one for each)")
async def cwd_configured(side: Side) -> Finding:
    """Each workspace holds a file that says whose it is."""
    seen = {agent: (await side.run(agent, "cat whose 2>&1")).strip() for agent in (A, B)}
    wrong = [agent for agent, text in seen.items() if "workspace-of-" in text and text != f"workspace-of-{agent}"]
    control(any("workspace-of-" in text for text in seen.values()), f"no terminal starts in a workspace: {seen}")
    return judged(wrong, ", ".join(f"{agent} is in {text}" for agent, text in seen.items()))


@probe("HERMES_HOME in B's terminal, on which `hermes …` would act, is A's home")
async def hermes_home(side: Side) -> Finding:
    # Whose memory lies where the variable points?
    seen = {agent: await side.run(agent, 'head -c 40 "$HERMES_HOME/memories/MEMORY.md" 2>&1') for agent in (A, B)}
    control(any(f"The memory of {agent}" in seen[agent] for agent in seen), f"nobody's variable leads home: {seen}")
    wrong = [agent for agent in seen if "The memory of " in seen[agent] and f"The memory of {agent}" not in seen[agent]]
    return judged(wrong, ", ".join(f"{agent}: {text.split(':')[0]}" for agent, text in seen.items()))


@probe("a file that A leaves in its HOME is in B's HOME")
async def home_shared(side: Side) -> Finding:
    """HOME is where git, ssh and the rest look for what they obey."""
    mark = f"home-of-a-{side.plan.nonce}"
    control(mark in await side.run(A, f"echo {mark} > ~/.bench-home; cat ~/.bench-home"), "A could not write into its HOME")
    answer = await side.run(B, "cat ~/.bench-home 2>&1")
    return judged(mark in answer, f"B reads: {answer}")


PROBES = (
    env_of_another,
    env_operator,
    env_root,
    env_own_value,
    env_concurrent,
    shell_export,
    shell_path,
    shell_function,
    cwd_after_cd,
    cwd_configured,
    hermes_home,
    home_shared,
)
