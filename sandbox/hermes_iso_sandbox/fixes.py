"""What to change on a machine that can't isolate agents, told from what was refused and from the kernel's own switches.

Every fix is the narrowest that is enough: a container never needs `--privileged`, and AppArmor need not be switched off.
"""

from __future__ import annotations

from pathlib import Path

INSTALL_BWRAP = "sudo apt-get install bubblewrap"
_CAP_SYS_ADMIN = 21
_WHOLE_MAP = ["0", "0", "4294967295"]
_CONTAINER = (
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined "
    "(podman: --security-opt seccomp=unconfined --security-opt unmask=ALL)"
)


def _switch(root: Path, path: str) -> str | None:
    """Return the text of one of the kernel's files, or None where it is not."""
    try:
        return (root / path).read_text(encoding="ascii").strip()
    except OSError:
        return None


def namespace_fix(root: Path, said: str = "", *, bwrap: str = "/usr/bin/bwrap") -> str:
    """Say what to change so that namespaces can be made. said: bwrap's words; root: where /proc is read from."""
    if _switch(root, "proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "User namespaces are switched off for ordinary users: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _switch(root, "proc/sys/user/max_user_namespaces") == "0":
        return "No user namespace may be made: sudo sysctl -w user.max_user_namespaces=15000"
    if "mount proc" in said:
        return (
            "Parts of /proc are masked here, and then the kernel refuses a fresh one, as it does in a container: start that "
            f"with {_CONTAINER}; nothing more is needed."
        )
    if _switch(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return f"AppArmor restricts user namespaces. Allow them for bwrap alone: {apparmor_command(bwrap)}"
    return (
        "Something above this process refuses namespaces, as the system call filter of a container does: start the container "
        f"with {_CONTAINER}, and the gateway in it as an ordinary user (--user 1000); nothing more is needed."
    )


def apparmor_command(bwrap: str) -> str:
    """Return one shell command that installs the whole AppArmor profile under which bwrap may make user namespaces."""
    lines = ("abi <abi/4.0>,", "include <tunables/global>", f"profile bwrap {bwrap} flags=(unconfined) {{", "  userns,", "}")
    written = " ".join(f"'{line}'" for line in lines)
    file = "/etc/apparmor.d/bwrap"
    return f"printf '%s\\n' {written} | sudo tee {file} && sudo apparmor_parser -r {file}"


def identity_fix(root: Path) -> str:
    """Say what to change so that a root gateway's agents can be somebody else."""
    if (_switch(root, "proc/self/uid_map") or " ".join(_WHOLE_MAP)).split() != _WHOLE_MAP:
        return "Root is that of a rootless container here, not the machine's: run the gateway in it as an ordinary user."
    status = _switch(root, "proc/self/status") or ""
    held = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "f" * 16)
    if not int(held, 16) >> _CAP_SYS_ADMIN & 1:
        return "Root has no CAP_SYS_ADMIN here, as in a container: run the gateway in it as an ordinary user (--user 1000)."
    return "Run the gateway as an ordinary user, or put the home on ext4, xfs, btrfs or tmpfs."
