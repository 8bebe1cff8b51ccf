"""What a turn sees: its own identity, files, processes and nothing of the host's."""

import os
import secrets
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import Bind, DataFile, SandboxPool
from tests.support.pools import living, output_of, python_output, run_pool, simple_confinement


def status_of(text: str) -> dict[str, str]:
    """Return the fields of a /proc status file."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_turn_has_no_capability_and_can_gain_none(tmp_path: Path) -> None:
    """All five capability sets are empty and no_new_privs is on."""

    async def scenario(pool: SandboxPool) -> None:
        status = status_of(await output_of(pool, simple_confinement(tmp_path / "a"), "cat /proc/self/status"))
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"

    run_pool(scenario)


def test_turn_is_never_uid_zero_inside_nor_on_the_host(tmp_path: Path) -> None:
    """Inside it is agent (1000); to the host it is a uid of the range that the pool was given, or the ordinary user."""
    uids = range(3_000_000, 3_002_000)
    marker = f"777{secrets.randbelow(10**6)}"

    async def scenario(pool: SandboxPool) -> None:
        async with pool.lease(simple_confinement(tmp_path / "a"), session="s") as lease:
            process = await lease.processes.start(f"id -u; exec sleep {marker}", cwd=None, env={})
            with anyio.fail_after(20):
                while not process.output or not living(f"sleep\0{marker}"):
                    await anyio.sleep(0.01)
            owners = {os.stat(f"/proc/{pid}").st_uid for pid in living(f"sleep\0{marker}")}
            assert owners <= (set(uids[1 : len(uids) // 2]) if os.geteuid() == 0 else {os.geteuid()})
            assert (process.output, 0 in owners, len(owners)) == (b"1000\n", False, 1)

    run_pool(scenario, uids=uids)


def test_files_keep_their_owner_when_a_turn_writes_them(tmp_path: Path) -> None:
    """What a turn creates belongs to the home's owner, also below a directory that only root may enter."""
    tmp_path.chmod(0o700)
    home = tmp_path / "a"
    confinement = simple_confinement(home)
    home.chmod(0o700)

    async def scenario(pool: SandboxPool) -> None:
        await output_of(pool, confinement, "echo hi > made && mkdir sub && cat made")

    run_pool(scenario)
    assert {(home / name).stat().st_uid for name in (".", "made", "sub")} == {home.stat().st_uid}


@pytest.mark.parametrize("path", ["/", "/usr/bin", "/etc", "/dev", "/opt", "/proc/sys/kernel", "/var"])
def test_system_is_read_only(tmp_path: Path, path: str) -> None:
    """Nothing can be created outside of the home, /tmp, /run and /dev/shm."""

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, simple_confinement(tmp_path / "a"), f"touch {path}/x 2>&1", status=None)
        assert "Read-only file system" in text or "No such file" in text or "Permission denied" in text

    run_pool(scenario)


def test_kernel_switches_and_secrets_in_proc_are_out_of_reach(tmp_path: Path) -> None:
    """core_pattern does not open for writing, and masked files are empty."""
    script = """
    for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do (: > $f) 2>/dev/null && echo "open $f"; done
    for f in kallsyms kcore keys kmsg slabinfo timer_list; do
        timeout 1 head -c 1 /proc/$f 2>/dev/null | grep -q . && echo "reads $f"
    done
    true
    """

    async def scenario(pool: SandboxPool) -> None:
        assert await output_of(pool, simple_confinement(tmp_path / "a"), script) == ""

    run_pool(scenario)


def test_no_further_user_namespace_can_be_made(tmp_path: Path) -> None:
    """unshare(CLONE_NEWUSER) is refused, so no capability comes back that way."""

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, simple_confinement(tmp_path / "a"), "unshare -Ur true 2>&1", status=1)
        assert "unshare failed" in text

    run_pool(scenario)


def test_turn_sees_only_its_own_processes(tmp_path: Path) -> None:
    """/proc lists pid 1, the shell and what it started."""

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(
            pool, simple_confinement(tmp_path / "a"), "ls -d /proc/[0-9]* | wc -l; cat /proc/1/cmdline | tr '\\0' ' '"
        )
        count, command = text.splitlines()
        assert int(count) <= 6
        assert str(tmp_path) not in command

    run_pool(scenario)


def test_environment_is_the_confinements_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the gateway's environment is in any /proc/*/environ inside."""
    monkeypatch.setenv("GATEWAY_CANARY", "canary-in-env")

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, simple_confinement(tmp_path / "a"), "env; cat /proc/*/environ | tr '\\0' '\\n'")
        assert "HOME=/home/agent" in text
        assert "canary" not in text.lower()

    run_pool(scenario)


def test_no_descriptor_of_the_gateway_is_open_inside(tmp_path: Path) -> None:
    """A command has its three streams, whatever the gateway left inheritable, and pid 1 shows nothing."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    fd = os.open(secret, os.O_RDONLY)
    os.set_inheritable(fd, True)

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, simple_confinement(tmp_path / "a"), "ls -l /proc/self/fd; ls /proc/1/fd 2>&1 || true")
        assert "secret" not in text
        assert "memfd" not in text
        for name in ("root", "cwd", "exe"):
            await output_of(pool, simple_confinement(tmp_path / "a"), f"readlink /proc/1/{name}", status=1)
        for name in ("environ", "mem", "maps", "fd/0"):
            await output_of(pool, simple_confinement(tmp_path / "a"), f"cat /proc/1/{name} 2>&1", status=1)

    run_pool(scenario)
    os.close(fd)


def test_network_is_a_loopback_of_its_own(tmp_path: Path) -> None:
    """There is one interface, it works, and nothing routes anywhere."""
    source = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), 1)
print("loopback works", [name for _, name in socket.if_nameindex()])
for target in (("169.254.169.254", 80), ("192.0.2.1", 443)):
    try:
        socket.create_connection(target, 1)
        print("reached", target)
    except OSError as error:
        print(error.errno)
"""

    async def scenario(pool: SandboxPool) -> None:
        text = await python_output(pool, simple_confinement(tmp_path / "a"), source)
        assert text == "loopback works ['lo']\n101\n101\n"

    run_pool(scenario)


def test_mounts_name_no_other_home(tmp_path: Path) -> None:
    """The mountinfo of one agent's turn holds no path of another agent's home."""

    async def scenario(pool: SandboxPool) -> None:
        one, two = simple_confinement(tmp_path / "one-home"), simple_confinement(tmp_path / "two-home")
        await pool.warm(one)
        assert "one-home" not in await output_of(pool, two, "cat /proc/self/mountinfo /proc/1/mountinfo")

    run_pool(scenario)


def test_tmp_is_fresh_for_every_turn_and_sized(tmp_path: Path) -> None:
    """What one run leaves in /tmp, /run and /dev/shm is gone in the next, and none of them can be filled without end."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        await output_of(pool, confinement, "touch /tmp/x /run/x /dev/shm/x")
        assert await output_of(pool, confinement, "ls /tmp /run /dev/shm | grep x || true") == ""
        for path in ("/tmp", "/dev/shm", "/run"):
            text = await output_of(pool, confinement, f"head -c 300M /dev/zero > {path}/big; ls -s {path}/big", status=None)
            assert "No space left" in text or "write error" in text

    run_pool(scenario)


def test_binds_below_tmp_appear_in_the_turns_own_tmp(tmp_path: Path) -> None:
    """A directory, a file and a symlink whose place is below /tmp are put back after /tmp is mounted afresh."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("content")
    binds = (
        Bind(str(data), "/tmp/deep/down", writable=True),
        Bind(str(data / "file"), "/tmp/one-file"),
    )
    confinement = simple_confinement(tmp_path / "a", binds=binds, symlinks=(("/tmp/link", "/tmp/deep"),), cwd="/")

    async def scenario(pool: SandboxPool) -> None:
        script = "cat /tmp/link/down/file /tmp/one-file; echo new > /tmp/deep/down/made; echo x >> /tmp/one-file"
        text = await output_of(pool, confinement, script + " 2>&1", status=None)
        assert text.startswith("contentcontent")
        assert "ead-only file system" in text

    run_pool(scenario)
    assert (data / "made").read_text() == "new\n"


def test_generated_files_are_read_only_and_not_on_the_host(tmp_path: Path) -> None:
    """A DataFile's content is inside alone, and nothing written to it comes back."""
    confinement = simple_confinement(tmp_path / "a", files=(DataFile("/hermes/.env", b"NAME='v'\n"),), env_file="/hermes/.env")

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(
            pool, confinement, "cat /hermes/.env; echo $NAME; (echo x > /hermes/.env) 2>&1; rm /hermes/.env 2>&1", 1
        )
        assert text.startswith("NAME='v'\nv\n")
        assert text.count("ead-only") == 2

    run_pool(scenario)


def test_planted_symlinks_lead_nowhere_on_the_host(tmp_path: Path) -> None:
    """A symlink that a turn leaves in its home opens nothing for the next sandbox and creates nothing on the host."""
    home = tmp_path / "a"
    outside = tmp_path / "outside"
    outside.mkdir()

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(home)
        await output_of(pool, confinement, f"ln -s {outside} link; ln -s /oldroot{outside} old; echo x > link/f", status=None)

    run_pool(scenario)
    run_pool(scenario)
    assert list(outside.iterdir()) == []
