"""Cgroups: what can be used is found by looking and trying, for v1 and v2, and groups are made, swept and removed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import Limits, UnsupportedSandboxError
from hermes_iso_sandbox.cgroups import LEAF, PREFIX, Cgroups, Found, Place, find, process_limits, settings, sweep

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
"""
V1_OWN = "5:pids:/\n4:memory:/job/7\n1:cpu,cpuacct:/\n0::/\n"
V2_MOUNTS = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V2_OWN = "0::/system.slice/hermes-iso.service\n"


def recorded(root: Path, mounts: str, own: str, files: dict[str, str]) -> Path:
    """Write a tree as /proc and the cgroup mounts look; a path that ends in / is a directory."""
    for name, text in {"proc/self/mountinfo": mounts, "proc/self/cgroup": own, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(text, encoding="ascii")
    return root


def v1(root: Path) -> Path:
    """Record a machine with cgroup v1, seen by root."""
    where = "sys/fs/cgroup"
    files = dict.fromkeys((f"{where}/memory/job/7/", f"{where}/pids/", f"{where}/unified/"), "")
    files[f"{where}/cpu,cpuacct/cpu.cfs_quota_us"] = "-1"
    return recorded(root, V1_MOUNTS, V1_OWN, files)


def v2(root: Path, *, controllers: str = "cpuset cpu io memory pids", procs: str | None = None, own: str = V2_OWN) -> Path:
    """Record a machine with cgroup v2 and a service that was delegated its group."""
    group = "sys/fs/cgroup/system.slice/hermes-iso.service"
    files = {
        f"{group}/cgroup.controllers": controllers + "\n",
        f"{group}/cgroup.subtree_control": "",
        f"{group}/cgroup.procs": f"{os.getpid()}\n" if procs is None else procs,
    }
    return recorded(root, V2_MOUNTS, own, files)


def test_find_uses_each_v1_hierarchy_at_the_own_group(tmp_path: Path) -> None:
    """Groups are made below the group that this process is in, so that limits set from outside hold as well."""
    found = find(v1(tmp_path))
    where = tmp_path / "sys/fs/cgroup"
    assert {(place.base, *place.controllers) for place in found.places} == {
        (where / "memory/job/7", "memory"),
        (where / "pids", "pids"),
        (where / "cpu,cpuacct", "cpu"),
    }
    assert (found.missing, found.version("memory")) == ({}, 1)


def test_find_uses_the_delegated_v2_group(tmp_path: Path) -> None:
    """One directory has all three controllers."""
    root = v2(tmp_path)
    group = root / "sys/fs/cgroup/system.slice/hermes-iso.service"
    assert find(root) == Found((Place(2, group, frozenset({"memory", "pids", "cpu"})),), {})


def test_find_in_the_leaf_looks_at_the_group_above_it(tmp_path: Path) -> None:
    """A gateway that has moved into its leaf goes on using the group that was delegated."""
    root = v2(tmp_path, procs="", own=f"0::/system.slice/hermes-iso.service/{LEAF}\n")
    (root / "sys/fs/cgroup/system.slice/hermes-iso.service" / LEAF).mkdir()
    assert [place.base.name for place in find(root).places] == ["hermes-iso.service"]


@pytest.mark.parametrize(
    ("changes", "missing", "why"),
    [
        ({"controllers": "memory pids"}, {"cpu"}, "does not hand the cpu controller"),
        ({"controllers": ""}, {"memory", "pids", "cpu"}, "does not hand the memory controller"),
        ({"procs": "1\n"}, {"memory", "pids", "cpu"}, "holds other processes as well"),
    ],
)
def test_find_says_why_a_v2_controller_can_t_be_used(
    tmp_path: Path, changes: dict[str, str], missing: set[str], why: str
) -> None:
    """What was not delegated, or is shared with others, is not touched, and the reason is told."""
    found = find(v2(tmp_path, **changes))
    assert found.missing.keys() == missing
    assert why in found.missing[min(missing, key=["memory", "pids", "cpu"].index)]
    assert all(found.version(name) is None for name in missing)


@pytest.mark.parametrize(("mounts", "why"), [("", "no cgroup file system is mounted"), (None, "/proc tells of no cgroup")])
def test_find_without_cgroups_finds_nothing(tmp_path: Path, mounts: str | None, why: str) -> None:
    """A machine without any cgroup is no error."""
    found = find(tmp_path if mounts is None else recorded(tmp_path, mounts, "", {}))
    assert (found.places, found.missing.keys()) == ((), {"memory", "pids", "cpu"})
    assert why in found.missing["memory"]


def test_find_says_when_a_group_can_t_be_made(tmp_path: Path) -> None:
    """It is tried: a hierarchy that takes no directory is not usable, whatever its permissions say."""
    root = v1(tmp_path)
    (root / "sys/fs/cgroup/pids").rmdir()
    (root / "sys/fs/cgroup/pids").write_text("a file stands for what takes no directory")
    assert "no cgroup v1 group can be made" in find(root).missing["pids"]


def test_settings_are_the_kernels_files() -> None:
    """Swap counts as memory; a limit that is not set writes nothing; the zygote has headroom that the agent has not."""
    limits = Limits(memory=64 << 20, processes=20, cpu=0.5)
    both = frozenset({"memory", "pids", "cpu"})
    assert settings(Place(1, Path("/x"), both), limits) == {
        "memory.limit_in_bytes": "67108864",
        "memory.memsw.limit_in_bytes": "67108864",
        "memory.kmem.tcp.limit_in_bytes": "67108864",
        "pids.max": "52",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
    }
    assert settings(Place(2, Path("/x"), both), limits) == {
        "memory.max": "67108864",
        "memory.swap.max": "0",
        "pids.max": "52",
        "cpu.max": "50000 100000",
    }
    assert settings(Place(2, Path("/x"), both), replace(limits, memory=None, cpu=None)) == {"pids.max": "52"}
    assert settings(Place(1, Path("/x"), frozenset({"pids"})), limits) == {"pids.max": "52"}


def test_v2_gateway_moves_into_a_leaf_and_hands_the_controllers_on(tmp_path: Path) -> None:
    """No group with controllers enabled for its children holds a process itself; a sandbox's group gets its limits."""
    root = v2(tmp_path)
    group = root / "sys/fs/cgroup/system.slice/hermes-iso.service"
    cgroups = Cgroups(find(root))
    assert (group / LEAF / "cgroup.procs").read_text() == "0"
    assert (group / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    (top,) = group.glob(f"{PREFIX}*")
    assert (top / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    made = cgroups.make(Limits(memory=64 << 20))
    assert (top / "1/memory.max").read_text() == "67108864"
    assert not (top / "1/memory.swap.max").exists()
    (top / "1/memory.events").write_text("low 0\nhigh 0\nmax 8\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert made.oom_kills() == 2
    (top / "1/cgroup.procs").touch()
    with made.opened() as fds:
        os.write(fds[0], b"0")
    assert (top / "1/cgroup.procs").read_text() == "0"


def test_oom_kills_are_read_from_v1(tmp_path: Path) -> None:
    """The count of killed processes, and no other number of that file."""
    root = v1(tmp_path)
    made = Cgroups(find(root)).make(Limits())
    (control,) = (root / "sys/fs/cgroup/memory/job/7").glob("*/1")
    (control / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 1\noom_kill 5\n")
    assert made.oom_kills() == 5


def test_sweep_removes_what_dead_gateways_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    """A lock tells which is which; directories of others are never touched."""
    place = Place(1, tmp_path, frozenset({"memory"}))
    (tmp_path / f"{PREFIX}dead" / "1").mkdir(parents=True)
    (tmp_path / "somebody-elses" / "1").mkdir(parents=True)
    living = Cgroups(Found((place,)))
    (kept,) = tmp_path.glob(f"{PREFIX}*")
    assert kept.name != f"{PREFIX}dead"
    sweep(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([kept.name, "somebody-elses"])
    anyio.run(living.aclose)
    assert [each.name for each in tmp_path.iterdir()] == ["somebody-elses"]


def test_group_that_the_kernel_still_holds_is_removed_later(tmp_path: Path) -> None:
    """A refused removal is tried again, and nothing is left at the end."""
    cgroups = Cgroups(Found((Place(1, tmp_path, frozenset()),)))
    first, second = cgroups.make(Limits()), cgroups.make(Limits())
    (top,) = tmp_path.iterdir()
    (top / "1/held").mkdir()
    cgroups.remove(first)
    assert sorted(each.name for each in top.iterdir()) == ["1", "2"]
    (top / "1/held").rmdir()
    cgroups.remove(second)
    assert list(top.iterdir()) == []
    anyio.run(cgroups.aclose)
    assert list(tmp_path.iterdir()) == []


def test_groups_that_were_found_but_can_t_be_made_refuse(tmp_path: Path) -> None:
    """What was told to be bounded is never silently left unbounded."""
    with pytest.raises(UnsupportedSandboxError, match="can't be made"):
        Cgroups(Found((Place(1, tmp_path / "gone", frozenset({"memory"})),)))


def test_processes_keep_a_tighter_limit_where_no_group_bounds_them() -> None:
    """Without a cgroup each process alone stays below the agent's memory; a file never exceeds the agent's disk."""
    limits = Limits(memory=64 << 20, disk=1 << 20)
    assert process_limits(limits, memory_bounded=True)["address_space"] == limits.address_space
    assert process_limits(limits, memory_bounded=False)["address_space"] == 64 << 20
    assert process_limits(limits, memory_bounded=True)["file_size"] == 1 << 20
    assert process_limits(Limits(memory=None, disk=None), memory_bounded=False)["file_size"] == limits.file_size
