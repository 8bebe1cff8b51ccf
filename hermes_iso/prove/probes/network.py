"""Probes of the network: every way from a turn to the host's sockets, to other turns and out."""

from __future__ import annotations

import contextlib
import os
import socket

import trio

from hermes_iso.prove.host import meeting
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.trial import Trial, evidence

_NET = layers("net")
_REACH = """
def reaches(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as there:
        return attempt(there.connect, address) == 0  # looks the route up and sends nothing
control(reaches(socket.AF_INET, ('127.0.0.1', 9)), 'there is a loopback')
"""


async def connect_to_host(trial: Trial) -> str:
    """N01: a TCP server on the host's loopback, on both families."""
    holes = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as server, contextlib.suppress(OSError):
            server.bind((address, 0))
            server.listen()
            code = f"with socket.socket({int(family)}) as s: attempt(s.connect, ({address!r}, {server.getsockname()[1]}))"
            await trial.attack(code)
            holes += [f"{address} was reached"] if _accepted(server) else []
    return evidence(holes)


async def connect_to_path(trial: Trial) -> str:
    """N02: a socket of the gateway's in its own directory. Both sides name it in short: a socket's path has little room."""
    name = f"{trial.mark[:12]}.sock"
    folder = os.open(trial.stage.outside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{folder}/{name}")
            (trial.stage.outside / name).chmod(0o777)
            server.listen()
            connect = "attempt(os.chdir, HOST_OUTSIDE)\nwith socket.socket(socket.AF_UNIX) as s: attempt(s.connect, NAME)"
            await trial.attack(connect, NAME=name)
            return "the socket was reached" if _accepted(server) else ""
    finally:
        os.close(folder)


async def connect_to_abstract(trial: Trial) -> str:
    """N03: an abstract socket of the gateway's."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{trial.mark}")
        server.listen()
        await trial.attack("with socket.socket(socket.AF_UNIX) as s: attempt(s.connect, '\\0' + MARK)")
        return "the socket was reached" if _accepted(server) else ""


def _accepted(server: socket.socket) -> bool:
    """Return whether somebody has connected."""
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


async def send_to_host(trial: Trial) -> str:
    """N04: a datagram to the host's loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.setblocking(False)
        port = there.getsockname()[1]
        send = (
            "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: attempt(s.sendto, MARK.encode(), ('127.0.0.1', PORT))"
        )
        await trial.attack(send, PORT=port)
        with contextlib.suppress(BlockingIOError):
            return "it arrived" if there.recv(100) == trial.mark.encode() else ""
    return ""


async def be_reached(trial: Trial) -> str:
    """N11: a server of a turn's, on all addresses; the host tries to reach it."""
    serve = "server = socket.create_server(('0.0.0.0', 0))\nmeet(str(server.getsockname()[1]))"
    async with meeting(trial, serve) as port:
        with trio.move_on_after(2), contextlib.suppress(OSError, ValueError):
            stream = await trio.open_tcp_stream("127.0.0.1", int(port))
            await stream.aclose()
            return "the host reached it"
    return ""


async def squat(trial: Trial) -> str:
    """N12: the turn takes an abstract name; then the gateway wants it."""
    take = "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0' + MARK)\nmeet()"
    async with meeting(trial, take):
        with socket.socket(socket.AF_UNIX) as ours:
            try:
                ours.bind(f"\0{trial.mark}")
            except OSError:
                return "the name was taken"
    return ""


async def compare_namespaces(trial: Trial) -> str:
    """N07: which namespaces a turn is in."""
    own = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("net", "ipc", "mnt", "pid", "user", "uts", "cgroup")}
    code = """
control(os.readlink('/proc/self/ns/net'), 'the kernel tells')
for name, link in OWN.items():
    if os.readlink(f'/proc/self/ns/{name}') == link:
        hole(f"the turn is in the host's {name} namespace")
"""
    return evidence(await trial.attack(code, OWN=own))


async def pass_descriptor(trial: Trial) -> str:
    """N14: a descriptor, pushed to the gateway over the turn's socket: it must not stay open there."""
    path = trial.workspace / f"pushed-{trial.mark}"
    push = """
files = [os.open(f'pushed-{MARK}', os.O_CREAT | os.O_RDWR) for _ in range(8)]
socket.send_fds(sock, [wire.encode(wire.TextDelta('x'))], files)
time.sleep(0.2)
"""
    await trial.attack(push)
    if not path.exists():
        raise BrokenProbeError("the file is not there")
    if trial.plays_hole:
        with path.open("rb"):
            return _held(path.name)
    return _held(path.name)


def _held(name: str) -> str:
    """Return whether this process has a file of that name open."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return "the gateway holds it open" if any(name in link for link in links) else ""


PROBES = (
    Probe("N01", "network", "TCP to a server on the host's loopback (IPv4, IPv6)", connect_to_host, _NET),
    Probe("N02", "network", "pathname unix socket of the gateway", connect_to_path, layers("view")),
    Probe("N03", "network", "abstract unix socket of the gateway", connect_to_abstract, _NET),
    Probe("N04", "network", "UDP to host loopback (checked on the host)", send_to_host, _NET),
    Probe(
        "N05",
        "network",
        "a route to any public address, IPv4 or IPv6 (look-up only)",
        _REACH
        + """
for family, address in ((socket.AF_INET, '192.0.2.1'), (socket.AF_INET, '8.8.8.8'), (socket.AF_INET6, '2001:4860:4860::8888')):
    if reaches(family, (address, 53)):
        hole(f'there is a route to {address}')
""",
        planted="attempt = lambda *rest: 0",
    ),
    Probe(
        "N06",
        "network",
        "route to cloud metadata 169.254.169.254 (look-up only)",
        _REACH
        + """
for family, address in ((socket.AF_INET, '169.254.169.254'), (socket.AF_INET6, 'fd00:ec2::254'), (socket.AF_INET, '10.0.0.1')):
    if reaches(family, (address, 80)):
        hole(f'there is a route to {address}')
""",
        planted="attempt = lambda *rest: 0",
    ),
    Probe("N07", "network", "the turn shares a namespace with the host", compare_namespaces, _NET),
    Probe(
        "N08",
        "network",
        "packet and raw sockets",
        """
refused('socket', 17, 3, 768, by=(EAFNOSUPPORT,))
denied('a raw socket', socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
""",
        layers("seccomp"),
    ),
    Probe(
        "N09",
        "network",
        "AF_ALG / AF_BLUETOOTH / AF_CAN / AF_RDS / AF_XDP / AF_TIPC / AF_VSOCK families",
        """
for family, kind in ((38, 5), (31, 3), (29, 3), (21, 5), (44, 3), (30, 1), (40, 1), (15, 3), (9, 5), (45, 1), (39, 1)):
    refused('socket', family, kind, 0, by=(EAFNOSUPPORT,))
refused('socket', 38 | 1 << 32, 5, 0, by=(EAFNOSUPPORT, EINVAL))
""",
        layers("seccomp"),
        planted="real = syscall\nsyscall = lambda name, *rest: (3, 0) if rest[0] == 38 else real(name, *rest)",
    ),
    Probe(
        "N10",
        "network",
        "netlink beyond NETLINK_ROUTE (netfilter, uevent, audit, xfrm, sock_diag)",
        """
for protocol in (2, 4, 5, 6, 9, 12, 15, 16):
    refused('socket', 16, 3, protocol, by=(EAFNOSUPPORT,))
""",
        layers("seccomp"),
    ),
    Probe("N11", "network", "listening TCP port reachable from the host's loopback", be_reached, _NET),
    Probe("N12", "network", "squat an abstract name the gateway or a peer would use", squat, _NET),
    Probe(
        "N13",
        "network",
        "an interface besides lo, or a changed one",
        """
names = [name for _, name in socket.if_nameindex()]
if names != ['lo']:
    hole(f'interfaces: {names}')
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    denied('lo was taken down', fcntl.ioctl, s, 0x8914, struct.pack('16sh14x', b'lo', 0))
""",
        layers("capabilities", "seccomp"),
    ),
    Probe(
        "N14",
        "network",
        "descriptors pushed to the gateway over the turn's socket (SCM_RIGHTS) stay open there",
        pass_descriptor,
        planted="pass",
    ),
    Probe(
        "N15",
        "network",
        "loopback is usable within a turn (functional)",
        """
with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname(), 5) as client:
    peer, _ = server.accept()
    peer.sendall(b'x')
    if client.recv(1) != b'x':
        hole('nothing arrived')
""",
        planted="socket.socket.recv = lambda *rest: b''",
    ),
    Probe(
        "N16",
        "network",
        "a socket of the zygote, the template or the keeper, by a descriptor or by its name",
        """
for row in read('/proc/net/unix').decode().splitlines()[1:]:
    hole(f'/proc/net/unix shows {row}')
control(read('/proc/net/unix'), 'the kernel tells')
for name in os.listdir('/proc/self/fd'):
    if int(name) != sock.fileno() and os.path.lexists(f'/proc/self/fd/{name}'):
        if os.readlink(f'/proc/self/fd/{name}').startswith('socket:'):
            hole(f'descriptor {name} is a socket')
""",
        layers("descriptors"),
    ),
)
