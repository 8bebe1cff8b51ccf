"""Start bwrap under an unprivileged host uid, with id-mapped mounts for it to bind: a program, run by a root gateway.

It is run as `python -I -S -B idmap.py ORDER_FD BWRAP ARGUMENTS...`: it reads its order ({"uid", "stage", "mounts"}) from the
descriptor, makes the mounts in a mount namespace of its own, gives up uid 0 for good, and becomes bwrap. Every failure is
one line on stderr.
Source: mount_setattr(2), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import struct
import sys

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MOUNT_ATTR_IDMAP = 0x00100000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MS_PRIVATE_RECURSIVE = 0x40000 | 0x4000
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
RESOLVE_NO_SYMLINKS = 0x4
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, result: int) -> int:
    """Return a call's result, or raise its errno with what was being done."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def user_namespace(uid_map: str, gid_map: str) -> int:
    """Return a descriptor of a new user namespace with these maps (lines of `inside outside count`)."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            call("unshare", libc.unshare(CLONE_NEWUSER))
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            status = 0
        finally:
            os._exit(status)
    os.close(ready[1])
    try:
        if os.read(ready[0], 1) != b"x":
            raise OSError("no user namespace can be made")
        for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.write(go[1], b"x")
        for fd in (ready[0], *go):
            os.close(fd)
        os.waitpid(pid, 0)


def clone_mount(source: str, uid: int | None, fixed: bool = False) -> int:
    """Return a detached clone of `source`; with a uid, what its owner owns belongs to that uid in it.

    fixed: the directories that have to belong to the uid do so already. Where the file system can't map owners, the clone then
    stays as it is, and the agent is a stranger to whatever else is in it: that gives less and never more.

    No component of the path may be a symlink: the host resolved it, so one that is there now was put there since.
    """
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
    place = call(
        f"open {source} without following symlinks", libc.syscall(SYS_OPENAT2, AT_FDCWD, source.encode(), how, len(how))
    )
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH
    try:
        fd = call(f"clone {source}", libc.syscall(SYS_OPEN_TREE, place, b"", flags))
    finally:
        os.close(place)
    if uid is not None:
        owner = os.fstat(fd)
        namespace = user_namespace(f"{owner.st_uid} {uid} 1", f"{owner.st_gid} {uid} 1")
        attributes = struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)
        try:
            done = libc.syscall(SYS_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH | AT_RECURSIVE, attributes, len(attributes))
            if done < 0 and fixed and ctypes.get_errno() == errno.EINVAL:
                return fd
            call(f"the file system of {source} can't map owners (ext4, xfs, btrfs and tmpfs can)", done)
        finally:
            os.close(namespace)
    return fd


def stage_mounts(stage: str, mounts: list[dict[str, object]], uid: int, fixed: bool) -> None:
    """Clone every source first, since the stage may cover one, then put the clones on a tmpfs of our own."""
    clones = [
        (clone_mount(str(each["source"]), uid if each["mapped"] else None, fixed), str(each["target"])) for each in mounts
    ]
    call("mount the stage", libc.mount(b"tmpfs", stage.encode(), b"tmpfs", 0, b"mode=755,size=1m"))
    for fd, target in clones:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        done = libc.syscall(SYS_MOVE_MOUNT, fd, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
        call(f"place {target}", done)
        os.close(fd)


def main() -> None:
    """Do what the order says and become bwrap."""
    order_fd, *argv = sys.argv[1:]
    with open(int(order_fd), "rb") as file:
        order = json.loads(file.read())
    uid = int(order["uid"])
    call("unshare", libc.unshare(CLONE_NEWNS))
    call("make mounts private", libc.mount(b"none", b"/", None, MS_PRIVATE_RECURSIVE, None))
    stage_mounts(order["stage"], order["mounts"], uid, bool(order.get("fixed")))
    os.setgroups([])
    namespace = user_namespace(f"0 {uid} 1", f"0 {uid} 1")
    call("enter the user namespace", libc.setns(namespace, CLONE_NEWUSER))
    os.close(namespace)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.execv(argv[0], argv)  # noqa: S606  # becoming bwrap is the point


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"the sandbox's mounts can't be made: {error.strerror or error}")
