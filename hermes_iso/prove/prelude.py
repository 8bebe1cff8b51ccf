"""What guest code of a probe finds in scope: system calls by name, and words to report a hole or a failed control."""

from __future__ import annotations

import json
from collections.abc import Mapping

FINISH = "\nanswer = json.dumps({'done': True, 'holes': holes[:5]})\n"
"""Behind every probe: only one that got here says that nothing was found."""

PRELUDE = r'''
import array, ctypes, errno, fcntl, glob, json, mmap, os, resource, signal, socket, stat, struct, subprocess, sys
import threading, time
from errno import *
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest import syscalls

holes = []
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
MACHINE = ('x86_64', 'aarch64').index(os.uname().machine)
EXTRA = {'socket': (41, 198), 'clone': (56, 220), 'getpid': (39, 172), 'mmap': (9, 222), 'statmount': (457, 457),
         'shmget': (29, 194), 'shmat': (30, 196), 'shmdt': (67, 197), 'shmctl': (31, 195), 'msgget': (68, 186),
         'semget': (64, 190),
         'inotify_init1': (294, 26), 'mq_open': (240, 180), 'timer_create': (222, 107),
         'getxattrat': (464, 464), 'open_tree_attr': (467, 467), 'file_setattr': (469, 469)}
TABLES = (syscalls.DENIED, syscalls.SETUP, syscalls.EXECUTE, syscalls.ABSENT, syscalls.INSPECTED)
NUMBERS = {**EXTRA, **{name: each for table in TABLES for name, each in table.items()}}
sock = link._sock


def hole(text):
    """Report something that got through."""
    holes.append(' '.join(str(text).split())[:200])


def control(ok, what):
    """Fail the probe itself unless something that must work does."""
    if not ok:
        raise RuntimeError('control: ' + what)


def syscall(name, *arguments):
    """Return (result, errno) of a system call by its name or number."""
    number = NUMBERS[name][MACHINE] if isinstance(name, str) else name
    if number is None:
        return -1, ENOSYS
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *given)
    return result, ctypes.get_errno() if result == -1 else 0


def refused(name, *arguments, by=(EPERM, ENOSYS)):
    """Report a call that the filter let through: one that worked, or that the kernel itself answered."""
    result, number = syscall(name, *arguments)
    if result != -1:
        hole(f'{name} worked')
    elif number not in by:
        hole(f'{name} reached the kernel, which said {errno.errorcode.get(number, number)}')


def attempt(function, *arguments, **named):
    """Return the errno of a call, 0 when it worked."""
    try:
        function(*arguments, **named)
    except OSError as error:
        return error.errno or -1
    return 0


def denied(what, function, *arguments, **named):
    """Report a call that worked."""
    if attempt(function, *arguments, **named) == 0:
        hole(what)


def read(path, size=1 << 20):
    """Return the beginning of a file, b'' when it can't be read; never waits."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b''
    try:
        return os.read(fd, size)
    except OSError:
        return b''
    finally:
        os.close(fd)


def write(path, text='written by a probe'):
    """Write a file anew. Raises OSError."""
    with open(path, 'w') as file:
        file.write(text)


def shell(command, **named):
    """Return what a shell command prints."""
    done = subprocess.run(['/bin/sh', '-c', command], capture_output=True, timeout=20, stdin=subprocess.DEVNULL, **named)
    return done.stdout.decode(errors='replace')


def seek(canary, data, where):
    """Report a canary in what was read."""
    data = data if isinstance(data, bytes) else data.encode(errors='replace')
    if canary.encode() in data:
        hole(f'{where} holds it')


def in_child(function):
    """Run something in a forked child; return its exit status, negative when a signal ended it."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = function() or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def raw(data):
    """Write bytes to the gateway as they are."""
    sock.sendall(data)


def frame(body):
    """Return bytes as the body of a frame."""
    return struct.pack('>I', len(body)) + body


def call(action, **params):
    """Ask the gateway for something about background processes."""
    return link.call('process', {'action': action, **params})


def background(command):
    """Start a background process of this session; return its id."""
    return call('start', command=command)['session_id']


def in_command(code):
    """Run Python as a command of this session, below an init; report each line of it that begins with `hole`."""
    script = f'/workspace/{MARK}.py'
    write(script, code + "\nprint('done', flush=True)\nimport time\ntime.sleep(20)")
    name = background(f'exec {sys.executable} -I {script}')
    told = lambda: call('poll', session_id=name)['output']
    came = wait_for(lambda: 'done' in told() or 'Traceback' in told())
    for line in told().splitlines():
        if line.startswith('hole'):
            hole(line)
    control(came and 'done' in told(), f'the command came to its end: {told()}')
    call('kill', session_id=name)


def wait_for(condition, seconds=10):
    """Wait until a condition holds; return whether it came to that."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
'''


def script(attack: str, given: Mapping[str, object], planted: str = "") -> str:
    """Return the text of a turn that runs an attack. `given`: names that it finds in scope, with plain values."""
    names = "".join(f"{name} = json.loads({json.dumps(value)!r})\n" for name, value in given.items())
    return f"{PRELUDE}\n{names}\n{planted}\n{attack}\n{FINISH}"
