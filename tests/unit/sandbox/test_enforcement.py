"""Enforcement: what is not bounded is computed from what the machine can do, and a required limit refuses."""

from pathlib import Path

import pytest

from hermes_iso_sandbox import Limits, UnsupportedSandboxError
from hermes_iso_sandbox.cgroups import Found, Place
from hermes_iso_sandbox.enforcement import LIMITS, check_required, how_enforced, not_bounded

NOTHING = Found(missing={"memory": "of this", "pids": "of that", "cpu": "of those"})
ALL = Found((Place(2, Path("/x"), frozenset({"memory", "pids", "cpu"})),))
SOME = Found((Place(1, Path("/x"), frozenset({"memory"})),), {"pids": "p", "cpu": "c"})


@pytest.mark.parametrize(("found", "names"), [(NOTHING, ["memory", "cpu"]), (ALL, []), (SOME, ["cpu"])])
def test_not_bounded_is_what_the_machine_can_t_keep(found: Found, names: list[str]) -> None:
    """Processes and directories are always bounded; memory and CPU share need a controller, and the reason is told."""
    assert list(not_bounded(found)) == names
    assert all(how.startswith("not bounded") and found.missing[name] in how for name, how in not_bounded(found).items())
    assert tuple(how_enforced(found)) == LIMITS


def test_how_names_the_cgroup_version() -> None:
    """A limit that a group keeps says which version."""
    assert how_enforced(ALL)["memory"] == "cgroup v2"
    assert how_enforced(SOME)["memory"] == "cgroup v1"


def test_a_default_degrades_and_a_required_limit_refuses_with_the_fix() -> None:
    """Only what was asked for by name keeps a sandbox from starting; the sentence has agent, limit, reason and fix."""
    check_required(Limits(), NOTHING, agent="coder")
    check_required(Limits(required=frozenset({"memory", "cpu"})), ALL, agent="coder")
    check_required(Limits(required=frozenset({"pids", "disk", "inodes"})), NOTHING, agent="coder")
    with pytest.raises(UnsupportedSandboxError, match=r"coder .* memory and cpu .* of this\. .*Delegate=yes.*sandbox\.cpu"):
        check_required(Limits(required=frozenset({"memory", "cpu"})), NOTHING, agent="coder")
