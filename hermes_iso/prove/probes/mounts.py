"""Probes of the composed view: mounts that a turn could make, change or undo, and what they tell of the host."""

from __future__ import annotations

import sys
from pathlib import Path

from hermes_iso.prove.probe import Probe, layers
from hermes_iso.prove.trial import Trial, evidence

_MOUNTS = layers("seccomp", "capabilities")


async def places_of_code(trial: Trial) -> str:
    """F29: the host's paths of what runs there; those below /usr are the same for everybody."""
    package = Path(__file__).resolve().parents[3]
    places = {str(Path(each).resolve()) for each in (package, sys.prefix, sys.base_prefix)}
    if trial.plays_hole:
        places = {"/played/by/the/self-test"}
    attack = """
names = ('mountinfo', 'mounts', 'mountstats', 'maps', 'smaps', 'cmdline', 'environ', 'comm', 'cgroup')
texts = {f'/proc/{who}/{name}': read(f'/proc/{who}/{name}').decode(errors='replace') for who in ('self', '1') for name in names}
for path in ('exe', 'cwd', 'root'):
    texts[path] = os.readlink(f'/proc/self/{path}')
texts |= {'sys': repr((sys.path, sys.prefix, sys.executable, sys.argv)), 'the environment': repr(dict(os.environ))}
control(texts['/proc/self/mountinfo'] and texts['/proc/self/maps'], 'the kernel tells')
for where, text in texts.items():
    for place in PLACES:
        seek(place + '/', text, where)
        if text.endswith(place):
            hole(where + ' is it')
"""
    return evidence(await trial.attack(attack, PLACES=[each for each in places if not Path(each).is_relative_to("/usr")]))


PROBES = (
    Probe(
        "F13",
        "fs",
        "mount a tmpfs, a bind, a proc or an overlay",
        """
os.makedirs('/tmp/mount', exist_ok=True)
for kind, source, flags in ((b'tmpfs', b'tmpfs', 0), (b'', b'/usr', 0x1000), (b'proc', b'proc', 0)):
    refused('mount', source, b'/tmp/mount', kind, flags, None)
""",
        _MOUNTS,
    ),
    Probe(
        "F14",
        "fs",
        "remount /usr read-write",
        "for kept in (0, 2 | 4):  # flags that came with the mount may be locked\n"
        "    refused('mount', b'none', b'/usr', None, 0x20 | 0x1000 | kept, None)",
        _MOUNTS,
    ),
    Probe(
        "F15",
        "fs",
        "umount /proc, /tmp and a masked file to expose what lies below",
        "for path in (b'/proc/kallsyms', b'/tmp', b'/proc'): refused('umount2', path, 2)",
        _MOUNTS,
    ),
    Probe(
        "F17",
        "fs",
        "chroot and pivot_root",
        """
refused('chroot', b'/tmp')
refused('pivot_root', b'/tmp', b'/tmp')
""",
        _MOUNTS,
    ),
    Probe(
        "F20",
        "fs",
        "the guest's own code is there, or the libraries and generated files can be changed",
        """
control(os.path.exists(os.__file__) and os.path.exists('/etc/hosts'), 'there is something to change')
if os.path.lexists('/opt/hermes-iso.zip'):
    hole("the template's archive of the guest's code is there")
for path in ('/usr/lib/os-release', os.__file__, '/etc/hosts', '/etc/resolv.conf', '/hermes/.env'):
    denied(f'wrote {path}', os.open, path, os.O_WRONLY | os.O_APPEND)
    denied(f'removed {path}', os.rename, path, path + '.moved')
""",
        _MOUNTS,
        planted="syscall('mount', b'none', b'/etc/hosts', None, 0x20 | 0x1000, None)",
    ),
    Probe(
        "F22",
        "fs",
        "a file system that devices or setuid files would work on is writable",
        """
for line in open('/proc/self/mountinfo'):
    words = line.split()
    options, kind = words[5].split(','), words[words.index('-') + 1]
    if stat.S_ISCHR(os.stat(words[4]).st_mode):
        options.append('nodev')  # one of the six devices, or /dev/null as a mask
    if 'rw' in options and not {'nosuid', 'nodev'} <= set(options):
        hole(f'{words[4]} is writable with {words[5]}')
""",
        planted="real = open\nopen = lambda path: real(path).read().replace('nosuid,', '').splitlines()",
    ),
    Probe(
        "F24",
        "fs",
        "mountinfo shows host paths of the gateway or of other tenants",
        """
for path in ('/proc/self/mountinfo', '/proc/1/mountinfo', '/proc/self/mounts', '/proc/self/mountstats'):
    text = read(path).decode(errors='replace')
    control(text or 'self' not in path, path)
    seek(PEER_HOME + '/', text, path)
    seek(HOST_OUTSIDE, text, path)
    for line in text.splitlines():
        if HOST_HOME in line and ME_HOME not in line:
            hole(line)
""",
        planted="real = read\nread = lambda path: real(path) + (f'1 2 0:1 {PEER_HOME}/x /y').encode()",
    ),
    Probe(
        "F28",
        "fs",
        "the keeper's stage, where every agent's directories are attached, or what bwrap composed from",
        """
for path in ('/sys', '/oldroot', '/newroot', '/tmp/oldroot', '/tmp/newroot', '/.staged/0'):
    if os.path.lexists(path):
        hole(f'{path} is there')
for line in read('/proc/self/mountinfo').decode().splitlines():
    if line.split()[4].startswith(('/sys', '/oldroot', '/newroot')) or line.split()[3].startswith('/sys'):
        hole(line)
control(read('/proc/self/mountinfo'), 'the kernel tells')
""",
        layers("system", "capabilities", "seccomp"),
        planted="os.makedirs('/sys/7/0')",
    ),
    Probe(
        "F29",
        "fs",
        "mountinfo, maps, links and command lines tell where the gateway's interpreter and checkout lie",
        places_of_code,
        planted="real = read\nread = lambda path: real(path) + PLACES[0].encode()",
    ),
)
