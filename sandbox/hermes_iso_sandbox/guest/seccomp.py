"""The system call filter of every turn: assembled here, in classic BPF, for x86-64 and aarch64.

It refuses what no agent's tool needs and what lets a process reach beyond its sandbox, and it looks into arguments where a
call is needed but one of its uses is not: namespaces in clone, setuid bits in chmod and open (the file would lie on the host),
terminal injection in ioctl, socket families other than UNIX, IP and routing netlink. Calls newer than the review do not exist.
A filter sees registers, not memory: calls whose flags lie behind a pointer are answered with ENOSYS, and libraries fall back.
Source: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from hermes_iso_sandbox.guest import kernel
from hermes_iso_sandbox.guest.syscalls import ABSENT, DENIED, INSPECTED, NEWEST

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32_BIT = 0x40000000

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
JUMP_SET = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000

NUMBER, ARCH, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
NEW_NAMESPACES = 0x7E020000  # CLONE_NEWUSER, NEWPID, NEWNS, NEWNET, NEWIPC, NEWUTS, NEWCGROUP
SET_ID_BITS = 0o6000
DEVICE_BIT = 0o020000  # of S_IFCHR and S_IFBLK; no other kind of file has it
RENAME_WHITEOUT = 4  # leaves a device behind
CREATES = 0x400040  # O_CREAT, __O_TMPFILE
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
AF_NETLINK, NETLINK_ROUTE = 16, 0

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]
"""Code, jump when true, jump when false, operand; jumps count the instructions to skip."""


def argument(place: int) -> int:
    """Return the offset of an argument's low half: no value that is judged here needs more, and the kernel ignores the rest."""
    return ARGUMENTS + 8 * place


def refuse(number: int) -> Instruction:
    """Return the instruction that ends with an errno."""
    return (RETURN, 0, 0, ERRNO | number)


def refuse_bits(place: int, bits: int) -> list[Instruction]:
    """Refuse a call when an argument has any of these bits."""
    return [(LOAD, 0, 0, argument(place)), (JUMP_SET, 0, 1, bits), refuse(errno.EPERM)]


def refuse_values(place: int, *values: int) -> list[Instruction]:
    """Refuse a call when an argument is one of these."""
    checks = [step for value in values for step in ((JUMP_EQUAL, 0, 1, value), refuse(errno.EPERM))]
    return [(LOAD, 0, 0, argument(place)), *checks]


def refuse_set_id_on_create(flags: int, mode: int) -> list[Instruction]:
    """Refuse an open that creates a file with a setuid or setgid bit."""
    return [(LOAD, 0, 0, argument(flags)), (JUMP_SET, 0, 3, CREATES), *refuse_bits(mode, SET_ID_BITS)]


def only_known_families() -> list[Instruction]:
    """Allow the listed socket families, and of netlink its routing protocol alone."""
    return [
        (LOAD, 0, 0, argument(0)),
        *((JUMP_EQUAL, len(FAMILIES) - n + 3, 0, family) for n, family in enumerate(FAMILIES)),
        (JUMP_EQUAL, 0, 2, AF_NETLINK),
        (LOAD, 0, 0, argument(2)),
        (JUMP_EQUAL, 1, 0, NETLINK_ROUTE),
        refuse(errno.EAFNOSUPPORT),
    ]


RULES: dict[str, list[Instruction]] = {
    "openat": refuse_set_id_on_create(2, 3),
    "open": refuse_set_id_on_create(1, 2),
    "clone": refuse_bits(0, NEW_NAMESPACES),
    "ioctl": refuse_values(1, TIOCSTI, TIOCLINUX),
    "socket": only_known_families(),
    "chmod": refuse_bits(1, SET_ID_BITS),
    "fchmod": refuse_bits(1, SET_ID_BITS),
    "fchmodat": refuse_bits(2, SET_ID_BITS),
    "creat": refuse_bits(1, SET_ID_BITS),
    "mknod": refuse_bits(1, SET_ID_BITS | DEVICE_BIT),
    "mknodat": refuse_bits(2, SET_ID_BITS | DEVICE_BIT),
    "renameat2": refuse_bits(4, RENAME_WHITEOUT),
}


def assemble(machine: str) -> list[Instruction]:
    """Return the filter's program for an architecture. Raise OSError for one without a reviewed table."""
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    place, audit = ARCHITECTURES[machine]
    program: list[Instruction] = [(LOAD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    for name, rule in RULES.items():
        number = INSPECTED[name][place]
        if number is not None:
            program += [(JUMP_EQUAL, 0, len(rule) + 1, number), *rule, (RETURN, 0, 0, ALLOW)]
    program += [(JUMP_GREATER, 0, 1, NEWEST), refuse(errno.ENOSYS)]  # the x32 calls, with their high bit, among them
    for table, number in ((ABSENT, errno.ENOSYS), (DENIED, errno.EPERM)):
        for each in table.values():
            if (call := each[place]) is not None:
                program += [(JUMP_EQUAL, 0, 1, call), refuse(number)]
    return [*program, (RETURN, 0, 0, ALLOW)]


def encode(program: list[Instruction]) -> bytes:
    """Return a program as the kernel reads it: struct sock_filter after struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *step) for step in program)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


FILTER = encode(assemble(platform.machine()))


def install() -> None:
    """Put the filter on this process and all that it will start. Needs no_new_privs."""
    program = _Program(len(FILTER) // 8, FILTER)
    kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
