"""Become a command for which the kernel refuses every new namespace, as it does under the usual filter of a container.

Run as `python deny_namespaces.py COMMAND…`, on x86-64. It is a program of its own because a filter can't be taken off again.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
PROGRAM = (
    (LOAD, 0, 0, 0),  # the number of the call
    (EQUAL, 5, 0, 272),  # unshare
    (EQUAL, 4, 0, 308),  # setns
    (EQUAL, 4, 0, 435),  # clone3: glibc then takes clone
    (EQUAL, 0, 4, 56),  # clone
    (LOAD, 0, 0, 16),  # its flags
    (ANY_BIT, 0, 2, NAMESPACES),
    (RETURN, 0, 0, EPERM),
    (RETURN, 0, 0, ENOSYS),
    (RETURN, 0, 0, ALLOW),
)


def main() -> None:
    """Install the filter and become the command."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in PROGRAM))
    program = struct.pack("@HP", len(PROGRAM), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0
    os.execv(sys.argv[1], sys.argv[1:])


main()
