"""The filter's verdicts, by running its program: each instruction does here what the kernel does with it."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso_sandbox.guest import seccomp
from hermes_iso_sandbox.guest.syscalls import ABSENT, DENIED, EXECUTE, INSPECTED, NEWEST, SETUP
from tests.support import bpf
from tests.support.bpf import ALLOWED, KILLED

X86, ARM = ("x86_64", 0, 0xC000003E), ("aarch64", 1, 0xC00000B7)
MACHINES = pytest.mark.parametrize("machine", [X86, ARM], ids=["x86-64", "aarch64"])


def verdict(machine: str, arch: int, number: int, *arguments: int, execute: bool = True) -> str | int:
    """Return what a turn's two filters make of one call: ALLOWED, KILLED or the errno."""
    programs = (seccomp.base(machine), seccomp.turn(machine, execute=execute))
    return bpf.verdict(programs, arch, number, *arguments)


@MACHINES
@pytest.mark.parametrize(("table", "expected"), [(DENIED, errno.EPERM), (SETUP, errno.EPERM), (ABSENT, errno.ENOSYS)])
def test_every_call_of_a_table_gets_its_errno(machine: tuple[str, int, int], table: dict, expected: int) -> None:
    """What the tables name is refused, on both architectures."""
    name, place, arch = machine
    for call, numbers in table.items():
        if numbers[place] is not None:
            assert verdict(name, arch, numbers[place]) == expected, call


@MACHINES
def test_other_architectures_are_killed(machine: tuple[str, int, int]) -> None:
    """A call through another entry (i386's int 0x80) would have other numbers."""
    assert verdict(machine[0], 0x40000003, 1) == KILLED


@MACHINES
@pytest.mark.parametrize("number", [NEWEST + 1, 467, 1 << 20, 0x40000000 + 1, 0xFFFFFFFF])
def test_calls_that_were_not_reviewed_do_not_exist(machine: tuple[str, int, int], number: int) -> None:
    """Newer numbers and the x32 range answer as on an old kernel."""
    assert verdict(machine[0], machine[2], number) == errno.ENOSYS


def call(name: str, *arguments: int) -> str | int:
    """Return the verdict on an inspected call of x86-64."""
    number = INSPECTED[name][0]
    assert number is not None
    return verdict(X86[0], X86[2], number, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("openat", (0, 0, 0o101, 0o644), ALLOWED),
        ("openat", (0, 0, 0o101, 0o4755), errno.EPERM),
        ("openat", (0, 0, 0, 0o4755), ALLOWED),
        ("openat", (0, 0, 0o20200001, 0o2755), errno.EPERM),
        ("open", (0, 0o101, 0o6755), errno.EPERM),
        ("creat", (0, 0o4755), errno.EPERM),
        ("chmod", (0, 0o755), ALLOWED),
        ("chmod", (0, 0o1777), ALLOWED),
        ("chmod", (0, 0o4755), errno.EPERM),
        ("fchmodat", (0, 0, 0o2755), errno.EPERM),
        ("mknodat", (0, 0, 0o104755), errno.EPERM),
        ("mknodat", (0, 0, 0o010644), ALLOWED),
        ("mknodat", (0, 0, 0o020644), errno.EPERM),
        ("mknod", (0, 0o060644), errno.EPERM),
        ("renameat2", (0, 0, 0, 0, 1), ALLOWED),
        ("renameat2", (0, 0, 0, 0, 4), errno.EPERM),
        ("clone", (0x1200011,), ALLOWED),
        ("clone", (0x3D0F00,), ALLOWED),
        ("clone", (0x10000011,), errno.EPERM),
        ("clone", (0x20000,), errno.EPERM),
        ("ioctl", (0, 0x5401), ALLOWED),
        ("ioctl", (0, 0x5412), errno.EPERM),
        ("ioctl", (0, 0x5412 | 1 << 32), errno.EPERM),
        ("ioctl", (0, 0x541C), errno.EPERM),
        ("socket", (1, 1, 0), ALLOWED),
        ("socket", (2, 2, 0), ALLOWED),
        ("socket", (10, 1, 0), ALLOWED),
        ("socket", (16, 3, 0), ALLOWED),
        ("socket", (16, 3, 12), errno.EAFNOSUPPORT),
        ("socket", (38, 5, 0), errno.EAFNOSUPPORT),
        ("socket", (40, 1, 0), errno.EAFNOSUPPORT),
    ],
)
def test_inspected_call_is_judged_by_its_arguments(name: str, arguments: tuple[int, ...], expected: str | int) -> None:
    """A use that tools need passes, the use that reaches out does not."""
    assert call(name, *arguments) == expected


@given(st.integers(0, NEWEST), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_every_other_call_passes(number: int, arguments: list[int]) -> None:
    """What no table names is allowed, whatever its arguments."""
    named = {numbers[0] for table in (DENIED, SETUP, ABSENT, INSPECTED) for numbers in table.values()}
    if number not in named:
        assert verdict(X86[0], X86[2], number, *arguments) == ALLOWED


@MACHINES
def test_base_lets_through_what_confining_a_turn_takes(machine: tuple[str, int, int]) -> None:
    """The filter that a zygote has itself refuses neither its own set-up calls nor a fork into new namespaces."""
    name, place, arch = machine
    base = [seccomp.base(name)]
    assert {call for call, numbers in SETUP.items() if bpf.verdict(base, arch, numbers[place] or 0) != ALLOWED} == set()
    assert bpf.verdict(base, arch, INSPECTED["clone"][place] or 0, 0x10000011) == ALLOWED


@MACHINES
def test_programs_are_refused_without_execute_and_by_no_exec_alone(machine: tuple[str, int, int]) -> None:
    """Both ways of starting a program answer EPERM, whether a turn never could or was narrowed; else they pass."""
    name, place, arch = machine
    for numbers in EXECUTE.values():
        number = numbers[place] or 0
        assert verdict(name, arch, number) == ALLOWED
        assert verdict(name, arch, number, execute=False) == errno.EPERM
        assert bpf.verdict([seccomp.no_exec(name)], arch, number) == errno.EPERM


@MACHINES
@given(data=st.data())
def test_no_exec_changes_nothing_else(machine: tuple[str, int, int], data: st.DataObject) -> None:
    """Whatever is no program's start has the same verdict with and without it."""
    name, place, arch = machine
    number = data.draw(st.integers(0, NEWEST + 10))
    arguments = data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=6))
    if number not in {numbers[place] for numbers in EXECUTE.values()}:
        with_it = verdict(name, arch, number, *arguments, execute=False)
        assert with_it == verdict(name, arch, number, *arguments)


@MACHINES
def test_every_filter_stands_by_itself(machine: tuple[str, int, int]) -> None:
    """Each one kills a call of another architecture, whose numbers it does not know."""
    name = machine[0]
    programs = (seccomp.base(name), seccomp.turn(name, execute=True), seccomp.turn(name, execute=False), seccomp.no_exec(name))
    assert [bpf.verdict([program], 0x40000003, 1) for program in programs] == [KILLED] * 4


@MACHINES
def test_what_every_turn_loads_is_short(machine: tuple[str, int, int]) -> None:
    """The filter that costs each turn its loading is less than a fifth as long as the other."""
    assert len(seccomp.turn(machine[0], execute=False)) < len(seccomp.base(machine[0])) / 5


def test_program_fits_what_the_kernel_takes() -> None:
    """A program has at most 4096 instructions, and no jump is longer than its field."""
    for machine in seccomp.ARCHITECTURES:
        program = seccomp.base(machine)
        assert len(program) <= 4096
        assert all(0 <= jump <= 255 for _, yes, no, _ in program for jump in (yes, no))


def test_architecture_without_a_table_is_refused() -> None:
    """No machine runs without a filter made for it."""
    for assemble in (seccomp.base, seccomp.no_exec):
        with pytest.raises(OSError, match="riscv64"):
            assemble("riscv64")
