"""Probes of the file system: what of the host, of the gateway and of other agents can be read or changed by a path."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.probes import mounts
from hermes_iso.prove.trial import Trial, evidence

_VIEW = layers("view")


async def read_peers_file(trial: Trial) -> str:
    """F03: a peer's workspace file, readable for everybody by its mode."""
    await trial.attack("write('open.txt', MARK)\nos.chmod('open.txt', 0o644)", agent=trial.peer)
    look = """
for path in (PEER_HOME + '/workspace/open.txt', '/workspace/open.txt', '/hermes/workspace/../../workspace/open.txt'):
    seek(MARK, read(path), path)
"""
    return evidence(await trial.attack(look))


async def write_through_symlink(trial: Trial) -> str:
    """F10: a symlink in the workspace that leads to a directory of the host's, written through."""
    target = trial.stage.outside / f"by-{trial.mark}"
    await trial.attack("os.symlink(HOST_OUTSIDE, 'way')\nattempt(write, 'way/by-' + MARK)\nattempt(write, 'way/secret')")
    (trial.workspace / "way").unlink()
    return _changed(trial, target)


async def link_peers_file(trial: Trial) -> str:
    """F12: a hard link of a peer's file in the own workspace."""
    await trial.attack("write('link-me.txt', MARK)", agent=trial.peer)
    try_it = """
for source in (PEER_HOME + '/workspace/link-me.txt', HOST_OUTSIDE + '/secret'):
    attempt(os.link, source, 'linked-' + os.path.basename(source))
    name = os.path.dirname(HOST_HOME) + '/in-place'
    attempt(os.link, source, name)
    if os.path.exists(name):
        hole('linked ' + source)
"""
    holes = await trial.attack(try_it)
    inode = (trial.stage.workspace(trial.peer) / "link-me.txt").stat().st_nlink
    return evidence([*holes, *(["the peer's file has two names"] if inode > 1 else [])])


async def drop_in_tmp(trial: Trial) -> str:
    """F23: files in /tmp, /dev/shm, /run and /var/tmp; the host looks whether they are its own."""
    names = [Path(place, trial.mark) for place in ("/tmp", "/dev/shm", "/run", "/var/tmp")]  # looked at, not used
    code = f"control(not attempt(write, '/tmp/{trial.mark}'), '/tmp can be written')\nfor name in NAMES: attempt(write, name)"
    await trial.attack(code, NAMES=[str(name) for name in names])
    found = [name for name in names if name.exists()]
    for name in found:
        name.unlink()
    return evidence([f"{name} is on the host" for name in found])


async def set_id_bits(trial: Trial) -> str:
    """F11: a setuid, setgid or device file in the workspace, for somebody on the host to run."""
    attack = """
write('set-id', '#!/bin/sh')
for act in (lambda: os.chmod('set-id', 0o6755), lambda: os.close(os.open('made', os.O_CREAT | os.O_WRONLY, 0o4755)),
            lambda: os.mknod('node', 0o106755), lambda: os.mkdir('dir', 0o2755), lambda: os.chmod('/workspace', 0o2755)):
    attempt(act)
syscall('fchmodat2', -100, b'set-id', 0o6755, 0)
os.system('cp /bin/true t && chmod u+s t 2>/dev/null; install -m 4755 /bin/true i 2>/dev/null')
"""
    await trial.attack(attack)
    if not (trial.workspace / "set-id").exists():
        raise BrokenProbeError("the probe's file is not in the workspace")
    found = [path.name for path in (trial.workspace, *trial.workspace.iterdir()) if path.lstat().st_mode & 0o6000]
    trial.workspace.chmod(0o700)
    return evidence([f"{name} has a set-id bit on the host" for name in found])


async def make_devices(trial: Trial) -> str:
    """F16: device nodes in the workspace and in /tmp, by mknod and by a whiteout."""
    attack = """
for path in ('disk', '/tmp/disk', 'whiteout'):
    for kind, number in ((stat.S_IFBLK, os.makedev(8, 0)), (stat.S_IFCHR, os.makedev(1, 1)), (stat.S_IFCHR, 0)):
        try:
            os.mknod(path, 0o600 | kind, number)
            hole(f'made {path}')
            os.unlink(path)
        except OSError:
            pass
write('moved')
if syscall('renameat2', -100, b'moved', -100, b'moved-2', 4)[0] == 0:
    hole('renameat2 left a whiteout')
"""
    holes = await trial.attack(attack)
    devices = [path.name for path in trial.workspace.iterdir() if not stat.S_IFMT(path.lstat().st_mode) & stat.S_IFREG]
    return evidence(holes + [f"{name} is a device" for name in devices if (trial.workspace / name).is_block_device()])


async def keep_owner(trial: Trial) -> str:
    """F26: what a turn makes belongs on the host to whoever owns the profile, to nobody else and never to root by accident."""
    await trial.attack("write('made')" if not trial.plays_hole else "pass")
    if trial.plays_hole:
        return evidence([f"owner {os.stat('/').st_uid}"])
    owner = trial.stage.profile(trial.me).stat().st_uid
    made = (trial.workspace / "made").stat().st_uid
    return "" if made == owner else f"made belongs to {made}, the profile to {owner}"


def _changed(trial: Trial, target: Path) -> str:
    """Return what an attack changed in the directory outside of the home."""
    changed = ["a file appeared on the host"] if target.exists() else []
    secret = trial.stage.outside / "secret"
    if secret.read_text(encoding="utf-8") != trial.stage.secret:
        secret.write_text(trial.stage.secret, encoding="utf-8")
        changed.append("a file of the host was overwritten")
    return evidence(changed)


_WALK = """
def walk(top):
    for folder, folders, files in os.walk(top):
        folders[:] = [each for each in folders if os.path.join(folder, each) not in SKIP]
        for name in files:
            yield os.path.join(folder, name)
"""

_FILES = (
    Probe(
        "F01",
        "fs",
        "read a file of the host outside of every home",
        "seek(SECRET, read(HOST_OUTSIDE + '/secret'), 'it')",
        _VIEW,
    ),
    Probe(
        "F02",
        "fs",
        "read config.yaml, .env and auth.json of the gateway's home by their host paths",
        """
for name in ('config.yaml', '.env', 'auth.json', 'active_profile', 'hermes-iso/gateway.db', 'hermes-iso/lock'):
    if read(HOST_HOME + '/' + name):
        hole(f'read {name}')
""",
        _VIEW,
    ),
    Probe("F03", "fs", "read another tenant's workspace file (mode 644)", read_peers_file, _VIEW),
    Probe(
        "F04",
        "fs",
        "list the profiles root (tenant names)",
        """
for path in (HOST_HOME, HOST_HOME + '/profiles', os.path.dirname(ME_HOME), '/hermes/profiles', '/hermes/..'):
    if attempt(os.listdir, path) == 0 and {'auth.json', os.path.basename(PEER_HOME)} & set(os.listdir(path)):
        hole(f'listed {path}')
""",
        _VIEW,
    ),
    Probe(
        "F05",
        "fs",
        "read .env and auth.json of the agent's own profile by their host paths",
        """
for path in (ME_HOME, '/hermes', '/hermes/memories/..', '/proc/self/root' + ME_HOME, '/proc/1/root' + ME_HOME):
    for name in ('.env', 'auth.json', 'config.yaml', 'pairing/secret', 'backups/secret'):
        seek(SECRET, read(f'{path}/{name}'), f'{path}/{name}')
""",
        _VIEW,
    ),
    Probe(
        "F06",
        "fs",
        "write under /usr, /etc, /opt and /",
        """
control(not attempt(write, '/tmp/x'), '/tmp can be written')
for place in ('/usr/local/bin', '/usr/bin', '/etc', '/opt', '/', '/dev', '/lib', '/var', '/hermes', '/home'):
    denied(f'wrote in {place}', write, f'{place}/{MARK}')
denied('wrote /etc/passwd', write, '/etc/passwd')
""",
        layers("system"),
    ),
    Probe(
        "F07",
        "fs",
        "read secrets of the host's /etc, /root and /var (shadow, ssh keys, logs)",
        """
for path in ('/etc/shadow', '/etc/sudoers', '/etc/ssh', '/etc/ssl/private', '/root', '/var/log', '/var/lib', '/home/' + 'user',
             '/boot', '/srv', '/mnt', '/media', '/etc/machine-id', '/sys/kernel', '/sys/class'):
    if os.path.isfile(path) or any(files for _, _, files in os.walk(path)):
        hole(f'{path} is there')
control(os.path.exists('/etc/passwd'), '/etc is there')
""",
        planted="os.walk = lambda path: [(path, [], ['id_rsa'])]",
    ),
    Probe(
        "F08",
        "fs",
        "find a canary of the host by walking all that can be reached",
        _WALK
        + """
SKIP = {'/proc', '/usr', '/opt/python', '/dev'}
count = 0
for path in walk('/'):
    count += 1
    try:
        small = os.lstat(path).st_size < 1 << 16
    except OSError:
        continue
    if small:
        seek(SECRET, read(path, 1 << 16), path)
control(count > 10, 'there are files to look at')
""",
        _VIEW,
    ),
    Probe(
        "F09",
        "fs",
        "dot-dot, //, /proc/self/root and /proc/self/cwd lead above the root of the sandbox",
        """
ROOT, CWD = '/proc/self/root', '/proc/self/cwd'
for way in ('/../..', '//..//..', ROOT + '/..', CWD + '/../../../..', ROOT.replace('self', '1') + '/..', '/proc/1/cwd/..'):
    for path in (HOST_OUTSIDE + '/secret', HOST_HOME + '/.env'):
        seek(SECRET, read(way + path), way + path)
""",
        _VIEW,
    ),
    Probe(
        "F10",
        "fs",
        "symlink in the workspace to a directory of the host, written through",
        write_through_symlink,
        _VIEW,
        alone=True,
    ),
    Probe("F11", "fs", "leave a setuid or setgid file on the host", set_id_bits, layers("seccomp")),
    Probe("F12", "fs", "hard link of another tenant's file into the workspace", link_peers_file, _VIEW),
    Probe(
        "F16", "fs", "mknod of a block or character device in the workspace", make_devices, layers("seccomp", "capabilities")
    ),
    Probe(
        "F18",
        "fs",
        "open_by_handle_at and name_to_handle_at (Shocker)",
        """
handle = struct.pack('=Ii', 128, 0) + bytes(128)
refused('name_to_handle_at', -100, b'/usr', handle, array.array('i', [0]).tobytes(), 0)
refused('open_by_handle_at', os.open('/', os.O_RDONLY), struct.pack('=Iiq', 8, 1, 2), 0)
""",
        layers("seccomp", "capabilities"),
    ),
    Probe(
        "F19",
        "fs",
        "/proc/self/exe opens for writing (the interpreter is replaced for everybody)",
        """
path = os.readlink('/proc/self/exe')
for each in ('/proc/self/exe', '/proc/1/exe', path):
    number = attempt(os.open, each, os.O_WRONLY)
    if number not in (EROFS, EACCES, EPERM):
        hole(f'{each}: {errno.errorcode.get(number, "opened")}')
if not os.statvfs(path).f_flag & os.ST_RDONLY:
    hole('the interpreter lies on a file system that is mounted read-write')
""",
        planted="os.ST_RDONLY = 0",
    ),
    Probe(
        "F21",
        "fs",
        "a device besides null, zero, full, random, urandom and tty is in /dev",
        """
names = set(os.listdir('/dev')) - {'null', 'zero', 'full', 'random', 'urandom', 'tty', 'fd', 'stdin', 'stdout', 'stderr',
                                   'shm', 'pts', 'ptmx'}
for name in names:
    hole(f'/dev/{name}')
denied('/dev/mem opens', os.open, '/dev/mem', os.O_RDONLY)
denied('/dev/kmsg opens', os.open, '/dev/kmsg', os.O_RDONLY)
""",
        planted="real = os.listdir\nos.listdir = lambda path: [*real(path), 'sda']",
    ),
    Probe("F23", "fs", "a file dropped in /tmp, /dev/shm, /run arrives on the host", drop_in_tmp, layers("tmp")),
    Probe(
        "F25",
        "fs",
        "own workspace, HOME, /tmp and memories are usable (functional)",
        """
for path in ('/workspace', '/home/agent', '/tmp', '/hermes/memories', '/dev/shm'):
    name = f'{path}/{MARK}'
    if attempt(write, name, 'text') or read(name) != b'text':
        hole(f'{path} can not be used')
    attempt(os.unlink, name)
if shell('echo works; true | cat') != 'works\\n':
    hole('a shell does not work')
""",
        planted="real = read\nread = lambda path: b''",
    ),
    Probe("F26", "fs", "files that a turn makes belong to somebody else on the host", keep_owner, planted="pass"),
    Probe(
        "F27",
        "fs",
        "write where mounts and ownership allow it and landlock alone does not (/proc/self/comm)",
        """
control(not attempt(write, '/tmp/' + MARK), '/tmp can be written')
for name in ('comm', 'coredump_filter', 'oom_score_adj', 'timerslack_ns', 'autogroup', 'task/%d/comm' % os.getpid()):
    if os.path.exists('/proc/self/' + name):
        denied(f'{name} opens for writing', os.open, '/proc/self/' + name, os.O_WRONLY)
""",
        layers("landlock"),
        limit="landlock",
    ),
)

PROBES = tuple(sorted((*_FILES, *mounts.PROBES), key=lambda probe: probe.id))
