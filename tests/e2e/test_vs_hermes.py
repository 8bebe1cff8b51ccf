"""The comparison with a real Hermes gateway, in small: so that its probes keep finding what they are there to find."""

from __future__ import annotations

import pytest

from bench.vs_hermes import latency, leaks
from bench.vs_hermes.latency import Cell
from bench.vs_hermes.probes.kit import A, B
from bench.vs_hermes.run import both_sides, serve_model
from bench.vs_hermes.sides import OURS, PEER, Setting
from tests.support.hermes_package import HERMES_PYTHON, needs_hermes

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, needs_hermes]

NAMES = ("env_of_another", "memory_file", "cwd_after_cd")


@pytest.mark.timeout(300)
async def test_probes_see_leaks_where_there_are_some(tmp_path):
    """By the same probes the peer's agents see each other's secrets and files, and ours do not; turns of both are timed."""
    probes = {probe.name: probe for probe in leaks.PROBES}
    with serve_model() as model:
        async with both_sides((A, B), model, Setting(HERMES_PYTHON, "hermes", tmp_path)) as sides:
            rows = {name: await leaks.both(probes[name], sides) for name in NAMES}
            cell = await latency.measure(sides, Cell(0.0, "no tool", 2, 2), rounds=1)
    assert {name: row[PEER]["verdict"] for name, row in rows.items()} == dict(zip(NAMES, ("LEAK", "LEAK", "held"), strict=True))
    assert {name: row[OURS]["verdict"] for name, row in rows.items()} == dict.fromkeys(NAMES, "held")
    assert {name: figures["n"] for name, figures in cell.items()} == {PEER: 2, OURS: 2}
    assert min(figures["cpu_ms_per_turn"] for figures in cell.values()) > 0
