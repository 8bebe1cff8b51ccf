"""The few system calls that Python 3.11 does not offer, by ctypes; each raises OSError with the call's name."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_ALL = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | 0x10000000 | 0x04000000 | 0x02000000
"""All of these, and user, uts and cgroup namespaces."""

CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_ADMIN = 12, 18, 21

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_CAP_AMBIENT_RAISE, each with its lock bit
SECUREBITS_LOCKED = 0x01 | 0x02 | 0x04 | 0x08 | 0x40 | 0x80

_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.syscall.restype = ctypes.c_long
_libc.capset.argtypes = (ctypes.c_char_p, ctypes.c_char_p)


def _check(call: str, result: int) -> int:
    """Return a call's result, or raise its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def system_call(name: str, number: int, *arguments: int | bytes | None) -> int:
    """Make a call that libc has no function for; `number` is this architecture's. Every argument must fit a register."""
    return _check(name, _libc.syscall(ctypes.c_long(number), *map(_register, arguments)))


def _register(value: int | bytes | None) -> Any:
    """Return an argument as wide as a register: a variadic call would pass half of one for a plain int."""
    return ctypes.c_long(value) if isinstance(value, int) else value


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check("unshare", _libc.unshare(flags))


def setns(fd: int, kind: int) -> None:
    """Move this process into the namespace that `fd` stands for; `kind` is its CLONE_NEW* flag."""
    _check("setns", _libc.setns(fd, kind))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system, a bind, or change an existing mount's flags."""
    done = _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)
    _check(f"mount on {target}", done)


def prctl(option: int, value: int = 0, more: int = 0) -> None:
    """Set one attribute of this process."""
    _check("prctl", _libc.prctl(option, value, more, 0, 0))


def keep_capabilities(*kept: int) -> None:
    """Give up every capability but these for good: nothing that is executed can gain any, setuid or not."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_SET_SECUREBITS, SECUREBITS_LOCKED)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    set_capabilities(*kept)


def set_capabilities(*kept: int) -> None:
    """Hold these capabilities (numbers below 32) and no others."""
    mask = sum(1 << capability for capability in kept)
    sets = struct.pack("=6I", mask, mask, 0, 0, 0, 0)
    _check("capset", _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), sets))


def loopback_up() -> None:
    """Bring up `lo` in this process's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xh", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
