"""Probes of limits: how much of the machine one agent can take. A limit that this machine can't enforce is skipped.

The stage's agents have small limits, `stage.LIMITS`: what is taken here is more than those and little for a machine.
"""

from __future__ import annotations

import os

from hermes_iso.prove.probe import Probe, layers
from hermes_iso.prove.trial import Trial, evidence, holes_of
from hermes_iso_sandbox.confinement import Limits

_LIMITS = layers("limits")
COUNTED = 5.0
"""Seconds after which a turn that has taken too much of the disk must have been stopped: within about one, says the promise."""
_FILL = """
def fill(folder, total):
    taken, block = 0, bytes(4 << 20)
    with open(folder + '/' + MARK, 'wb', buffering=0) as file:
        try:
            while taken < total:
                taken += file.write(block)
        except OSError as error:
            control(error.errno in (ENOSPC, EDQUOT, EFBIG, ENOMEM), str(error))
    os.unlink(folder + '/' + MARK)
    if taken >= total:
        hole(f'{taken >> 20} MiB fit')
"""
_TOUCH = """
def touch(amount):
    page = mmap.mmap(-1, amount)
    for place in range(0, amount, 4096):
        page[place] = 1
    return page
"""

_EIGHT = """
ends = [os.pipe() for _ in range(8)]
children = []
for _, end in ends:
    pid = os.fork()
    if pid == 0:
        try:
            page = touch(48 << 20)
            os.write(end, b'x')
            signal.pause()
        finally:
            os._exit(1)
    children.append(pid)
for _, end in ends:
    os.close(end)
lived = sum(os.read(start, 1) == b'x' for start, _ in ends)
alive = sum(os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in children)
for pid in children:
    attempt(os.kill, pid, signal.SIGKILL)
if lived == alive == 8:
    hole('all of it was given')
"""


async def fill_workspace(trial: Trial) -> str:
    """R08: the workspace's total over many files; the turn may be stopped for it."""
    code = """
taken = 0
try:
    for number in range(6):
        with open(f'{MARK}-{number}', 'wb', buffering=0) as file:
            for _ in range(4):
                taken += file.write(bytes(4 << 20))
    time.sleep(COUNTED)
    hole(f'{taken >> 20} MiB fit')
except OSError as error:
    control(error.errno in (ENOSPC, EDQUOT), str(error))
"""
    return await _stopped_or_refused(trial, code)


async def deleted_files(trial: Trial) -> str:
    """R18: the same in files that have no name any more."""
    code = """
files = []
try:
    for number in range(6):
        files.append(open(f'{MARK}-{number}', 'wb', buffering=0))
        os.unlink(f'{MARK}-{number}')
        for _ in range(4):
            files[-1].write(bytes(4 << 20))
    time.sleep(COUNTED)
    hole('they fit')
except OSError as error:
    control(error.errno in (ENOSPC, EDQUOT), str(error))
"""
    return await _stopped_or_refused(trial, code)


async def many_files(trial: Trial) -> str:
    """R13: the workspace's number of files."""
    code = """
try:
    for number in range(8000):
        os.close(os.open(f'{MARK}-{number}', os.O_CREAT | os.O_WRONLY))
    time.sleep(COUNTED)
    hole('8000 files fit')
except OSError as error:
    control(error.errno in (ENOSPC, EDQUOT), str(error))
"""
    return await _stopped_or_refused(trial, code)


async def memory_over_processes(trial: Trial) -> str:
    """R03: 384 MiB, touched by eight processes."""
    return await _stopped_or_refused(trial, _TOUCH + _EIGHT)


async def memory_of_files(trial: Trial) -> str:
    """R04: 384 MiB in memory files."""
    code = """
taken, files = 0, []
try:
    for number in range(6):
        files.append(os.memfd_create(str(number)))
        for _ in range(16):
            taken += os.write(files[-1], bytes(4 << 20))
except OSError as error:
    control(error.errno in (ENOMEM, ENOSPC), str(error))
if taken >= 384 << 20:
    hole(f'{taken >> 20} MiB were given')
"""
    return await _stopped_or_refused(trial, code)


async def memory_of_process(trial: Trial) -> str:
    """R17: 384 MiB, touched by one process."""
    code = """
def take():
    touch(384 << 20)
    return 7
if in_child(take) == 7:
    hole('all of it was given')
"""
    return await _stopped_or_refused(trial, _TOUCH + code)


async def priority(trial: Trial) -> str:
    """R19: a turn steps behind the gateway, for processor time and when memory runs out."""
    code = """
if os.nice(0) < min(19, OURS + 5):
    hole(f'nice is {os.nice(0)}, and the gateway has {OURS}')
score = int(read('/proc/self/oom_score_adj'))
if score < 500:
    hole(f'oom_score_adj is {score}')
"""
    return evidence(await trial.attack(code, OURS=os.nice(0)))


async def _stopped_or_refused(trial: Trial, code: str) -> str:
    """Run code that takes too much; a turn that is ended for it is as good as a refusal. Clears the workspace of it."""
    outbound = await trial.turn(code, COUNTED=COUNTED)
    for path in trial.workspace.glob(f"{trial.mark}-*"):
        path.unlink()
    ended = outbound.error is not None and outbound.error != "guest_error"
    return "" if ended else evidence(holes_of(outbound))


PROBES = (
    Probe(
        "R01",
        "resource",
        "fork bomb (400 bounded)",
        """
children = []
try:
    for _ in range(400):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        children.append(pid)
    hole('400 processes at a time')
except BlockingIOError:
    control(len(children) > 10, 'some processes can be had')
finally:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
""",
        _LIMITS,
        alone=True,
    ),
    Probe(
        "R02",
        "resource",
        "one process maps more memory than its address space limit",
        """
try:
    mmap.mmap(-1, ALLOWED + (64 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    hole('it was given')
except OSError as error:
    control(error.errno == ENOMEM, str(error))
mmap.mmap(-1, 64 << 20).close()
""".replace("ALLOWED", str(Limits().address_space)),
        _LIMITS,
    ),
    Probe(
        "R03",
        "resource",
        "384 MiB over 8 processes (per-process limits do not add up)",
        memory_over_processes,
        _LIMITS,
        limit="memory",
        alone=True,
    ),
    Probe(
        "R04", "resource", "384 MiB in memfds, which belong to no process", memory_of_files, _LIMITS, limit="memory", alone=True
    ),
    Probe("R05", "resource", "fill /dev/shm (64 MiB)", _FILL + "fill('/dev/shm', 64 << 20)", _LIMITS, alone=True),
    Probe("R06", "resource", "fill /tmp (64 MiB)", _FILL + "fill('/tmp', 64 << 20)", _LIMITS, alone=True),
    Probe(
        "R07",
        "resource",
        "one file larger than the file size limit (sparse)",
        """
with open(MARK, 'wb') as file:
    if attempt(os.ftruncate, file.fileno(), ALLOWED + 1) == 0:
        hole('it could be made')
    control(attempt(os.ftruncate, file.fileno(), 1 << 20) == 0, 'a small one can be made')
os.unlink(MARK)
""".replace("ALLOWED", str(Limits().file_size)),
        _LIMITS,
    ),
    Probe(
        "R08", "resource", "workspace total over many files (96 MiB in 6)", fill_workspace, _LIMITS, limit="disk", alone=True
    ),
    Probe(
        "R09",
        "resource",
        "open 3000 descriptors",
        """
files = []
try:
    for _ in range(3000):
        files.append(os.open('/dev/null', os.O_RDONLY))
    hole('3000 are open')
except OSError as error:
    control(error.errno == EMFILE and len(files) > 50, str(error))
""",
        _LIMITS,
    ),
    Probe(
        "R10",
        "resource",
        "CPU seconds of a process without end",
        """
soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
if not 0 < hard <= ALLOWED:
    hole(f'the limit is {hard}')
""".replace("ALLOWED", str(Limits().cpu_seconds)),
        _LIMITS,
    ),
    Probe(
        "R11",
        "resource",
        "inodes of /tmp, /dev/shm and /run without end",
        """
for path in ('/tmp', '/dev/shm', '/run'):
    count = os.statvfs(path).f_files
    if not 0 < count <= 1 << 17:
        hole(f'{path} holds {count} files')
""",
        planted="os.statvfs = lambda path: type('S', (), {'f_files': 0})",
    ),
    Probe(
        "R12",
        "resource",
        "raise the own limits again",
        """
for name in ('RLIMIT_AS', 'RLIMIT_NPROC', 'RLIMIT_NOFILE', 'RLIMIT_FSIZE', 'RLIMIT_CPU', 'RLIMIT_CORE', 'RLIMIT_MEMLOCK',
             'RLIMIT_MSGQUEUE', 'RLIMIT_SIGPENDING'):
    which = getattr(resource, name)
    _, hard = resource.getrlimit(which)
    try:
        resource.setrlimit(which, (hard, hard + 1))
        hole(f'{name} was raised')
    except (ValueError, OSError):
        pass
""",
        planted="resource.setrlimit = lambda *rest: None",
    ),
    Probe("R13", "resource", "8000 files in the workspace", many_files, _LIMITS, limit="inodes", alone=True),
    Probe(
        "R14",
        "resource",
        "background processes without end",
        """
from hermes_iso_sandbox.guest.link import CallError
started = []
try:
    for _ in range(12):
        started.append(background('sleep 30'))
    hole('12 run at a time')
except CallError:
    control(len(started) > 1, 'some can be had')
finally:
    for each in started:
        call('kill', session_id=each)
""",
        planted="background = lambda command: 'x'\ncall = lambda *rest, **more: None",
    ),
    Probe(
        "R15",
        "resource",
        "lock memory (mlock)",
        """
page = mmap.mmap(-1, 1 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
if libc.mlock(ctypes.c_void_p(address), 1 << 20) == 0:
    hole('1 MiB was locked')
if libc.mlockall(3) == 0:
    hole('everything was locked')
""",
        planted="libc.mlockall = lambda flags: 0",
    ),
    Probe(
        "R16",
        "resource",
        "fill /run and the read-only root",
        _FILL
        + """
for folder in ('/run', '/dev', '/etc', '/'):
    if os.access(folder, os.W_OK):
        fill(folder, 64 << 20)
""",
        layers("limits", "system"),
        alone=True,
    ),
    Probe(
        "R17", "resource", "allocate and touch 384 MiB in one process", memory_of_process, _LIMITS, limit="memory", alone=True
    ),
    Probe(
        "R18",
        "resource",
        "96 MiB in deleted files that stay open",
        deleted_files,
        _LIMITS,
        limit="disk",
        alone=True,
    ),
    Probe(
        "R19",
        "resource",
        "run at the gateway's own priority, or be spared when memory runs out",
        priority,
        planted="real = os.nice\nos.nice = lambda change: real(change) - 5",
    ),
    Probe(
        "R20",
        "resource",
        "inotify instances, of which the gateway's user has few for all agents and itself",
        """
files = []
while len(files) < 40 and (made := syscall('inotify_init1', 0)[0]) >= 0:
    files.append(made)
if len(files) == 40:
    hole('40 were given')
control(len(files) > 0, 'some can be had')
""",
        layers("capabilities"),
        alone=True,
    ),
    Probe(
        "R21",
        "resource",
        "timers, pending signals and message queues, which count against the gateway's user",
        """
timer = ctypes.c_int()
count = 0
while count < 3000 and syscall('timer_create', 0, None, ctypes.byref(timer))[0] == 0:
    count += 1
if count == 3000:
    hole('3000 timers were given')
control(count > 10, 'some can be had')
queue, number = syscall('mq_open', MARK.encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
if queue >= 0:
    hole('a message queue was made')
""",
        planted="real = syscall\nsyscall = lambda name, *rest: (3, 0) if name == 'mq_open' else real(name, *rest)",
    ),
)
