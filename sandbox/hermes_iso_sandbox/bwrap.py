"""A Confinement to bubblewrap's arguments, as pure functions: what they give depends on their arguments alone.

A holder's user namespace is made by bwrap with one uid. `--dev` and `--disable-userns` are not used, because both make bwrap
add a second user namespace that a zygote could not enter; /dev is a tmpfs with six bound nodes instead, and the zygote itself
forbids further user namespaces. A template has no user namespace of its own: it needs its capabilities over the holders'.

Mount points are made only in file systems of our own: a bind's target never lies inside a writable bind, where a planted
symlink could lead bwrap to host paths. What belongs below a directory that every turn mounts afresh (/tmp, /run, /dev/shm) is
bound to /.staged here and put in its place by the turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from hermes_iso_sandbox.confinement import Bind, Confinement
from hermes_iso_sandbox.keeper import FIRST_FD, HOST_PROC

UID = 1000
ROOT_BYTES = 16 << 20
PYTHON_TARGET = "/opt/python"
PACKAGES_TARGET = "/opt/packages"
CODE_TARGET = "/opt/hermes-iso.zip"
STAGED = "/.staged"
DIRECTORIES = ("/dev/shm", "/etc", "/etc/ssl", "/home", "/opt", "/run", "/tmp", "/var", STAGED)  # noqa: S108  # inside
FRESH = ("/tmp", "/run", "/dev/shm", "/var/tmp", "/var/run")  # noqa: S108  # paths inside; the last two are links to the first
SCRATCH = ("/hermes", "/home/agent", "/workspace", "/tmp")  # noqa: S108  # inside
"""Where the template of an engine may write while it takes a turn to warm up, at the paths that its forks will have."""
SCRATCH_BYTES = 64 << 20
HOLDER = ("/bin/cat", "/etc/hostname", "-")
"""What keeps a holder's namespaces open: it says something once they are set up, then waits for an input that never comes."""
TEMPLATE_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SETUID", "CAP_SETGID")
"""What a fork of the template needs to enter a holder's namespaces and to become the agent's uid there."""
READ_ONLY = ("--remount-ro", "/dev", "--remount-ro", "/")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
ETC_FROM_HOST = ("alternatives", "ca-certificates", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic",
                 "magic.mime", "mime.types", "protocols", "services", "ssl/certs", "ssl/openssl.cnf", "pki/tls/certs",
                 "pki/ca-trust/extracted", "terminfo")  # fmt: skip
"""Public entries of /etc, one by one: /etc/ssl and /etc/pki as a whole may hold private keys."""


@dataclass(frozen=True, slots=True)
class System:
    """What of the host's system a sandbox shows read-only: found once per pool.

    links: top-level names that are links into /usr (merged /usr); directories: those that are real.
    etc: the entries of ETC_FROM_HOST that exist.
    python: the interpreter's path inside. python_source: where its prefix is bound from, to PYTHON_TARGET; empty when it lies
    below /usr, which every sandbox shows. python_alias: a path that leads to PYTHON_TARGET inside, where the interpreter looks
    for its own library.
    packages: below PACKAGES_TARGET, where the modules of an engine's virtual environment are; empty without one.
    packages_source: where that environment is bound from.
    """

    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    etc: tuple[str, ...]
    python: str
    python_source: str = ""
    python_alias: str = ""
    packages: str = ""
    packages_source: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start one holder: bwrap's arguments and the contents that it reads from descriptors, from FIRST_FD on.

    staged and late_symlinks are for the turn, see guest/confine.
    """

    arguments: tuple[str, ...]
    contents: tuple[bytes, ...]
    staged: tuple[tuple[str, str], ...]
    late_symlinks: tuple[tuple[str, str], ...]


def is_fresh(path: str) -> bool:
    """Return whether a path inside lies below a directory that every turn mounts afresh."""
    return any(PurePosixPath(path).is_relative_to(top) for top in FRESH)


def plan(confinement: Confinement, system: System) -> Plan:
    """Return how to start the holder of a confinement."""
    binds = confinement.binds or (Bind(str(confinement.home), "/home/agent", writable=True),)
    staged = tuple(bind for bind in binds if is_fresh(bind.target))
    files = (*_etc_files(confinement.name), *((file.target, file.content) for file in confinement.files))
    arguments = [
        *namespaces(confinement.name, confinement.without),
        *_root(system),
        *_from_host(confinement.without),
        *(argument for bind in binds if not is_fresh(bind.target) for argument in _bind(bind)),
        *(argument for number, bind in enumerate(staged) for argument in _bind_to(bind, f"{STAGED}/{number}")),
        *(word for path, to in confinement.symlinks if not is_fresh(path) for word in ("--symlink", to, path)),
        *(word for place, (target, _) in enumerate(files) for word in _data(FIRST_FD + place, target)),
        *(() if "system" in confinement.without else READ_ONLY),
    ]
    return Plan(
        arguments=tuple(arguments),
        contents=tuple(content for _, content in files),
        staged=tuple((f"{STAGED}/{number}", bind.target) for number, bind in enumerate(staged)),
        late_symlinks=tuple((path, to) for path, to in confinement.symlinks if is_fresh(path)),
    )


def plan_template(system: System, *, control_fd: int, code_fd: int, engine: str = "") -> tuple[list[str], list[str]]:
    """Return bwrap's arguments for a template and the command that it becomes. engine: see `Confinement`."""
    scratch = SCRATCH if engine else ()
    arguments = [
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *(word for capability in TEMPLATE_CAPABILITIES for word in ("--cap-add", capability)),
        *_root(system),
        *_data(code_fd, CODE_TARGET),
        *(word for place in scratch for word in ("--size", str(SCRATCH_BYTES), "--tmpfs", place)),
        *READ_ONLY,
    ]
    guest = f"sys.path.insert(0, {CODE_TARGET!r}); from hermes_iso_sandbox.guest.template import main"
    start = f"main({control_fd}, {engine!r}, {system.packages!r})"
    return arguments, [system.python, "-I", "-S", "-B", "-c", f"import sys; {guest}; {start}"]


def plan_alone(system: System, *, name: str, shown: Sequence[str], bound: Mapping[str, str]) -> list[str]:
    """Return bwrap's arguments for one program of the operator's own: nothing but the system, and no network.

    shown: host paths that it sees read-only where they are. bound: more of them, by where it sees them.
    """
    sources = {**{path: path for path in shown}, **bound}
    return [
        *namespaces(name),
        *_root(replace(system, python_source="", python_alias="")),
        *(word for target, source in sources.items() for word in ("--ro-bind", source, target)),
    ]


def relocated(system: System, python_source: str, packages_source: str) -> System:
    """Return the same system with the interpreter and the engine's environment bound from elsewhere."""
    return replace(system, python_source=python_source, packages_source=packages_source)


def namespaces(name: str, without: frozenset[str] = frozenset()) -> list[str]:
    """Ask for all namespaces, one unprivileged uid, no capability, an empty environment."""
    return [
        "--unshare-user", "--unshare-pid", "--unshare-uts", "--unshare-cgroup",
        *(f"--unshare-{kind}" for kind in ("net", "ipc") if kind not in without),
        "--uid", str(UID), "--gid", str(UID), "--hostname", name,
        "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL",
    ]  # fmt: skip


def _root(system: System) -> list[str]:
    """Compose a root of our own: the system read-only, small sized tmpfs for the rest, devices bound one by one."""
    words = ["--size", str(ROOT_BYTES), "--tmpfs", "/", "--ro-bind", "/usr", "/usr"]
    words += [word for name, to in system.links for word in ("--symlink", to, f"/{name}")]
    words += [word for name in system.directories for word in ("--ro-bind", f"/{name}", f"/{name}")]
    words += ["--proc", "/proc", "--size", str(1 << 20), "--tmpfs", "/dev"]
    words += [word for name in DEVICES for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    words += ["--symlink", "/proc/self/fd", "/dev/fd"]
    words += [word for n, name in enumerate(("stdin", "stdout", "stderr"))
              for word in ("--symlink", f"/proc/self/fd/{n}", f"/dev/{name}")]  # fmt: skip
    words += ["--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]  # noqa: S108  # paths inside
    words += [word for path in DIRECTORIES for word in ("--perms", "0755", "--dir", path)]
    words += [word for name in system.etc for word in ("--ro-bind", f"/etc/{name}", f"/etc/{name}")]
    if system.python_source:
        words += ["--ro-bind", system.python_source, PYTHON_TARGET]
    if system.python_alias:
        words += ["--symlink", PYTHON_TARGET, system.python_alias]
    if system.packages_source:
        words += ["--ro-bind", system.packages_source, PACKAGES_TARGET]
    return words


def _from_host(without: frozenset[str]) -> list[str]:
    """Show what a switched off layer would have replaced; nothing where all layers are on."""
    places = (("proc", HOST_PROC, "/proc"), ("tmp", "/tmp", "/tmp"), ("tmp", "/dev/shm", "/dev/shm"))  # noqa: S108  # the host's, on purpose
    return [word for layer, source, path in places if layer in without for word in ("--dev-bind", source, path)]


def _data(fd: int, target: str) -> list[str]:
    """Show what a descriptor holds as a read-only file."""
    return ["--perms", "0644", "--ro-bind-data", str(fd), target]


def _bind(bind: Bind) -> list[str]:
    """Bind at its own target."""
    return _bind_to(bind, bind.target)


def _bind_to(bind: Bind, target: str) -> list[str]:
    """Bind at another target."""
    return ["--bind" if bind.writable else "--ro-bind", bind.source, target]


def _etc_files(name: str) -> tuple[tuple[str, bytes], ...]:
    """Generate the rest of /etc: who the agent is, and that nothing can be looked up by name but itself."""
    user = f"agent:x:{UID}:{UID}:agent:/home/agent:/bin/bash\n"
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    return (
        ("/etc/passwd", (user + nobody).encode()),
        ("/etc/group", f"agent:x:{UID}:\nnogroup:x:65534:\n".encode()),
        ("/etc/hosts", f"127.0.0.1 localhost {name}\n::1 localhost\n".encode()),
        ("/etc/hostname", f"{name}\n".encode()),
        ("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n"),
        ("/etc/resolv.conf", b""),
    )
