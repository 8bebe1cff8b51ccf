"""Probes of code in the process itself: a plugin's tool in A's turn, and what B's turn then finds."""

from __future__ import annotations

import json
from typing import Any

from bench.vs_hermes.probes.kit import A, B, Finding, NotRunError, judged, probe, shown
from bench.vs_hermes.sides import Side


async def _look(side: Side, agent: str, action: str = "look", value: str = "") -> dict[str, Any]:
    """Return what the plugin's tool sees in a turn of an agent. Raises NotRunError where that tool is not served."""
    answer = await side.tool(agent, "bench_probe", {"action": action, "value": value})
    try:
        seen = json.loads(answer)
        return {**seen, "pid": int(seen["pid"])}
    except (ValueError, KeyError, TypeError):
        raise NotRunError(f"no plugin runs there: {shown(side, answer)}") from None


@probe("a plugin in B's turn finds others' secrets in os.environ")
async def plugin_secrets(side: Side) -> Finding:
    # What lies in the process is what its code can read.
    await _look(side, A)
    foreign = sorted({each.rpartition("-")[0] for each in (await _look(side, B))["canaries"]} - {f"canary-{B}"})
    return judged(foreign, f"B's plugin sees {', '.join(foreign) or 'its own alone'}")


@probe("os.environ, set by a plugin in A's turn, is set in B's")
async def plugin_setenv(side: Side) -> Finding:
    """One process has one environment."""
    mark = f"set-by-a-{side.plan.nonce}"
    await _look(side, A, "setenv", mark)
    seen = (await _look(side, B))["env"]
    return judged(seen == mark, f"B's plugin has [{seen}]")


@probe("os.chdir by a plugin in A's turn moves B")
async def plugin_chdir(side: Side) -> Finding:
    """One process has one working directory."""
    await _look(side, A, "chdir", "/usr/share")
    seen = str((await _look(side, B))["cwd"])
    return judged(seen == "/usr/share", f"B's plugin is in {shown(side, seen)}")


@probe("what a plugin keeps in a module in A's turn is there in B's")
async def plugin_memory(side: Side) -> Finding:
    """One process has one of each module."""
    mark = f"kept-for-a-{side.plan.nonce}"
    await _look(side, A, "remember", mark)
    seen = (await _look(side, B))["seen"]
    return judged(mark in seen, f"B's plugin finds {seen}")


@probe("a library that A's plugin patches is patched for B")
async def plugin_patch(side: Side) -> Finding:
    # An attribute of `json` stands for any function that could be replaced.
    mark = f"patched-by-a-{side.plan.nonce}"
    await _look(side, A, "patch", mark)
    seen = (await _look(side, B))["mark"]
    return judged(seen == mark, f"B's json has [{seen}]")


@probe("a thread that A's plugin left runs on in B's turn")
async def plugin_thread(side: Side) -> Finding:
    """Threads end with their process, and with nothing else."""
    await _look(side, A, "thread", "3")
    seen = (await _look(side, B))["threads"]
    return judged(seen, f"B's process has {seen}")


PROBES = (plugin_secrets, plugin_setenv, plugin_chdir, plugin_memory, plugin_patch, plugin_thread)
