"""The filters against libseccomp: the same numbers, and the same verdicts as a filter that it makes from the same rules.

What libseccomp can't say in rules (the ceiling on numbers, and so x32) is tested beside this, in test_seccomp.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import random
from collections.abc import Iterator

import pytest

from hermes_iso_sandbox.guest import seccomp
from hermes_iso_sandbox.guest.syscalls import ABSENT, DENIED, EXECUTE, INSPECTED, NEWEST, SETUP
from tests.support import bpf

UNKNOWN = -1  # __NR_SCMP_ERROR
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
BAD_ARCH = 2  # SCMP_FLTATR_ACT_BADARCH
MASKED_EQUAL = 7
MACHINES = pytest.mark.parametrize("machine", list(seccomp.ARCHITECTURES))
SINCE_THEN = {"fchmodat2", "listmount", "statmount"}
"""Newer than the oldest libseccomp in use (2.5.4, of 2022)."""
WORD = 0xFFFFFFFF


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("place", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    """Give libseccomp, or skip."""
    try:
        found = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
    except OSError as error:
        pytest.skip(f"libseccomp is not on this machine ({error}): nothing to compare the filters with")
    found.seccomp_init.restype = ctypes.c_void_p
    for name in ("arch_add", "arch_remove", "attr_set", "rule_add_array", "export_bpf", "release"):
        getattr(found, f"seccomp_{name}").argtypes = [ctypes.c_void_p, *{
            "arch_add": [ctypes.c_uint32],
            "arch_remove": [ctypes.c_uint32],
            "attr_set": [ctypes.c_int, ctypes.c_uint32],
            "rule_add_array": [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Compare)],
            "export_bpf": [ctypes.c_int],
            "release": [],
        }[name]]  # fmt: skip
    return found


def number_of(library: ctypes.CDLL, name: str, arch: int) -> int:
    """Return libseccomp's number of a call; negative where the architecture lacks it or the library does not know it."""
    return int(library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(arch), name.encode()))


@MACHINES
def test_every_number_is_libseccomps(library: ctypes.CDLL, machine: str) -> None:
    """Each name in the tables has the number that libseccomp knows, or exists on neither side."""
    place, arch = seccomp.ARCHITECTURES[machine]
    tables = {**DENIED, **SETUP, **EXECUTE, **ABSENT, **INSPECTED}
    theirs = {name: number_of(library, name, arch) for name in tables}
    assert {name for name, number in theirs.items() if number == UNKNOWN} <= SINCE_THEN
    known = {name: number if number >= 0 else None for name, number in theirs.items() if number != UNKNOWN}
    assert known == {name: tables[name][place] for name in known}


def bits(mask: int) -> list[int]:
    """Return the single bits of a mask."""
    return [1 << place for place in range(mask.bit_length()) if mask >> place & 1]


def any_bit(place: int, mask: int) -> list[tuple[Compare, ...]]:
    """Return the alternatives that together say: an argument has one of these bits."""
    return [(Compare(place, MASKED_EQUAL, bit, bit),) for bit in bits(mask)]


def equal(place: int, value: int) -> Compare:
    """Say that the low half of an argument is a value."""
    return Compare(place, MASKED_EQUAL, WORD, value)


def unknown_families() -> list[tuple[Compare, ...]]:
    """Say that a family is none of UNIX, INET, INET6 and NETLINK, or that it is NETLINK with another protocol than ROUTE."""
    small = [(equal(0, family),) for family in range(16) if family not in (1, 2, 10)]
    between = [(Compare(0, MASKED_EQUAL, 0x10 | bit, 0x10 | bit),) for bit in bits(0xF)]
    netlink = [(equal(0, 16), Compare(2, MASKED_EQUAL, bit, bit)) for bit in bits(WORD)]
    return [*small, *between, *any_bit(0, WORD & ~0x1F), *netlink]


def set_id_on_create(flags: int, mode: int) -> list[tuple[Compare, ...]]:
    """Say that an open creates a file with a setuid or setgid bit."""
    creates = [each for (each,) in any_bit(flags, 0o100 | 0o20000000)]
    return [(first, second) for first in creates for (second,) in any_bit(mode, 0o6000)]


INSPECTIONS = {
    "openat": set_id_on_create(2, 3),
    "open": set_id_on_create(1, 2),
    "clone": any_bit(0, 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000),
    "ioctl": [(equal(1, 0x5412),), (equal(1, 0x541C),)],
    "socket": unknown_families(),
    "chmod": any_bit(1, 0o6000),
    "fchmod": any_bit(1, 0o6000),
    "fchmodat": any_bit(2, 0o6000),
    "creat": any_bit(1, 0o6000),
    "mknod": any_bit(1, 0o6000 | 0o020000),
    "mknodat": any_bit(2, 0o6000 | 0o020000),
    "renameat2": any_bit(4, 4),
}
"""The rules as libseccomp takes them, written down from what they are to refuse and not from our programs."""


def rules(execute: bool) -> Iterator[tuple[str, int, list[tuple[Compare, ...]]]]:
    """Yield every refusal: the call, the errno, and the alternatives among its arguments."""
    further = {} if execute else EXECUTE
    yield from ((name, errno.EPERM, [()]) for name in {**DENIED, **SETUP, **further})
    yield from ((name, errno.ENOSYS, [()]) for name in ABSENT)
    for name, alternatives in INSPECTIONS.items():
        yield name, errno.EAFNOSUPPORT if name == "socket" else errno.EPERM, alternatives


def reference(library: ctypes.CDLL, arch: int, execute: bool) -> bpf.Program:
    """Return the program that libseccomp makes of the rules."""
    context = library.seccomp_init(ALLOW)
    native = library.seccomp_arch_native()
    try:
        if native & WORD != arch:
            assert library.seccomp_arch_add(context, arch) == 0
            assert library.seccomp_arch_remove(context, native) == 0
        assert library.seccomp_attr_set(context, BAD_ARCH, KILL) == 0
        for name, number, alternatives in rules(execute):
            call = number_of(library, name, native)
            if call == UNKNOWN or number_of(library, name, arch) < 0:
                continue
            for compared in alternatives:
                array = (Compare * len(compared))(*compared)
                assert library.seccomp_rule_add_array(context, ERRNO | number, call, len(compared), array) in {0, -errno.EEXIST}
        fd = os.memfd_create("reference")
        assert library.seccomp_export_bpf(context, fd) == 0
        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd, "rb") as file:
            return bpf.decoded(file.read())
    finally:
        library.seccomp_release(context)


VALUES = (0, 1, 2, 3, 4, 9, 10, 11, 15, 16, 17, 20, 31, 32, 38, 40, 0x5401, 0x5412, 0x541C, 0x5412 | 1 << 32, 0o100, 0o101,
          0o644, 0o755, 0o4755, 0o2755, 0o6000, 0o10644, 0o20644, 0o60644, 0o20200001, 0x20000, 0x1200011, 0x3D0F00, 0x10000011,
          0x7E020000, 1 << 32, 4 << 32, 16 | 1 << 32, WORD, 2**64 - 1)  # fmt: skip


@MACHINES
@pytest.mark.parametrize("execute", [True, False])
@pytest.mark.slow
def test_verdicts_are_libseccomps(library: ctypes.CDLL, machine: str, execute: bool) -> None:
    """Over every reviewed number and many arguments, both filters together say what libseccomp's one says."""
    place, arch = seccomp.ARCHITECTURES[machine]
    ours = (seccomp.base(machine), seccomp.turn(machine, execute=execute))
    theirs = [reference(library, arch, execute)]
    inspected = {INSPECTED[name][place] for name in INSPECTIONS}
    skipped = {ABSENT[name][place] for name in SINCE_THEN if number_of(library, name, arch) == UNKNOWN}
    chance = random.Random(7)
    for number in range(NEWEST + 1):
        for _ in range(1500 if number in inspected else 4):
            arguments = [chance.choice(VALUES) if chance.random() < 0.8 else chance.getrandbits(64) for _ in range(6)]
            if number not in skipped:
                expected = bpf.verdict(theirs, arch, number, *arguments)
                assert bpf.verdict(ours, arch, number, *arguments) == expected, (number, arguments)
    assert bpf.verdict(theirs, 0x40000003, 1) == bpf.verdict(ours, 0x40000003, 1) == bpf.KILLED
