"""Probes of the operator's files: what of them an agent can read, change, or put something else in the place of."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from hermes_iso.prove.host import meeting
from hermes_iso.prove.probe import BrokenProbeError, Probe, layers
from hermes_iso.prove.trial import Trial, evidence

RENAMES = 200
_FILES = (".env", "config.yaml")
_SYSTEM = layers("system", "capabilities", "seccomp")
_POLL = """
def look():
    for path in ('/hermes/.env', '/hermes/config.yaml', *PLACES):
        seek('OPERATOR ' + 'ONLY', read(path), path)
        for act in (lambda: open(path, 'a').write('CHANGED INSIDE'), lambda: os.rename(path, path + '.moved')):
            attempt(act)
"""
_BACKGROUND = """
look_again = 'grep -l "OPERATOR ONLY" /hermes/.env /hermes/config.yaml $P >> seen-' + MARK
command = 'while :; do ' + look_again + '; echo CHANGED >> /hermes/.env; done'
background('P="' + ' '.join(PLACES) + '"; ' + command + ' 2>/dev/null')
"""


async def rename_under_turn(trial: Trial) -> str:
    """O01, trap 23: replace .env and config.yaml by rename while a turn and a background process poll them."""
    profile = trial.stage.profile(trial.me)
    before = {name: (profile / name).read_text(encoding="utf-8") for name in _FILES}
    seen, said = trial.workspace / f"seen-{trial.mark}", trial.workspace / f"said-{trial.mark}"
    attack = (
        _POLL
        + _BACKGROUND
        + f"""
def meet_and_poll():
    while True:
        look()
        write({said.name!r}, '|'.join(holes[:3]))
        if not os.path.exists('met-' + MARK):
            threading.Thread(target=meet, daemon=True).start()
meet_and_poll()
"""
    )
    places = [str(profile / name) for name in _FILES] if trial.plays_hole else []
    try:
        async with meeting(trial, attack, PLACES=places):
            text = await _rename(trial)
            await trio.sleep(0.05)
        wrong = [name for name in _FILES if not _holds(profile / name, text)]
    finally:
        for name, old in before.items():
            (profile / name).unlink(missing_ok=True)
            (profile / name).write_text(old, encoding="utf-8")
    if not said.exists():
        raise BrokenProbeError("the turn did not poll")
    holes = [said.read_text(encoding="utf-8"), seen.read_text(encoding="utf-8") if seen.exists() else ""]
    return evidence([hole for hole in holes if hole] + [f"{name} was changed from inside" for name in wrong])


def _holds(path: Path, text: str) -> bool:
    """Return whether a file is there and holds exactly this text."""
    return path.exists() and path.read_text(encoding="utf-8", errors="replace") == text


async def _rename(trial: Trial) -> str:
    """Replace both files many times; return the last text."""
    text = ""
    for number in range(RENAMES):
        text = f"# OPERATOR ONLY {number}\n"
        for name in _FILES:
            fresh = trial.stage.profile(trial.me) / f"{name}.new"
            fresh.write_text(text, encoding="utf-8")
            os.rename(fresh, trial.stage.profile(trial.me) / name)
        await trio.sleep(0.001)
    return text


async def change_operator_files(trial: Trial) -> str:
    """O03: every way of changing what the operator wrote; the host compares."""
    profile = trial.stage.profile(trial.me)
    names = (".env", "config.yaml", "SOUL.md", "hooks/file", "plugins/file", "auth.json")
    before = {name: (profile / name).read_bytes() for name in names}
    attack = """
for name in NAMES:
    for folder in ('/hermes', ME_HOME, '/hermes/memories/..', '/workspace/..', '/home/agent/..'):
        path = f'{folder}/{name}'
        for act in (lambda: write(path), lambda: os.unlink(path), lambda: os.rename(path, path + '.moved'),
                    lambda: os.chmod(path, 0o777), lambda: os.truncate(path, 0),
                    lambda: os.link(path, '/workspace/linked'), lambda: os.symlink('/nowhere', path)):
            attempt(act)
"""
    await trial.attack(attack, NAMES=names)
    changed = [name for name in names if not (profile / name).exists() or (profile / name).read_bytes() != before[name]]
    for name in changed:
        (profile / name).unlink(missing_ok=True)  # what lies there now may be a symlink, made inside
        (profile / name).write_bytes(before[name])
    return evidence([f"{name} was changed" for name in changed])


async def plant_operator_files(trial: Trial) -> str:
    """O04: files that the gateway or Hermes reads, made where the operator has none."""
    attack = """
for name in ('gateway.json', 'hooks/evil', 'plugins/evil.py', 'BOOT.md', 'AGENTS.md', '.env.local', 'mcp.json', 'x'):
    for folder in ('/hermes', ME_HOME, '/workspace/..'):
        attempt(write, f'{folder}/{name}')
"""
    profile = trial.stage.profile(trial.me)
    before = {*profile.rglob("*")}
    await trial.attack(attack)
    inside = [profile / name for name in ("workspace", "home", "memories")]
    fresh = [path for path in {*profile.rglob("*")} - before if not any(each in path.parents for each in inside)]
    for path in fresh:
        if path.is_file():
            path.unlink()
    return evidence([f"{path.relative_to(profile)} was made" for path in fresh])


async def hand_on_values(trial: Trial) -> str:
    """O05: a value of the operator's .env that is changed reaches the next turn, and only that agent's."""
    profile = trial.stage.profile(trial.me)
    before = (profile / ".env").read_text(encoding="utf-8")
    (profile / ".env").write_text(before + f"FRESH_VALUE={trial.mark}-fresh\n", encoding="utf-8")
    try:
        mine = await trial.attack("control('FRESH_VALUE' in os.environ, 'the own value arrives')")
        theirs = await trial.attack(
            "seek(MARK + '-fresh', shell('env'), 'the environment')", agent=trial.me if trial.plays_hole else trial.peer
        )
    finally:
        (profile / ".env").write_text(before, encoding="utf-8")
    return evidence(mine + theirs)


PROBES = (
    Probe(
        "O01",
        "operator",
        ".env and config.yaml renamed over under a live turn and a background process",
        rename_under_turn,
        layers("view"),
        planted="pass",
        alone=True,
    ),
    Probe(
        "O02",
        "operator",
        "names held back (provider and platform keys) in the generated .env and config.yaml",
        """
control(b'OWN_VALUE' in read('/hermes/.env'), 'the own value is there')
for path in ('/hermes/.env', '/hermes/config.yaml', '/proc/self/environ'):
    seek(SECRET, read(path), path)
    for name in (b'OPENAI_API_KEY', b'SLACK_BOT_TOKEN', b'API_SERVER_KEY'):
        if name in read(path):
            hole(f'{path} names {name.decode()}')
for name, value in os.environ.items():
    seek(SECRET, value, name)
""",
        planted="os.environ['OPENAI_API_KEY'] = SECRET",
    ),
    Probe(
        "O03",
        "operator",
        "change .env, config.yaml, SOUL.md, hooks or plugins",
        change_operator_files,
        layers("view"),
        alone=True,
    ),
    Probe(
        "O04",
        "operator",
        "plant hooks, plugins, gateway.json and the like where there are none",
        plant_operator_files,
        layers("view"),
        alone=True,
    ),
    Probe(
        "O05", "operator", "a changed value of one agent's .env in another's turn", hand_on_values, planted="pass", alone=True
    ),
    Probe(
        "O06",
        "operator",
        "the gateway's own directory, databases, lock, admin socket and logs",
        """
for path in (HOST_HOME + '/hermes-iso', '/hermes/hermes-iso', '/hermes/../hermes-iso', ME_HOME + '/../../hermes-iso'):
    if os.path.lexists(path):
        hole(f'{path} is there')
""",
        layers("view"),
    ),
    Probe(
        "O07",
        "operator",
        "credential files inside: auth.json, pairing, backups, state-snapshots, active_profile, gateway.*",
        """
control(os.path.isdir('/hermes/memories'), 'the home is there')
for name in ('auth.json', 'pairing', 'backups', 'state-snapshots', 'active_profile', 'gateway.pid', 'gateway.json', 'profiles',
             'auth', '.anthropic_oauth.json', 'google_token.json', 'hermes-iso'):
    if os.path.lexists('/hermes/' + name):
        hole(f'{name} is there')
""",
        planted="real = os.path.lexists\nos.path.lexists = lambda path: path.endswith('pairing') or real(path)",
    ),
    Probe(
        "O08",
        "operator",
        "make a file in /hermes beside the agent's own directories",
        """
for name in ('.env', 'config.yaml', 'SOUL.md', 'new', 'hooks/new', 'plugins/new', 'state.db'):
    denied(f'wrote /hermes/{name}', write, '/hermes/' + name)
control(not attempt(write, '/hermes/plans/' + MARK), 'the own directories can be written')
""",
        layers("system"),
    ),
    Probe(
        "O09",
        "operator",
        "the wire hands a turn more than plain data: a key, a path of the host, another agent's name",
        """
import dataclasses
text = json.dumps(dataclasses.asdict(request) | {'text': ''})
for word in (SECRET, HOST_HOME, HOST_OUTSIDE, os.path.basename(PEER_HOME)):
    seek(word, text, 'the request')
control(request.turn_id and request.session_key, 'there is a request')
""",
        planted="request = __import__('dataclasses').replace(request, persona=SECRET)",
    ),
    Probe(
        "O10",
        "operator",
        "what an error tells a chat of the host (paths, users, versions)",
        """
from hermes_iso_sandbox.guest.link import CallError
for action in ({'action': 'start', 'command': 'x', 'cwd': '/no'}, {'action': 'kill', 'session_id': '../x'}, {'action': 7}, {}):
    try:
        told = json.dumps(link.call('process', action))
    except CallError as error:
        told = f'{error.kind} {error.message}'
    for word in (HOST_HOME, 'Traceback', 'File "/', '/usr/lib/python', 'hermes_iso/'):
        seek(word, told, 'an answer')
""",
        planted="link.call = lambda *rest: 'Traceback'",
    ),
)
