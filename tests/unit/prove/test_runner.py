"""How one probe is judged, with a gateway that says what the test wants it to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from hermes_iso.messages import Outbound
from hermes_iso.prove.far_host import FarHost, FarHosts
from hermes_iso.prove.probe import BrokenProbeError, Probe
from hermes_iso.prove.runner import one_line, run_probe
from hermes_iso.prove.stage import Stage
from hermes_iso.prove.trial import Trial


class ScriptedGateway:
    """Answers every message with the same text or error."""

    def __init__(self, text: str, error: str | None = None) -> None:
        self.text, self.error = text, error

    async def handle(self, inbound, deliver, relay):
        """Deliver the answer."""
        await trio.lowlevel.checkpoint()
        await deliver(Outbound(inbound.chat, self.text, "t", "a", "s", error=self.error))


def trial_of(text: str, error: str | None = None) -> Trial:
    """Return a trial on a gateway that gives this answer."""
    hosts = FarHosts(FarHost(0), FarHost(0))
    stage = Stage(Path("/nowhere"), ("a", "b"), "canary", cast("Any", ScriptedGateway(text, error)), hosts, frozenset())
    return Trial(stage, "a", "b", "mark")


PROBE = Probe("E01", "env", "look", "pass")
NOTHING, A_HOLE = json.dumps({"done": True, "holes": []}), json.dumps({"done": True, "holes": ["it was\x1b there"]})


@pytest.mark.parametrize(
    ("text", "error", "verdict", "told"),
    [
        (NOTHING, None, "passed", ""),
        (A_HOLE, None, "failed", "it was\\x1b there"),
        ("", None, "failed", "the probe itself failed"),
        ('{"done": true}', None, "failed", "the probe itself failed"),
        ('{"holes": []}', None, "failed", "the probe itself failed"),
        (NOTHING, "guest_died", "failed", "the probe itself failed: the turn ended with guest_died"),
    ],
)
async def test_guest_probe_passes_only_when_it_says_so_at_its_end(text, error, verdict, told):
    """Silence, a broken answer and an error are failures, and evidence is printable."""
    result = await run_probe(PROBE, trial_of(text, error), self_test=False)
    assert result.verdict == verdict
    assert result.evidence.startswith(told)
    assert result.evidence.isprintable()


@pytest.mark.parametrize(("text", "verdict"), [(NOTHING, "blind"), (A_HOLE, "found"), ("", "blind")])
async def test_self_test_needs_the_hole_and_not_just_a_failure(text, verdict):
    """A probe that broke has found nothing."""
    assert (await run_probe(PROBE, trial_of(text), self_test=True)).verdict == verdict


@pytest.mark.parametrize("error", [BrokenProbeError("no control"), ValueError("crash"), OSError(1, "no")])
async def test_host_probe_that_breaks_never_passes(error):
    """Whatever it raises is a failure that says what."""

    async def attack(trial: Trial) -> str:
        raise error

    result = await run_probe(Probe("F01", "fs", "look", attack), trial_of(""), self_test=False)
    assert result.verdict == "failed"
    assert "the probe itself failed" in result.evidence


async def test_probe_that_hangs_fails_at_its_deadline(autojump_clock):
    """A probe that never ends is a failure, and the suite goes on."""

    async def attack(trial: Trial) -> str:
        await trio.sleep_forever()
        raise AssertionError

    result = await run_probe(Probe("F01", "fs", "look", attack), trial_of(""), self_test=False)
    assert (result.verdict, "longer than" in result.evidence) == ("failed", True)


def test_evidence_is_one_short_printable_line():
    """Control and bidi characters are spelled out, and a long text is cut."""
    line = one_line("a\n\x1b[2J\u202e" + "x" * 500)
    assert line.startswith("a\\n\\x1b[2J\\u202e")
    assert line.isprintable()
    assert len(line) == 200
