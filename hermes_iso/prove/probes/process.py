"""Probes of processes: what a turn sees of others, what outlives it, and what it could become."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from hermes_iso.bench_turns.processes import descendants
from hermes_iso.prove.host import SETTLE, end_all, host_process, living, meeting, owners, wait_until
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.stage import HASTY
from hermes_iso.prove.trial import Trial, evidence

_CAPABILITIES = layers("capabilities", "seccomp")
_START = "answer = background('sh -c \"sleep 60; : ' + MARK + '\"; :')"
_STOP = "for each in call('list')['processes']: call('kill', session_id=each['session_id'])"
_DAEMON = """
import sys
pid = os.fork()
if pid == 0:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    os.execv('/bin/sh', ['sh', '-c', 'trap "" TERM HUP INT; echo > daemon-' + MARK + '; sleep 60; : ' + MARK])
os.waitpid(pid, 0)
control(wait_for(lambda: os.path.exists('daemon-' + MARK)), 'the daemon runs')
"""


async def see_host(trial: Trial) -> str:
    """P01: processes of the host and of a peer, by a word in their command lines."""
    look = """
control(read('/proc/self/status'), '/proc is there')
for path in glob.glob('/proc/[0-9]*/cmdline'):
    seek(WORD, read(path), path)
"""
    busy = "subprocess.Popen(['sh', '-c', 'sleep 60; : ' + MARK])\nmeet()"
    with host_process(trial.mark):
        async with meeting(trial, busy, agent=trial.peer):
            return evidence(await trial.attack(look, WORD=trial.mark))


async def outlive(trial: Trial) -> str:
    """P07: a daemon with every ordinary way of surviving; the host looks for it after the turn."""
    await trial.attack(_DAEMON)
    return _left(trial)


async def outlive_timeout(trial: Trial) -> str:
    """P19: the same in a turn that hangs until its time is over."""
    outbound = await trial.turn(_DAEMON + "time.sleep(60)", agent=HASTY)
    if outbound.error != "timeout":
        raise BrokenProbeError(f"the turn did not run out of time: {outbound.error}: {outbound.text}")
    return _left(trial)


async def keep_talking(trial: Trial) -> str:
    """P10: a child that keeps the turn's socket open and goes on after the answer."""
    code = """
subprocess.Popen(['sh', '-c', 'echo > child-' + MARK + '; sleep 60; : ' + MARK], pass_fds=[sock.fileno()])
control(wait_for(lambda: os.path.exists('child-' + MARK)), 'the child runs')
"""
    await trial.attack(code)
    return _left(trial)


def _left(trial: Trial) -> str:
    """Return what is left of a turn on the host, and end it."""
    left = end_all(trial.mark)
    return f"{len(left)} processes live on" if left else ""


async def kill_launcher(trial: Trial) -> str:
    """P08: SIGKILL of the process that holds a sandbox; everything in it must be gone soon after."""
    home = trial.stage.place / trial.mark
    home.mkdir()
    if trial.plays_hole:
        with host_process(trial.mark):
            return "a process lives on" if living(trial.mark) else ""
    argv = [sys.executable, "-m", "hermes_iso.prove.launcher", str(home), trial.mark]
    launcher = subprocess.Popen(argv, env={"PYTHONPATH": os.pathsep.join(sys.path)}, stdin=subprocess.DEVNULL)
    inside = f"{trial.mark}-inside"  # the launcher's own command line, and for a moment its forks', hold the mark alone
    try:
        if not await wait_until(lambda: bool(living(inside))):
            raise BrokenProbeError("the sandbox of the process to be killed never ran")
    finally:
        launcher.kill()
        launcher.wait()
    gone = await wait_until(lambda: not living(inside), SETTLE)
    return "" if gone else f"{len(end_all(inside))} processes live on"


async def own_processes(trial: Trial) -> str:
    """P23: every number that a process of the pool has, on the host or in a pid namespace of its own."""
    await trial.attack("pass")  # from here on the pool has processes, also when this is the first probe
    numbers = {1, 2, 3, 4}
    for pid in descendants():
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
            fields = dict(line.split(":", 1) for line in lines if ":" in line)
            numbers |= {int(each) for each in fields["NSpid"].split()}
    look = """
own = {0, os.getpid()}
for number in set(NUMBERS) - own:
    for act in (lambda: os.kill(number, 0), lambda: os.close(os.pidfd_open(number)), lambda: os.getpgid(number),
                lambda: os.getsid(number), lambda: os.sched_getaffinity(number), lambda: resource.prlimit(number, 0),
                lambda: os.getpriority(os.PRIO_PROCESS, number), lambda: os.stat(f'/proc/{number}')):
        if attempt(act) == 0:
            hole(f'process {number} answers')
control(len(NUMBERS) > 5, 'there are numbers to try')
"""
    return evidence(await trial.attack(look, NUMBERS=sorted(numbers)))


async def host_uid(trial: Trial) -> str:
    """P17: which uid a turn's process has on the host."""
    await trial.attack(_START)
    try:
        if not await wait_until(lambda: bool(living(trial.mark))):
            raise BrokenProbeError("the process is not there")
        uids = owners(trial.mark)
    finally:
        await trial.attack(_STOP)
    forbidden = max(uids) if trial.plays_hole else 0
    return f"it runs as uid {forbidden} on the host" if forbidden in uids else ""


PROBES = (
    Probe("P01", "process", "see host processes in /proc", see_host, layers("proc")),
    Probe(
        "P02",
        "process",
        "signal processes of other turns (kill -1, by signal 0)",
        "if attempt(os.kill, -1, 0) == 0: hole('there is something to signal')",
        layers("pid"),
    ),
    Probe(
        "P03",
        "process",
        "ptrace(TRACEME) and ptrace(SEIZE)",
        "refused('ptrace', 0, 0, 0, 0)\nrefused('ptrace', 0x4206, 1, 0, 0)",
        layers("seccomp"),
    ),
    Probe(
        "P04",
        "process",
        "process_vm_readv and process_vm_writev",
        """
for name in ('process_vm_readv', 'process_vm_writev'):
    refused(name, os.getpid(), None, 0, None, 0, 0)
""",
        layers("seccomp"),
    ),
    Probe(
        "P05",
        "process",
        "find other processes of the sandbox in /proc (zygote, spares, other turns)",
        """
own = {str(os.getpid())}
for name in os.listdir('/proc'):
    if name.isdigit() and name not in own:
        hole(f'process {name}: {read(f"/proc/{name}/comm")}')
control(str(os.getpid()) in os.listdir('/proc'), 'the turn itself is there')
""",
        layers("pid"),
    ),
    Probe(
        "P06",
        "process",
        "setns into pid 1 namespaces",
        """
for path in (f'/proc/{who}/ns/{name}' for who in ('1', 'self') for name in ('mnt', 'net', 'pid', 'ipc', 'user', 'uts')):
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:
        control('self' not in path, f'{path} can be opened')
        continue
    refused('setns', fd, 0)
""",
        _CAPABILITIES,
    ),
    Probe("P07", "process", "daemon (double fork, setsid, signals ignored) outlives the turn", outlive, layers("pid")),
    Probe("P08", "process", "children outlive SIGKILL of the launcher", kill_launcher, planted="pass", alone=True),
    Probe(
        "P09",
        "process",
        "signal the gateway and every other pid of the host, by number",
        """
for pid in range(300, 40000):
    if attempt(os.kill, pid, 0) == 0:
        hole(f'there is a process {pid}')
""",
        planted="real = attempt\nattempt = lambda function, pid, *rest: 0 if pid == 4000 else real(function, pid, *rest)",
    ),
    Probe("P10", "process", "child keeps the turn's socket and outlives the answer", keep_talking, layers("pid")),
    Probe(
        "P11",
        "process",
        "open /dev/tty (gateway's controlling terminal)",
        """
for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY):
    denied('it opens', os.open, '/dev/tty', flags | os.O_NOCTTY)
for path in ('/dev/console', '/dev/tty0', '/dev/pts/0', '/dev/ptmx'):
    denied(f'{path} opens', os.open, path, os.O_RDWR | os.O_NOCTTY)
""",
        planted="os.symlink('/dev/null', '/tmp/tty')\nreal = os.open\nos.open = lambda path, flags: real('/tmp/tty', flags)",
    ),
    Probe(
        "P12",
        "process",
        "no_new_privs off, so that setuid binaries work",
        """
status = read('/proc/self/status').decode()
control('NoNewPrivs' in status, 'the kernel tells')
if 'NoNewPrivs:\\t1' not in status:
    hole('no_new_privs is off')
""",
        planted="real = read\nread = lambda path: real(path).replace(b'NoNewPrivs:\\t1', b'NoNewPrivs:\\t0')",
    ),
    Probe(
        "P13",
        "process",
        "hold a capability in any of the five sets",
        """
for line in read('/proc/self/status').decode().splitlines():
    if line.startswith('Cap') and int(line.split()[1], 16):
        hole(line)
for line in shell('cat /proc/self/status').splitlines():
    if line.startswith('Cap') and int(line.split()[1], 16):
        hole('a child has ' + line)
""",
        _CAPABILITIES,
    ),
    Probe(
        "P14",
        "process",
        "regain a capability by capset, ambient set or securebits",
        """
header = struct.pack('=Ii', 0x20080522, 0)
if libc.capset(header, struct.pack('=6I', 1 << 21, 1 << 21, 0, 0, 0, 0)) == 0:
    hole('capset gave CAP_SYS_ADMIN')
if libc.prctl(47, 2, 21, 0, 0) == 0:
    hole('the ambient set took CAP_SYS_ADMIN')
if libc.prctl(28, 0, 0, 0, 0) == 0:
    hole('securebits were cleared')
""",
        _CAPABILITIES,
    ),
    Probe(
        "P15",
        "process",
        "core dumps enabled (memory to disk or pipe handler)",
        """
if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
    hole(f'RLIMIT_CORE is {resource.getrlimit(resource.RLIMIT_CORE)}')
""",
        planted="resource.getrlimit = lambda which: (1, 1)",
    ),
    Probe(
        "P16",
        "process",
        "setuid(0), setgid(0), setgroups to widen identity",
        """
for what, act in {'setuid': lambda: os.setuid(0), 'setgid': lambda: os.setgid(0), 'setgroups': lambda: os.setgroups([0]),
                  'setresuid': lambda: os.setresuid(0, 0, 0), 'other': lambda: os.setresuid(1, 1, 1)}.items():
    denied(f'{what} worked', act)
if os.getresuid() != (1000, 1000, 1000) or os.getresgid() != (1000, 1000, 1000):
    hole(f'the turn is {os.getresuid()}')
for name in ('uid_map', 'gid_map'):
    rows = read(f'/proc/self/{name}').decode().split()
    if len(rows) != 3 or rows[2] != '1':
        hole(f'{name} maps more than one id: {rows}')
""",
        planted="os.setuid = lambda uid: None",
    ),
    Probe("P17", "process", "run as uid 0 on the host", host_uid, planted="pass"),
    Probe(
        "P18",
        "process",
        "raise the own priority: nice, real time, oom_score_adj",
        """
denied('nice went down', os.setpriority, os.PRIO_PROCESS, 0, -5)
denied('real time scheduling', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
denied('oom_score_adj went down', write, '/proc/self/oom_score_adj', '-999')
""",
        planted="os.setpriority = lambda *rest: None",
    ),
    Probe("P19", "process", "daemon outlives a turn that ran out of time", outlive_timeout, layers("pid")),
    Probe(
        "P20",
        "process",
        "a setuid program of the system changes the identity (su, mount, passwd, sudo)",
        """
pid = os.fork()
if pid == 0:
    os.execv('/bin/sh', ['sh', '-c', 'id -u > uid; su -c id >> uid 2>&1 </dev/null; true'])
os.waitpid(pid, 0)
text = read('uid').decode(errors='replace')
control(text.startswith('1000'), 'id runs')
if 'uid=0' in text:
    hole('su gave uid 0')
""",
        planted="real = read\nread = lambda path: real(path) + b'uid=0(root)'",
    ),
    Probe(
        "P21",
        "process",
        "look into the init of a command, change it or end it (/proc/1)",
        """
in_command('''
import os, signal, time
def attempt(what, function, *arguments):
    try:
        if function(*arguments) not in (b'', None):
            print('hole', what, flush=True)
    except OSError:
        pass
assert os.getpid() != 1 and 'PPid' in open('/proc/1/status').read()
for name in ('environ', 'maps', 'smaps', 'mem', 'auxv', 'io', 'syscall', 'stack', 'pagemap', 'personality'):
    attempt(name + ' can be read', lambda: open('/proc/1/' + name, 'rb', 0).read(16))
for name in ('root', 'cwd', 'exe', 'ns/mnt', 'ns/user', 'ns/net'):
    attempt(name + ' can be followed', os.readlink, '/proc/1/' + name)
for name in ('map_files', 'root/workspace', 'cwd/'):
    attempt(name + ' can be listed', os.listdir, '/proc/1/' + name)
attempt('mem opens for writing', os.open, '/proc/1/mem', os.O_WRONLY)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGKILL):
    os.kill(1, number)
time.sleep(0.05)
''')
""",
        layers("init"),
    ),
    Probe(
        "P22",
        "process",
        "a process group in common with the zygote or with other turns (kill(0) asks for the uid alone)",
        """
if os.getpgid(0) == 0:
    hole('the process group was made outside of the turn')
control(os.kill(0, 0) is None, 'there is a group')
in_command('''
import os
for pid in (0, 1):
    if os.getpgid(pid) == 0:
        print('hole a group was made outside of the command')
''')
""",
        layers("init"),
    ),
    Probe(
        "P23",
        "process",
        "the keeper, the template, holders and zygotes, by the numbers that they have in any pid namespace",
        own_processes,
        layers("pid"),
    ),
)
