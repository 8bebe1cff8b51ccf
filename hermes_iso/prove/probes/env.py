"""Probes of the environment: what a turn finds in its variables, its descriptors and in /proc about them."""

from __future__ import annotations

import hashlib
from typing import Any

from hermes_iso.prove.probe import Probe, layers
from hermes_iso.prove.trial import Trial, evidence

_ENVIRONMENT = layers("environment")
_FOREIGN = """
control(os.environ.get('HERMES_HOME') == '/hermes', 'the turn has an environment')
for name in os.environ:
    if name.startswith(PREFIXES):
        hole(f'{name} is set')
"""

_TELLING_INIT = """
other, real = subprocess.Popen(['sleep', '20'], env={'X': SECRET}), read
read = lambda path: real(path.replace('/proc/1/', f'/proc/{other.pid}/'))
control(wait_for(lambda: read('/proc/1/environ')), 'the other has its environment')
"""

_MEMORY = """
import hashlib
seen = 0
for line in open('/proc/self/maps'):
    words = line.split()
    start, end = (int(each, 16) for each in words[0].split('-'))
    if 'rw' not in words[1] or end - start > 256 << 20:
        continue
    with open('/proc/self/mem', 'rb') as memory:
        memory.seek(start)
        data = memory.read(end - start)
    seen += 1
    at = data.find(BEGIN.encode())
    while at >= 0:
        if hashlib.sha256(data[at:at + LENGTH]).hexdigest() == HASH:
            hole(f'a mapping {words[-1]}')
            break
        at = data.find(BEGIN.encode(), at + 1)
control(seen > 3, 'memory can be read')
"""


async def search_memory(trial: Trial, before: str = "", **given: Any) -> str:
    """Have a turn search its own memory for a secret of which it is told no more than the beginning and the hash.

    before: guest code that runs first, with `given` in scope.
    """
    return await _search(trial, trial.stage.secret, before, **given)


async def search_memory_for_peer(trial: Trial) -> str:
    """E15: the same for a value that the peer's turns have; one of those ran before."""
    value = f"own-value-of-{trial.peer}"
    await trial.attack("control(os.environ['OWN_VALUE'] == VALUE, 'the peer has it')", agent=trial.peer, VALUE=value)
    return await _search(trial, value)


async def _search(trial: Trial, secret: str, before: str = "", **given: Any) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return evidence(
        await trial.attack(before + _MEMORY, SECRET="", BEGIN=secret[:12], LENGTH=len(secret), HASH=digest, **given)
    )


PROBES = (
    Probe(
        "E01",
        "env",
        "os.environ holds a gateway secret",
        "for name, value in os.environ.items(): seek(SECRET, value, name)",
        _ENVIRONMENT,
    ),
    Probe(
        "E02",
        "env",
        "/proc/self/environ holds a gateway secret",
        """
of_child = shell('cat /proc/self/environ')
control('PATH=' in of_child, 'it can be read')
seek(SECRET, of_child, 'that of a child')
seek(SECRET, read('/proc/self/environ'), 'it')
""",
        _ENVIRONMENT,
    ),
    Probe(
        "E03",
        "env",
        "/proc/1/environ holds a gateway secret (the launcher's environment)",
        "control(os.path.exists('/proc/1/environ'), 'it is there')\nseek(SECRET, read('/proc/1/environ'), 'it')",
        planted=_TELLING_INIT,
    ),
    Probe(
        "E04",
        "env",
        "any /proc/<pid>/environ or task's holds a gateway secret",
        """
child = subprocess.Popen(['sleep', '20'])
control(wait_for(lambda: read(f'/proc/{child.pid}/environ')), 'a child is there')
for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/self/task/*/environ'):
    seek(SECRET, read(path), path)
""",
        _ENVIRONMENT,
    ),
    Probe(
        "E05",
        "env",
        "a child program inherits a gateway secret",
        "out = shell('env')\ncontrol('PATH=' in out, 'env prints')\nseek(SECRET, out, 'env of a child')",
        _ENVIRONMENT,
    ),
    Probe(
        "E06",
        "env",
        "HOME or HERMES_HOME points at a home of the host's",
        "want = {'HOME': '/home/agent', 'HERMES_HOME': '/hermes', 'USER': 'agent'}\n"
        "for name, value in want.items():\n    if os.environ.get(name) != value: hole(f'{name} is {os.environ.get(name)}')",
        _ENVIRONMENT,
    ),
    Probe(
        "E07",
        "env",
        "loader and interpreter hooks are inherited (LD_*, PYTHON*, BASH_ENV, GIT_*, NODE_OPTIONS)",
        "PREFIXES = ('LD_', 'PYTHON', 'BASH_ENV', 'ENV', 'GIT_', 'NODE_OPTIONS', 'PERL5', 'RUBY')" + _FOREIGN,
        _ENVIRONMENT,
    ),
    Probe(
        "E08",
        "env",
        "sockets of the operator's agents are inherited (SSH_AUTH_SOCK, DBUS, GPG)",
        "PREFIXES = ('SSH_', 'DBUS_', 'GPG_', 'XDG_RUNTIME', 'DISPLAY', 'WAYLAND', 'DOCKER_', 'KUBE')" + _FOREIGN,
        _ENVIRONMENT,
    ),
    Probe(
        "E09",
        "env",
        "a descriptor is inherited besides three streams and the turn's own socket",
        """
for name in os.listdir('/proc/self/fd'):
    try:
        target = os.readlink(f'/proc/self/fd/{name}')
    except OSError:
        continue  # the one that listed
    if target != '/dev/null' and int(name) != sock.fileno():
        hole(f'descriptor {name} is {target}')
""",
        layers("descriptors"),
    ),
    Probe(
        "E10",
        "env",
        "an inherited directory descriptor opens a file (openat(fd, '.env'))",
        """
for fd in range(0, 4096):
    for name in ('.env', '../.env', 'secret'):
        try:
            os.close(os.open(name, os.O_RDONLY, dir_fd=fd))
            hole(f'{name} by descriptor {fd}')
        except OSError:
            pass
""",
        planted="os.mkdir('/tmp/d'); write('/tmp/d/.env'); os.dup2(os.open('/tmp/d', os.O_RDONLY), 77)",
    ),
    Probe(
        "E11",
        "env",
        "an inherited descriptor leads to a directory of the host's by /proc/self/fd/N/..",
        """
for name in os.listdir('/proc/self/fd'):
    link = f'/proc/self/fd/{name}'
    if os.path.isdir(link):
        hole(f'descriptor {name} is the directory {os.readlink(link)}')
""",
        planted="os.dup2(os.open('/', os.O_RDONLY), 77)",
    ),
    Probe(
        "E12",
        "env",
        "init of a command keeps descriptors that the command can open by /proc/1/fd",
        """
in_command('''
import os
assert os.getpid() != 1
try:
    for name in os.listdir('/proc/1/fd'):  # it may be refused as a whole
        print('hole', name, os.readlink('/proc/1/fd/' + name))
except PermissionError:
    pass
''')
""",
        layers("init", "descriptors"),
    ),
    Probe(
        "E13",
        "env",
        "the memory of the turn's process holds a gateway secret (what it was forked from)",
        search_memory,
        _ENVIRONMENT,
    ),
    Probe(
        "E14",
        "env",
        "the command line of any process inside names the host's home or a secret",
        """
control(read('/proc/1/cmdline'), 'it can be read')
for path in glob.glob('/proc/[0-9]*/cmdline'):
    seek(SECRET, read(path), path)
    seek(HOST_HOME, read(path), path)
""",
        planted="subprocess.Popen(['sh', '-c', 'sleep 5; : ' + SECRET]); time.sleep(0.1)",
    ),
    Probe(
        "E15",
        "env",
        "the memory of the turn's process holds a value of another agent's .env (what they have in common was forked from)",
        search_memory_for_peer,
        planted="kept = ('own-value-of-' + os.path.basename(PEER_HOME)).encode()",
        alone=True,
    ),
    Probe(
        "E16",
        "env",
        "/proc/self/cgroup and mountinfo name the host's cgroups",
        """
control(b':' in read('/proc/self/cgroup'), 'the kernel tells')
for line in read('/proc/self/cgroup').decode().splitlines():
    if line.split(':', 2)[2] != '/':
        hole(line)
for line in read('/proc/self/mountinfo').decode().splitlines():
    if ' - cgroup' in line:
        hole(line)
""",
        planted="real = read\nread = lambda path: real(path).replace(b':/\\n', b':/hermes-iso-1/2\\n')",
    ),
)
