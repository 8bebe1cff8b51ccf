"""`hermes-iso prove` as a user runs it: what holds, what its self-test finds, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.gateways import environment
from tests.support.pools import living

pytestmark = pytest.mark.long

SOME = (
    "E01,E09,E13,E15,F03,F15,F23,F27,F29,P01,P21,P22,N04,N11,K02,K13,K16,R09,R20,S05,S08,X03,X11,G01,G11,T03,T11,T12,O02,O03"
    ",D01,D04,D07,D11,D13,C01,C04,C05,C08"
)
ONE_PER_LAYER = "E01,E09,F01,F06,F27,P01,P05,P13,P21,N04,K02,R09,S05,S07,X03,G01,T03,T10,D01,D13,C04"


def prove(place: Path, *words: str) -> subprocess.Popen[str]:
    """Start the command with a temporary directory of its own."""
    argv = [sys.executable, "-m", "hermes_iso", "prove", *words]
    env = {**environment(), "TMPDIR": str(place)}
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_installation_holds_and_nothing_is_left(tmp_path: Path) -> None:
    """A subset of every category passes, exit 0, and no file or process of it is there afterwards."""
    process = prove(tmp_path, "--json", "--only", SOME)
    out, err = process.communicate(timeout=90)
    document = json.loads(out)
    assert [probe for probe in document["probes"] if probe["verdict"] != "passed"] == []
    assert (process.returncode, document["passed"], err) == (0, SOME.count(",") + 1, "")
    assert list(tmp_path.iterdir()) == []
    assert living(str(tmp_path)) == []


def test_self_test_finds_every_hole(tmp_path: Path) -> None:
    """With its layer off each probe reports what got through, so that its pass is worth something."""
    process = prove(tmp_path, "--self-test", "--json", "--only", ONE_PER_LAYER)
    out, err = process.communicate(timeout=90)
    document = json.loads(out)
    assert [probe for probe in document["probes"] if probe["verdict"] != "found" or not probe["evidence"]] == []
    assert (process.returncode, err) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything(tmp_path: Path, number: int) -> None:
    """Ctrl-C in the middle of attacks ends the turns and removes the home; the exit code is that of a signal."""
    process = prove(tmp_path, "--only", "G08,G19,P19")
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("*/home/profiles/hasty/workspace")) and time.monotonic() < deadline:
        os.sched_yield()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
    assert list(tmp_path.iterdir()) == []
    assert living(str(tmp_path)) == []
