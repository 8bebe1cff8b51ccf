"""Probes of what a turn leaves behind: for the operator, for the host, and for the agent's next turn."""

from __future__ import annotations

import os
import pwd
import random
import stat
from pathlib import Path

from hermes_iso.prove.host import segments
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.trial import Trial, evidence

_SEGMENT = "result, number = syscall('shmget', KEY, 4096, 0o1666)\ncontrol(result >= 0, 'a segment can be made')"
_REMOVE = "found, _ = syscall('shmget', KEY, 1, 0)\nif found >= 0: syscall('shmctl', found, 0, None)"


async def startup_files(trial: Trial) -> str:
    """S01: what a shell or a session manager of the gateway's user reads at start; a harmless name stands for the files."""
    home = _home_of_user()
    places = [
        home,
        home / ".config/systemd/user",
        home / ".local/bin",
        home / ".ssh",
        Path("/etc/cron.d"),
        Path("/etc/profile.d"),
    ]
    if trial.plays_hole:
        places.append(trial.workspace)
    names = [place / f".{trial.mark}" for place in places]
    await trial.attack("for name in NAMES: attempt(write, name)", NAMES=[str(name) for name in names[: len(places)]])
    if trial.plays_hole:
        names[-1].touch()
    found = [name for name in names if os.access(name, os.F_OK)]
    for name in found:
        name.unlink()
    return evidence([f"a file appeared in {name.parent}" for name in found])


def _home_of_user() -> Path:
    """Return the home directory of the gateway's user; a bare uid has none, and then root's is what an agent could go for."""
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path("/root")


async def plant_git(trial: Trial, way: str) -> str:
    """S02, S04: a repository whose hooks or settings run a program; nothing on the host may ever run it."""
    sign = trial.stage.outside / f"ran-{trial.mark}"
    plant = """
control(shell('git init -q . 2>&1 && git rev-parse --git-dir').strip() == '.git', 'git works')
program = f"#!/bin/sh\\ntouch '{SIGN}'\\n"
for name in ('post-checkout', 'pre-commit', 'post-index-change', 'fsmonitor'):
    write(f'.git/hooks/{name}', program)
    os.chmod(f'.git/hooks/{name}', 0o755)
if WAY == 'config':
    shell("git config core.fsmonitor '/workspace/.git/hooks/fsmonitor'; git config core.hooksPath .git/hooks")
    shell("git config core.pager 'touch %s'; git config alias.status '!touch %s'" % (SIGN, SIGN))
"""
    await trial.attack(plant, SIGN=str(sign), WAY=way)
    if not (trial.workspace / ".git" / "hooks" / "post-checkout").exists():
        raise BrokenProbeError("the hook is not on the host")
    await trial.attack("shell('git status; git add -A; git commit -qm x')", SIGN=str(sign))
    if trial.plays_hole:
        sign.touch()
    return "a program that the agent planted ran on the host" if sign.exists() else ""


async def git_hooks(trial: Trial) -> str:
    """S02."""
    return await plant_git(trial, "hooks")


async def git_config(trial: Trial) -> str:
    """S04."""
    return await plant_git(trial, "config")


async def leave_segment(trial: Trial) -> str:
    """S05: a SysV segment; the host looks for it, also in the machine's own table."""
    key = random.SystemRandom().randrange(1 << 20, 1 << 30)
    await trial.attack(_SEGMENT, KEY=key)
    found = segments(key)
    if found:
        await trial.attack(_REMOVE, KEY=key)
    return "the segment is on the host" if found else ""


async def segment_in_next_turn(trial: Trial) -> str:
    """S11: the same, looked for by the agent's next turn."""
    key = random.SystemRandom().randrange(1 << 20, 1 << 30)
    await trial.attack(_SEGMENT, KEY=key)
    look = "found, _ = syscall('shmget', KEY, 1, 0)\nif found >= 0: hole('the segment is still there')\n" + _REMOVE
    return evidence(await trial.attack(look, KEY=key))


async def replace_directories(trial: Trial) -> str:
    """S06: the agent's directories, replaced by symlinks to another tenant's; the gateway must not follow one."""
    attack = """
for name in ('/workspace', '/home/agent', '/hermes/memories', '/hermes/plans', '/hermes/.agent'):
    denied(f'{name} was moved', os.rename, name, '/tmp/away')
    denied(f'{name} was removed', os.rmdir, name)
os.makedirs('artifacts', exist_ok=True)
os.rmdir('artifacts')
os.symlink(PEER_HOME + '/workspace', 'artifacts')
"""
    holes = await trial.attack(attack)
    profile = trial.stage.profile(trial.me)
    if trial.plays_hole:
        (profile / "plans").rename(profile / "plans-moved")
        (profile / "plans").symlink_to(trial.stage.profile(trial.peer) / "plans")
    names = ("workspace", "home", "memories", "plans", ".agent")
    holes += [f"{name} is no directory any more" for name in names if not stat.S_ISDIR((profile / name).lstat().st_mode)]
    (trial.workspace / "artifacts").unlink()
    if trial.plays_hole:
        (profile / "plans").unlink()
        (profile / "plans-moved").rename(profile / "plans")
    return evidence(holes)


async def two_turns(trial: Trial, leave: str, look: str) -> str:
    """Let one turn of a chat leave something and the next look for it."""
    await trial.attack(leave, chat="same")
    return evidence(await trial.attack(look, chat="same"))


async def scratch(trial: Trial) -> str:
    """S07."""
    places = ("/tmp", "/run", "/dev/shm", "/var/tmp")  # inside
    leave = """
control(not attempt(write, '/tmp/' + MARK), '/tmp can be written')
for place in PLACES:
    attempt(write, f'{place}/{MARK}')
"""
    look = """
for place in PLACES:
    if os.path.exists(f'{place}/{MARK}'):
        hole(f'{place} was kept')
    attempt(os.unlink, f'{place}/{MARK}')
"""
    await trial.attack(leave, chat="same", PLACES=places)
    return evidence(await trial.attack(look, chat="same", PLACES=places))


async def process_state(trial: Trial) -> str:
    """S08, with what makes a warm worker unsound."""
    leave = """
import builtins
builtins.left = json.left = wire.left = MARK
os.environ['LEFT'] = 'left ' + MARK
os.putenv('LEFT_2', 'left ' + MARK)
sys.modules['left'] = json
"""
    look = """
import builtins
for name, there in (('builtins', hasattr(builtins, 'left')), ('a module', hasattr(json, 'left')),
                    ('wire', hasattr(wire, 'left')), ('the environment', 'LEFT' in os.environ),
                    ('modules', 'left' in sys.modules)):
    if there:
        hole(f'{name} kept it')
seek('left ' + MARK, shell('env'), 'the environment of a child')
"""
    return await two_turns(trial, leave, look)


async def kernel_state(trial: Trial) -> str:
    """S09, of which a process has more than it may seem."""
    leave = """
os.umask(0o13)
os.nice(3)
signal.signal(signal.SIGUSR1, lambda *rest: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
signal.alarm(1000)
os.chdir('/usr')
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
    look = """
for name, there in {'umask': os.umask(0o22) == 0o13, 'nice': os.nice(0) == 3,
                    'a handler': callable(signal.getsignal(signal.SIGUSR1)),
                    'a signal mask': signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, []),
                    'a limit': resource.getrlimit(resource.RLIMIT_NOFILE)[1] == 100, 'an alarm': signal.alarm(0) > 0,
                    'the directory': os.getcwd() == '/usr', 'a thread': len(os.listdir('/proc/self/task')) > 1}.items():
    if there:
        hole(f'{name} was kept')
"""
    return await two_turns(trial, leave, look)


async def server_in_next_turn(trial: Trial) -> str:
    """S10: a daemon with a TCP and an abstract server; the next turn of the same chat tries to reach both."""
    port = random.SystemRandom().randrange(20_000, 30_000)
    leave = """
one, two = socket.socket(), socket.socket(socket.AF_UNIX)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.bind(('127.0.0.1', PORT))
two.bind('\\0' + MARK)
for each in (one, two):
    each.listen()
if os.fork() == 0:
    os.setsid()
    sock.close()
    time.sleep(5)
    os._exit(0)
"""
    look = """
for what, family, address in (('TCP', socket.AF_INET, ('127.0.0.1', PORT)), ('abstract', socket.AF_UNIX, '\\0' + MARK)):
    with socket.socket(family) as client:
        if attempt(client.connect, address) == 0:
            hole(f'the {what} server is still there')
"""
    await trial.attack(leave, chat="same", PORT=port)
    return evidence(await trial.attack(look, chat="same", PORT=port))


async def plant_oldroot(trial: Trial) -> str:
    """S12, trap 11: symlinks that would lead astray whoever mounts below the agent's directories with the host in reach.

    A changed SOUL.md has a new sandbox made for the next turn, over the directories as the agent left them.
    """
    plant = """
import shutil
TARGET = f'{HOST_OUTSIDE}/by-{MARK}'
for top in ('/workspace', '/home/agent', '/hermes/plans', '/hermes/cache'):
    for number, way in enumerate(('/oldroot', '/newroot', '/proc/1/root', '')):
        os.symlink(way + TARGET, f'{top}/way-{number}-{MARK}')
    for name in ('.git', 'tmp', '.ssh'):
        attempt(os.symlink, '/oldroot' + TARGET, f'{top}/{name}')
"""
    clear = """
for top in ('/workspace', '/home/agent', '/hermes/plans', '/hermes/cache'):
    for name in os.listdir(top):
        if os.path.islink(f'{top}/{name}'):
            os.unlink(f'{top}/{name}')
"""
    soul = trial.stage.profile(trial.me) / "SOUL.md"
    before = soul.read_text(encoding="utf-8")
    await trial.attack(plant)
    soul.write_text(f"{before}{trial.mark}\n", encoding="utf-8")
    try:
        await trial.attack("control(MARK in read('/hermes/SOUL.md').decode(), 'the sandbox is a new one')")
    finally:
        soul.write_text(before, encoding="utf-8")
    await trial.attack(clear)
    target = trial.stage.outside / f"by-{trial.mark}"
    if trial.plays_hole:
        target.mkdir()
    return "a directory was made on the host" if os.path.lexists(target) else ""


PROBES = (
    Probe(
        "S01",
        "persist",
        "gateway user's ~/.bashrc, ~/.profile, ~/.config/systemd/user, ~/.local, cron",
        startup_files,
        planted="pass",
    ),
    Probe(
        "S02",
        "persist",
        "plant .git/hooks/post-checkout in a workspace repository, for the host to run",
        git_hooks,
        planted="pass",
    ),
    Probe(
        "S04", "persist", "set core.fsmonitor / core.hooksPath in .git/config, for the host to run", git_config, planted="pass"
    ),
    Probe("S05", "persist", "SysV shared memory left behind (checked on the host)", leave_segment, layers("ipc")),
    Probe(
        "S06",
        "persist",
        "replace a workspace directory by a symlink to another tenant",
        replace_directories,
        planted="pass",
        alone=True,
    ),
    Probe("S07", "persist", "files in /tmp, /run and /dev/shm are there in the next turn", scratch, layers("tmp")),
    Probe(
        "S08",
        "persist",
        "module globals, builtins and variables are there in the next turn",
        process_state,
        planted="import builtins; builtins.left = MARK",
    ),
    Probe(
        "S09",
        "persist",
        "umask, nice, handlers, mask, limits, alarm, threads and directory are there in the next turn",
        kernel_state,
        planted="os.umask(0o13)",
    ),
    Probe("S10", "persist", "a server that a turn left answers the next turn", server_in_next_turn, layers("pid", "net")),
    Probe("S11", "persist", "a SysV segment is there in the next turn", segment_in_next_turn, layers("ipc")),
    Probe(
        "S12",
        "persist",
        "symlinks to /oldroot/... where a new sandbox is made over the agent's directories",
        plant_oldroot,
        planted="pass",
        alone=True,
    ),
)
