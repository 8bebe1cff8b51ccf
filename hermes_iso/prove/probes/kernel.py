"""Probes of the kernel's surface: system calls, switches and masks that no agent's tool needs."""

from __future__ import annotations

from hermes_iso.prove.probe import Probe, layers

_FILTER = layers("seccomp")
_FILTER_AND_CAPABILITIES = layers("seccomp", "capabilities")
_PROC = layers("proc")

PROBES = (
    Probe(
        "K01",
        "kernel",
        "unshare of a user, mount, pid or net namespace",
        """
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000):
    refused('unshare', flag)
""",
        _FILTER_AND_CAPABILITIES,
    ),
    Probe(
        "K02",
        "kernel",
        "clone(CLONE_NEWUSER) by raw syscall",
        """
def clone():
    result, number = syscall('clone', 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if result == 0:
        os._exit(0)
    if result > 0:
        os.waitpid(result, 0)
        hole('a user namespace was made')
    elif number != EPERM:
        hole(f'clone reached the kernel, which said {errno.errorcode[number]}')
clone()
""",
        _FILTER,
    ),
    Probe(
        "K03",
        "kernel",
        "clone3 with CLONE_NEWUSER (flags behind a pointer)",
        """
arguments = struct.pack('=8Q', 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
result, number = syscall('clone3', arguments, len(arguments))
if result == 0:
    os._exit(0)
if result > 0 or number != ENOSYS:
    hole(f'clone3 reached the kernel: {result}, {errno.errorcode.get(number)}')
""",
        _FILTER,
    ),
    Probe(
        "K04",
        "kernel",
        "keyctl, add_key and request_key: read or plant kernel keyring entries",
        """
refused('keyctl', 0, -3, 1, 0, 0)
refused('add_key', b'user', MARK.encode(), b'x', 1, -2)
refused('request_key', b'user', MARK.encode(), None, -2)
""",
        _FILTER,
    ),
    Probe(
        "K05", "kernel", "bpf()", "refused('bpf', 0, bytes(64), 8)\nrefused('bpf', 5, bytes(128), 1)", _FILTER_AND_CAPABILITIES
    ),
    Probe("K06", "kernel", "perf_event_open()", "refused('perf_event_open', bytes(128), 0, -1, -1, 0)", _FILTER),
    Probe("K07", "kernel", "userfaultfd()", "refused('userfaultfd', 1)", _FILTER),
    Probe(
        "K08",
        "kernel",
        "io_uring_setup()",
        "refused('io_uring_setup', 1, None)\nrefused('io_uring_enter', -1, 0, 0, 0, None, 0)",
        _FILTER,
    ),
    Probe(
        "K09",
        "kernel",
        "new mount API: fsopen, open_tree, move_mount, mount_setattr, fsconfig, fsmount, fspick",
        """
for name, arguments in {'fsopen': (b'tmpfs', 1 << 20), 'open_tree': (-100, b'/', 1 << 20), 'fspick': (-100, b'/', 1 << 20),
                        'move_mount': (-1, b'', -1, b'', 1 << 20), 'mount_setattr': (-100, b'/', 1 << 20, None, 0),
                        'fsconfig': (-1, 99, None, None, 0), 'fsmount': (-1, 1 << 20, 0)}.items():
    refused(name, *arguments, by=(ENOSYS,))
""",
        _FILTER,
    ),
    Probe(
        "K10",
        "kernel",
        "statmount and listmount (mounts of other namespaces)",
        """
refused('statmount', None, None, 0, 0, by=(ENOSYS,))
refused('listmount', None, None, 0, 0, by=(ENOSYS,))
""",
        _FILTER,
    ),
    Probe(
        "K11",
        "kernel",
        "x32 ABI syscall numbers",
        """
if MACHINE == 0:
    for number in (39, 101, 165, 512, 520, 546):
        refused(0x40000000 + number, 0, 0, 0, 0, by=(ENOSYS,))
else:
    refused(0x40000000 + 172, by=(ENOSYS,))
""",
        planted="real = syscall\nsyscall = lambda name, *rest: real('getpid' if name >> 30 else name, *rest)",
    ),
    Probe(
        "K12",
        "kernel",
        "i386 int 0x80 entry (filter bypass by another architecture)",
        """
CODE = bytes.fromhex('53b81400000031dbcd805bc3')  # push rbx; mov eax, 20 (getpid); xor ebx, ebx; int 0x80; pop rbx; ret
def enter():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return 0 if result > 0 else 1
status = in_child(enter) if MACHINE == 0 else -31
if status == 0:
    hole('the call was answered')
""",
        planted="CODE = b''\nin_child = lambda function: 0",
    ),
    Probe(
        "K13",
        "kernel",
        "syscalls newer than the reviewed list (getxattrat 464, open_tree_attr 467, file_setattr 469, 500)",
        """
for number in (464, 467, 469, 480, 500, 1000):
    refused(number, -1, None, 0, 1 << 20, 0, 0, by=(ENOSYS,))
""",
        _FILTER,
    ),
    Probe(
        "K14",
        "kernel",
        "kernel modules, kexec, reboot, swap, clocks, host names",
        """
for name, arguments in {'init_module': (None, 0, None), 'finit_module': (-1, b'', 0), 'delete_module': (b'x', 0),
                        'kexec_load': (0, 0, None, 0), 'reboot': (0, 0, 0, None), 'swapon': (b'/x', 0), 'acct': (b'/x',),
                        'settimeofday': (None, None), 'sethostname': (b'x', 1), 'setdomainname': (b'x', 1),
                        'quotactl': (0, None, 0, None), 'syslog': (10, None, 0)}.items():
    refused(name, *arguments)
""",
        _FILTER_AND_CAPABILITIES,
    ),
    Probe(
        "K15",
        "kernel",
        "kernel log and symbol addresses",
        """
for name in ('kallsyms', 'kmsg', 'kcore', 'keys', 'slabinfo', 'timer_list', 'vmallocinfo', 'sched_debug', 'iomem'):
    data = read(f'/proc/{name}', 4096)
    if data and (name != 'iomem' or any(line.split(b'-')[0].strip(b'0 ') for line in data.splitlines())):
        hole(f'/proc/{name} has content')
refused('syslog', 10, None, 0)
denied('/dev/kmsg opens', os.open, '/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
""",
        layers("seccomp", "proc"),
    ),
    Probe(
        "K16",
        "kernel",
        "/proc/sys/kernel/core_pattern and friends open for writing (open only)",
        """
names = ('kernel/core_pattern', 'kernel/modprobe', 'kernel/sysrq', 'kernel/hostname', 'kernel/ns_last_pid', 'vm/drop_caches',
         'user/max_user_namespaces', 'net/ipv4/ip_forward', 'net/ipv4/ping_group_range', 'fs/suid_dumpable', 'kernel/shmmax')
for path in (*(f'/proc/sys/{name}' for name in names), '/proc/sysrq-trigger', '/proc/irq/default_smp_affinity', '/proc/fs'):
    if os.path.isfile(path):
        denied(f'{path} opens for writing', os.open, path, os.O_WRONLY)
control(os.path.exists('/proc/sys/kernel/core_pattern'), '/proc/sys is there')
""",
        layers("proc", "capabilities", "seccomp"),
    ),
    Probe(
        "K17",
        "kernel",
        "/sys is mounted, or debugfs, tracefs, cgroup and securityfs can be reached",
        """
for path in ('/sys/kernel', '/sys/fs/cgroup', '/sys/firmware', '/proc/acpi/wakeup', '/proc/scsi/scsi'):
    if os.path.exists(path):
        hole(f'{path} is there')
""",
        planted="real = os.path.exists\nos.path.exists = lambda path: True",
    ),
    Probe(
        "K18",
        "kernel",
        "terminal injection by TIOCSTI and TIOCLINUX, also with high bits set",
        """
read_end, write_end = os.pipe()
for request in (0x5412, 0x541C, 0x100005412, 0x20000541C):
    refused('ioctl', read_end, request, b'x', by=(EPERM,))
""",
        _FILTER,
    ),
    Probe(
        "K19",
        "kernel",
        "kcmp, pidfd_getfd, modify_ldt, process_madvise, process_mrelease",
        """
pid = os.getpid()
refused('kcmp', pid, pid, 99, 0, 0)
refused('pidfd_getfd', os.pidfd_open(pid), 0, 1)
refused('modify_ldt', 99, None, 0)
refused('process_madvise', -1, None, 0, 0, 0)
refused('process_mrelease', -1, 0)
""",
        _FILTER,
    ),
    Probe(
        "K20",
        "kernel",
        "seccomp filter absent",
        """
if b'Seccomp:\\t2' not in read('/proc/self/status'):
    hole('there is no filter')
if b'Seccomp:\\t2' not in subprocess.run(['cat', '/proc/self/status'], capture_output=True).stdout:
    hole('a child has no filter')
""",
        _FILTER,
    ),
    Probe(
        "K21",
        "kernel",
        "personality(ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC) and iopl",
        """
refused('personality', 0x0040000)
refused('iopl', 3)
refused('ioperm', 0, 1, 1)
""",
        _FILTER_AND_CAPABILITIES,
    ),
    Probe(
        "K22",
        "kernel",
        "openat2, whose flags a filter can't read, makes a set-id file",
        """
how = struct.pack('=QQQ', os.O_CREAT | os.O_WRONLY, 0o4755, 0)
refused('openat2', -100, b'by-openat2', how, len(how), by=(ENOSYS,))
""",
        _FILTER,
    ),
    Probe(
        "K23",
        "kernel",
        "setns into any namespace descriptor, also by a pidfd",
        """
refused('setns', os.open('/proc/self/ns/uts', os.O_RDONLY), 0)
refused('setns', os.pidfd_open(os.getpid()), 0x4000000)
""",
        _FILTER_AND_CAPABILITIES,
    ),
    Probe(
        "K24",
        "kernel",
        "fanotify, lookup_dcookie, migrate_pages, move_pages, memfd_secret",
        """
refused('fanotify_init', 1 << 30, 0)
refused('migrate_pages', 1, 0, None, None)
refused('move_pages', 0, 1, None, None, None, 99)
refused('memfd_secret', 1 << 20)
""",
        _FILTER,
    ),
    Probe(
        "K25",
        "kernel",
        "a user namespace by `unshare -Ur`, where the filter alone would be missing",
        """
done = subprocess.run(['unshare', '-Ur', 'true'], capture_output=True)
if done.returncode == 0:
    hole('unshare -Ur worked')
""",
        _FILTER_AND_CAPABILITIES,
    ),
)
