"""Probes of the door: what a turn reaches through its one way out besides what its agent may, and who else can use it.

The first agent of the stage has a door, and the names of the config lead to the stage's own far host: nothing here asks the
internet, and what that host heard is the evidence. A request that must not arrive asks for `/MARK-hole` there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from hermes_iso.broker.egress.door import DoorLimits
from hermes_iso.prove.door_client import CLIENT, WORKS, holder, send
from hermes_iso.prove.far_host import REBOUND
from hermes_iso.prove.host import meeting, wait_until
from hermes_iso.prove.probe import BrokenProbeError, HostAttack, Probe, layers
from hermes_iso.prove.stage import ALLOWED, DENIED, NARROW_PLATFORM, REFUSED
from hermes_iso.prove.trial import Trial, evidence

_LIMITS = DoorLimits()
_PATIENCE = 20.0
"""Seconds within which a client that never ends its request must be gone; the door gives it half of that."""
_OTHERS = 15.0
"""Seconds that a turn of another agent may take while a door is flooded; alone it takes a small part of one."""
_HELD = 16 << 20
"""Bytes that a turn can write and that the kernel holds, on their way to the door and never through it."""
_EGRESS = layers("egress")


def _targets(code: str, targets: Callable[[int], Sequence[str]]) -> HostAttack:
    """Return the attack that tries code on each of the targets, which depend on the far host's port."""

    async def attack(trial: Trial) -> str:
        each = f"for target in TARGETS:\n    {code}"
        return await send(trial, each, TARGETS=list(targets(trial.stage.far_host.port)))

    return attack


_TUNNEL = "if tunnel(target) == 200: hole(f'a tunnel to {target}')"
_PLAIN = "if get(target) == 200: hole(f'an answer of {target}')"
_BOTH = f"{_TUNNEL}\n    {_PLAIN}"


def _loopback(port: int) -> list[str]:
    """Return the loopback in the spellings that some system takes for it."""
    dotted = ["127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001", "0"]
    mapped = ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[64:ff9b::7f00:1]", "127.0.0.1.", "[::1%25lo]"]
    return [f"{each}:{port}" for each in (*dotted, *mapped)]


def _metadata(port: int) -> list[str]:  # noqa: ARG001  # the form of all targets
    """Return the metadata services of clouds in several spellings."""
    names = ("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "168.63.129.16")
    return [f"{each}:80" for each in (*names, "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "100.100.100.200")]


_TO_ALLOWED = "TARGETS = [ALLOWED + ':80']"
_NO_QUESTION = r"REQUESTS = [f'GET http://{ALLOWED}/{MARK}-hole HTTP/1.1\r\nHost: {ALLOWED}\r\n\r\n']"
"""What the self-test plants where no layer can be switched off: the same request for what is allowed."""
_AMBIGUOUS = (
    "Host: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Host: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Host: {host}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Host: {host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "Host: {host}\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "Host: {host}\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
    "Host: {host}\r\nContent-Length: +0\r\n\r\n",
    "Host: {host}\r\nX-One: a\r\n folded\r\n\r\n",
    "Host: {host}\r\nHost: {other}\r\n\r\n",
    "Host: {other}\r\n\r\n",
    "Host: {host}\nX-One: a\r\n\r\n",
    "Host: {host}\r\nX-One: a\rX-Two: b\r\n\r\n",
    "Host: {host}\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
)
"""Heads that two readers of HTTP take for two different things."""


async def _smuggle(trial: Trial) -> str:
    """D07: requests that can be read in two ways; none may arrive, in whichever reading."""
    line = f"GET http://{ALLOWED}/{trial.mark}-hole HTTP/1.1\r\n"
    requests = [line + each.format(host=ALLOWED, other=REFUSED) for each in _AMBIGUOUS]
    return await send(trial, "for each in REQUESTS: ask(each)", REQUESTS=requests)


async def _send_early(trial: Trial) -> str:
    """D08: a request right behind a CONNECT: part of the tunnel for one reader, a request of its own for another."""
    connect = f"CONNECT {ALLOWED}:80 HTTP/1.1\r\nHost: {ALLOWED}:80\r\n\r\n"
    request = f"GET http://{{}}/{trial.mark}-hole HTTP/1.1\r\nHost: {{}}\r\n\r\n"
    both = [connect + request.format(name, name) for name in (ALLOWED, REFUSED)]
    body = connect.replace("\r\n\r\n", "\r\nContent-Length: 4\r\n\r\nGET ") + request.format(REFUSED, REFUSED)
    return await send(trial, "for each in REQUESTS: ask(each)", REQUESTS=[*both, body])


def _mixed(port: int) -> list[str]:
    """Return targets in which one reader finds the allowed host and another one a host that is not."""
    users = [f"{ALLOWED}@{REFUSED}", f"{ALLOWED}:80@127.0.0.1:{port}", f"user:word@{ALLOWED}"]
    signs = [rf"{REFUSED}\@{ALLOWED}", f"{REFUSED}%2f@{ALLOWED}", f"{REFUSED}%00.{ALLOWED}", f"{ALLOWED}:80:{port}"]
    return [*users, *signs, f"{REFUSED};{ALLOWED}", f"{REFUSED},{ALLOWED}", f"{ALLOWED}.{REFUSED}", f"//{REFUSED}"]


async def _dead_turn(trial: Trial) -> str:
    """D12: a background process keeps the network of a turn that has ended, and asks that turn's door."""
    trial = holder(trial)
    workspace = trial.stage.workspace(trial.me)
    watch = """
TURN = %d or int(os.environ['http_proxy'].rpartition(':')[2])
while not os.path.exists(f'/workspace/{MARK}.go'):
    time.sleep(0.02)
write(f'/workspace/{MARK}.new', str(get(ALLOWED, 'hole', ('127.0.0.1', TURN))))
os.rename(f'/workspace/{MARK}.new', f'/workspace/{MARK}.said')
"""
    start = r"""
code = f'import os, socket, time\nMARK, ALLOWED = {MARK!r}, {ALLOWED!r}\n' + WRITE + CLIENT + WATCH % (DOOR[1] if TURNS else 0)
script = f'/workspace/{MARK}.py'
write(script, code)
background(f'exec {sys.executable} -I {script}')
"""
    await trial.attack(
        CLIENT + WORKS + start, chat="dead", ALLOWED=ALLOWED, CLIENT=CLIENT, WATCH=watch, WRITE=_WRITE, TURNS=True
    )
    (workspace / f"{trial.mark}.go").touch()
    said = workspace / f"{trial.mark}.said"
    if not await wait_until(said.exists):
        raise BrokenProbeError("the background process said nothing")
    status = said.read_text(encoding="utf-8")[:10]
    return "" if status == "0" else f"the door of a turn that has ended answered {status}"


_WRITE = """
def write(path, text):
    with open(path, 'w') as file:
        file.write(text)
"""


async def _others_door(trial: Trial) -> str:
    """D13: an agent without a door looks for the one of an agent that has one."""
    trial = holder(trial)
    look = """
for port in {3128, MET}:
    if get(ALLOWED, 'hole', ('127.0.0.1', port)):
        hole(f'port {port} answered')
for port in scan():
    hole(f'port {port} accepts')
"""
    async with meeting(trial, CLIENT + WORKS + "meet(str(DOOR[1]))", ALLOWED=ALLOWED) as port:
        return evidence(await trial.attack(CLIENT + look, agent=trial.peer, chat="looker", ALLOWED=ALLOWED, MET=int(port)))


async def _other_sessions_door(trial: Trial) -> str:
    """D14: a turn looks for the door of another session of the same agent."""
    trial = holder(trial)
    look = """
if MET != DOOR[1] and get(ALLOWED, 'hole', ('127.0.0.1', MET)):
    hole(f'the other door answered on port {MET}')
for port in scan(besides=[DOOR[1]]):
    hole(f'port {port} accepts, and is not the own door')
"""
    async with meeting(trial, CLIENT + WORKS + "meet(str(DOOR[1]))", ALLOWED=ALLOWED) as port:
        return evidence(await trial.attack(CLIENT + WORKS + look, chat="looker", ALLOWED=ALLOWED, MET=int(port)))


async def _flood(trial: Trial) -> str:
    """D16: as many tunnels as can be had, then as many connections; meanwhile another agent takes a turn."""
    flood = r"""
held = []
for _ in range(CONNECTIONS * 3):
    client = socket.create_connection(DOOR, 10)
    client.sendall(f'CONNECT {ALLOWED}:80 HTTP/1.1\r\nHost: {ALLOWED}:80\r\n\r\n'.encode())
    if answer(client) == 200:
        held.append(client)
    else:
        client.close()
if len(held) > CONNECTIONS:
    hole(f'{len(held)} tunnels at once')
for client in held:
    client.close()
if all(attempt(lambda: socket.create_connection(DOOR, 10).close()) == 0 for _ in range(TOTAL + 200)):
    hole(f'more than {TOTAL} connections')
"""
    slow = ""

    async def other() -> None:
        nonlocal slow
        began = trio.current_time()
        await trial.attack("pass", agent=trial.stage.agents[1], chat="beside")
        taken = trio.current_time() - began
        slow = f"the turn of another agent took {taken:.1f} s" if taken > _OTHERS else ""

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        found = await send(trial, flood, CONNECTIONS=_LIMITS.connections, TOTAL=_LIMITS.total)
    return evidence([each for each in (found, slow) if each])


async def _slow_clients(trial: Trial) -> str:
    """D17: clients that never end their request's head."""
    wait = r"""
clients = [socket.create_connection(DOOR, 10) for _ in range(20)]
for client in clients:
    client.sendall(b'GET http://')
end = time.monotonic() + PATIENCE
for client in clients:
    client.settimeout(max(0.01, end - time.monotonic()))
    try:
        while client.recv(1000): pass
    except TimeoutError:
        hole(f'a client without a whole request is there after {PATIENCE} s')
    except OSError: pass
"""
    return await send(trial, wait, PATIENCE=_PATIENCE)


async def _carry_much(trial: Trial) -> str:
    """D19: more bytes through one tunnel than a door lets through."""
    carry = r"""
moved, block = 0, bytes(1 << 20)
with socket.create_connection(DOOR, 10) as client:
    client.sendall(f'CONNECT {ALLOWED}:80 HTTP/1.1\r\nHost: {ALLOWED}:80\r\n\r\n'.encode())
    control(answer(client) == 200, 'there is a tunnel')
    try:
        while moved <= BYTES + 2 * HELD:
            client.sendall(block)
            moved += len(block)
    except OSError: pass
if moved > BYTES + HELD:
    hole(f'{moved} bytes went through')
if get(ALLOWED) == 200:
    hole('the door still opens')
"""
    return await send(trial, carry, BYTES=_LIMITS.bytes, HELD=_HELD)


async def _narrowed(trial: Trial) -> str:
    """D18: the agent with the door writes from where it is granted no tool that could use it."""
    trial = holder(trial)
    platform = "console" if trial.plays_hole else NARROW_PLATFORM
    await send(trial, "")
    code = "if get(ALLOWED) or attempt(lambda: socket.create_connection(DOOR, 5)) == 0: hole('the door is open')"
    return evidence(await trial.attack(CLIENT + code, chat="narrow", platform=platform, ALLOWED=ALLOWED))


_DIRECT = """
for address in ('127.0.0.1', '::1', '::ffff:127.0.0.1'):
    if attempt(lambda: socket.create_connection((address, PORT), 5)) == 0:
        hole(f'{address} answered without the door')
"""
_LOOK_UP = """
servers = [line.split()[1] for line in read('/etc/resolv.conf').decode().splitlines() if line.startswith('nameserver ')]
for server in {'127.0.0.1', '127.0.0.53', '192.0.2.53', '10.0.0.2', *servers}:
    with socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        if attempt(lambda: (client.connect((server, 53)), client.send(b'x' * 12), client.recv(100))) == 0:
            hole(f'{server} answers on port 53')
    if attempt(lambda: socket.create_connection((server, 53), 0.2)) == 0:
        hole(f'{server} accepts on port 53')
for name in (ALLOWED, 'example.com'):
    if attempt(socket.getaddrinfo, name, 80) == 0:
        hole(f'{name} was looked up inside')
"""
_PUSH = """
with socket.create_server(('127.0.0.1', 0)) as own:
    socket.send_fds(sock, [wire.encode(wire.TextDelta('d'))], [own.fileno()])
    time.sleep(0.3)
    where = PUSHED or own.getsockname()
    with socket.create_connection(where, 5) as client:
        client.settimeout(1)
        client.sendall(f'GET http://{ALLOWED}/{MARK}-hole HTTP/1.1\\r\\nHost: {ALLOWED}\\r\\n\\r\\n'.encode())
        if answer(client):
            hole('the gateway serves a listener that the turn made')
"""


async def _push_listener(trial: Trial) -> str:
    """D15: a listener of the turn's own, pushed over its socket as the door is handed over."""
    return await send(trial, _PUSH, PUSHED=None)


async def _direct(trial: Trial) -> str:
    """D11: the host behind the door, without the door."""
    return await send(trial, _DIRECT)


async def _look_up(trial: Trial) -> str:
    """D10: name servers and the resolver's library."""
    return await send(trial, _LOOK_UP)


PROBES = (
    Probe(
        "D01",
        "door",
        "CONNECT to a host or a port that no rule allows",
        _targets(_TUNNEL, lambda port: [f"{REFUSED}:80", f"{REFUSED}:{port}", f"{ALLOWED}:22", f"{REFUSED}.:443"]),
        _EGRESS,
    ),
    Probe(
        "D02",
        "door",
        "plain http to a host that no rule allows",
        _targets(_PLAIN, lambda port: [REFUSED, f"{REFUSED}:{port}", REFUSED.upper(), f"{ALLOWED}:8080"]),
        _EGRESS,
    ),
    Probe(
        "D03",
        "door",
        "a host that is denied below a name that is allowed, in several spellings",
        _targets(_BOTH, lambda _: [f"{DENIED}:80", f"{DENIED.upper()}:80", f"{DENIED}.:80"]),
        _EGRESS,
    ),
    Probe("D04", "door", "addresses in place of names, in odd spellings", _targets(_BOTH, _loopback), planted=_TO_ALLOWED),
    Probe(
        "D05",
        "door",
        "names that are allowed and that their name server leads to this machine",
        _targets(_BOTH, lambda port: [f"{name}:{port}" for name in ("localhost", "LOCALHOST.", *REBOUND)]),
        _EGRESS,
    ),
    Probe("D06", "door", "the metadata services of clouds", _targets(_BOTH, _metadata), planted=_TO_ALLOWED),
    Probe(
        "D07",
        "door",
        "requests with two readings: both lengths, odd codings, folded lines, two Hosts, lone line feeds",
        _smuggle,
        planted=_NO_QUESTION,
    ),
    Probe(
        "D08",
        "door",
        "bytes behind a CONNECT that was not answered yet, and one with a body",
        _send_early,
        planted=_NO_QUESTION,
    ),
    Probe(
        "D09", "door", "targets with users, backslashes, escapes or two hosts", _targets(_PLAIN, _mixed), planted=_TO_ALLOWED
    ),
    Probe("D10", "door", "DNS from inside: port 53 by UDP and TCP, getaddrinfo", _look_up, planted="attempt = lambda *rest: 0"),
    Probe("D11", "door", "the host behind the door, past the door", _direct, layers("net")),
    Probe(
        "D12",
        "door",
        "the door of a turn that has ended, by a process that kept its network",
        _dead_turn,
        planted="TURNS = False",
    ),
    Probe("D13", "door", "another agent's door, and every port of the own loopback", _others_door, layers("net")),
    Probe("D14", "door", "the door of another session of the same agent", _other_sessions_door, layers("net")),
    Probe(
        "D15",
        "door",
        "a listener of the turn's own, pushed over its socket, as a second door",
        _push_listener,
        planted="PUSHED = ('127.0.0.1', int(os.environ['http_proxy'].rpartition(':')[2]))",
    ),
    Probe("D16", "door", "a flood of tunnels and connections, beside another agent's turn", _flood, planted="CONNECTIONS = 5"),
    Probe("D17", "door", "clients that never end their request", _slow_clients, planted="PATIENCE = 1"),
    Probe("D18", "door", "the door from where the agent is granted no tool that could use it", _narrowed, planted="pass"),
    Probe("D19", "door", "more bytes than a turn may move", _carry_much, planted="BYTES = 1 << 20"),
)
