"""The system call filters of every turn: assembled here, in classic BPF, for x86-64 and aarch64.

It refuses what no agent's tool needs and what lets a process reach beyond its sandbox, and it looks into arguments where a
call is needed but one of its uses is not: namespaces in clone, setuid bits in chmod and open (the file would lie on the host),
terminal injection in ioctl, socket families other than UNIX, IP and routing netlink. Calls newer than the review do not exist.
A filter sees registers, not memory: calls whose flags lie behind a pointer are answered with ENOSYS, and libraries fall back.

There are two, because loading a long program costs time in every process that does it. BASE is long, refuses nothing that
forking and confining a turn needs, and is inherited; TURN is short, and refuses the rest in each turn. The kernel asks all
filters of a process and takes the harshest answer, so that one can be added and none taken back: NO_EXEC, by which a turn that
already has its filters can be denied to start programs too, can't be undone by it.
Source: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping

from hermes_iso_sandbox.guest import kernel
from hermes_iso_sandbox.guest.syscalls import ABSENT, DENIED, EXECUTE, INSPECTED, NEWEST, SETUP

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
F_SETLEASE = 1024  # holds up whoever opens the file next, on the host too
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


BASE_RULES: dict[str, list[Instruction]] = {
    "openat": refuse_set_id_on_create(2, 3),
    "open": refuse_set_id_on_create(1, 2),
    "fcntl": refuse_values(1, F_SETLEASE),
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


TURN_RULES: dict[str, list[Instruction]] = {"clone": refuse_bits(0, NEW_NAMESPACES)}

Table = Mapping[str, tuple[int | None, int | None]]


def base(machine: str) -> list[Instruction]:
    """Return what the zygote and all that it forks have: every refusal that confining a turn does not run into."""
    ceiling = [(JUMP_GREATER, 0, 1, NEWEST), refuse(errno.ENOSYS)]  # the x32 calls, with their high bit, among them
    return _program(machine, BASE_RULES, *ceiling, *_refusals(machine, ABSENT, errno.ENOSYS), *_refusals(machine, DENIED))


def turn(machine: str, *, execute: bool) -> list[Instruction]:
    """Return what a turn adds once it is confined; without `execute` it can start no program either."""
    further = () if execute else _refusals(machine, EXECUTE)
    return _program(machine, TURN_RULES, *_refusals(machine, SETUP), *further)


def no_exec(machine: str) -> list[Instruction]:
    """Return the filter that refuses to start programs, and nothing else."""
    return _program(machine, {}, *_refusals(machine, EXECUTE))


def _program(machine: str, rules: Mapping[str, list[Instruction]], *refusals: Instruction) -> list[Instruction]:
    """Return a whole program. Raise OSError for an architecture without a reviewed table."""
    place, audit = _architecture(machine)
    program: list[Instruction] = [(LOAD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    for name, rule in rules.items():
        number = INSPECTED[name][place]
        if number is not None:
            program += [(JUMP_EQUAL, 0, len(rule) + 1, number), *rule, (RETURN, 0, 0, ALLOW)]
    return [*program, *refusals, (RETURN, 0, 0, ALLOW)]


def _refusals(machine: str, table: Table, number: int = errno.EPERM) -> list[Instruction]:
    """Return the instructions that refuse every call of a table."""
    place, _ = _architecture(machine)
    calls = [each[place] for each in table.values()]
    return [step for call in calls if call is not None for step in ((JUMP_EQUAL, 0, 1, call), refuse(number))]


def _architecture(machine: str) -> tuple[int, int]:
    """Return an architecture's column in the tables and its number for the kernel."""
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    return ARCHITECTURES[machine]


def encode(program: list[Instruction]) -> bytes:
    """Return a program as the kernel reads it: struct sock_filter after struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *step) for step in program)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


_MACHINE = platform.machine()
BASE = encode(base(_MACHINE))
TURN = {execute: encode(turn(_MACHINE, execute=execute)) for execute in (True, False)}
NO_EXEC = encode(no_exec(_MACHINE))


def install_base() -> None:
    """Put BASE on this process and all that it will start. Needs no_new_privs or CAP_SYS_ADMIN, as all of these do."""
    _install(BASE)


def install_turn(*, execute: bool) -> None:
    """Put TURN on this process; without `execute` neither it nor what it forks can start a program."""
    _install(TURN[execute])


def forbid_programs() -> None:
    """Put NO_EXEC on this process, beside the filters that it has."""
    _install(NO_EXEC)


def _install(encoded: bytes) -> None:
    """Load a program into the kernel."""
    program = _Program(len(encoded) // 8, encoded)
    kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))
