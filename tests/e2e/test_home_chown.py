"""`home chown` on a file system that can't map owners (ramfs), as a process of its own, from refusal to undo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateways import environment, hermes_iso

pytestmark = pytest.mark.long

SCRIPT = r"""
hermes() { "$PY" -m hermes_iso "$@"; }
mount -t ramfs -o mode=755 none "$RAM"; H=$RAM/home
hermes init --home $H --agents a >/dev/null
hermes doctor --home $H | grep ^identity >$OUT/doctor || :
hermes run --home $H 2>$OUT/refused && exit 91 || [ $? = 3 ]
mkdir -p $H/profiles/a/workspace; echo mine >$H/profiles/a/workspace/f; chown 1234:55 $H/profiles/a/workspace/f
hermes home chown a --home $H </dev/null >$OUT/asked 2>&1 && exit 92 || [ $? = 2 ]
stat -c %u $H/profiles/a/workspace/f >$OUT/unasked
hermes home chown a --home $H --yes >$OUT/given; hermes home chown main --home $H --yes >/dev/null
stat -c '%u' $H/profiles/a/workspace $H/profiles/a/workspace/f $H/workspace >$OUT/uids
stat -c '%a %u' $H/hermes-iso/agents/a/owners.json >$OUT/record
hermes doctor --home $H | grep ^identity >$OUT/doctor-after
hermes exec --home $H --agent a -- sh -c 'cat f; id -u; echo new >made; stat -c %u made; ls /hermes/config.yaml' >$OUT/inside
stat -c '%u' $H/profiles/a/workspace/made >$OUT/made
hermes home chown a --home $H --undo --yes >$OUT/undone
stat -c '%u:%g' $H/profiles/a/workspace $H/profiles/a/workspace/f $H/profiles/a/workspace/made >$OUT/owners-after
hermes run --home $H 2>/dev/null && exit 93 || [ $? = 3 ]
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a ramfs that can't map owners")
def test_home_on_a_file_system_without_mapping_is_served_after_chown_and_not_after_undo(tmp_path: Path) -> None:
    """Refused with the command; then served as the agent's fixed uid; then every owner is as before, and refused again."""
    out, ram = tmp_path / "out", tmp_path / "ram"
    out.mkdir()
    ram.mkdir()
    env = {**environment(), "PY": sys.executable, "OUT": str(out), "RAM": str(ram)}
    ran = subprocess.run(["unshare", "-m", "sh", "-exc", SCRIPT], capture_output=True, text=True, timeout=110, env=env)
    assert ran.returncode == 0, ran.stderr
    said = {file.name: file.read_text() for file in out.iterdir()}
    for name in ("doctor", "refused"):
        assert "ramfs" in said[name]
        assert f"hermes-iso home chown a --home {ram}/home" in said[name]
    assert "Traceback" not in "".join(said.values()) + ran.stderr
    assert "--yes" in said["asked"]
    assert said["unasked"] == "1234\n"
    workspace, file, other = said["uids"].split()
    assert workspace == file != other
    assert int(file) >= 2_000_000
    assert f"host uid {file}" in said["given"]
    assert said["record"] == "600 0\n"
    assert "ok" in said["doctor-after"]
    assert said["inside"].split() == ["mine", "1000", "1000", "/hermes/config.yaml"]
    assert said["made"].strip() == file
    assert said["owners-after"].split() == ["0:0", "1234:55", "0:0"]


def test_home_chown_is_refused_where_it_is_not_needed(tmp_path: Path) -> None:
    """Where owners can be mapped nothing is changed, and an ordinary user is told that agents are that user."""
    home = tmp_path / "home"
    assert hermes_iso("init", "--home", str(home)).returncode == 0
    ran = hermes_iso("home", "chown", "main", "--home", str(home), "--yes")
    assert ran.returncode == 2
    assert ("not needed here" if os.geteuid() == 0 else "ordinary user") in ran.stderr
    assert not (home / "hermes-iso/agents/main/owners.json").exists()
    if os.geteuid() == 0:
        assert "nothing to undo" in hermes_iso("home", "chown", "main", "--home", str(home), "--undo").stderr
