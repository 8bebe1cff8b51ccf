"""Routes in every format, through a real gateway: what `route explain` says is who answers."""

import json
from pathlib import Path

from tests.support.gateways import KEY, hermes_iso, running_gateway

CONFIG = """\
model: builtin/offline
agents:
  coder: {home_dir: WHERE/clients/coder}
  fam: {}
routes:
  - {agent: fam, match: {platform: API_server, user_id: 007}}
bindings:
  - {agent: coder, api_server: -100123}
gateway:
  profile_routes: {api_server: {-100123: {7: fam, 8: default}}}
platforms: {api_server: {enabled: true, extra: {port: 0}}}
"""
CASES = (
    ({}, "main"),
    ({"chat_id": "-100123"}, "coder"),
    ({"chat_id": "-100123", "thread_id": "7"}, "fam"),
    ({"chat_id": "-100123", "thread_id": "8"}, "main"),
    ({"chat_id": "-100123", "thread_id": "9", "user_id": "007"}, "fam"),
    ({"chat_id": "-100123", "user_id": "7"}, "coder"),
)


def test_the_agent_that_is_explained_answers(tmp_path: Path) -> None:
    """Headers of a request and lines of `route explain --stdin` lead to the same agent and session key."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(CONFIG.replace("WHERE", str(tmp_path)))
    (home / ".env").write_text(f"API_SERVER_KEY={KEY}\n")
    lines = "".join(json.dumps({"platform": "api_server", **keys}) + "\n" for keys, _ in CASES)
    found = hermes_iso("route", "explain", "--stdin", "--home", str(home), stdin=lines)
    explained = [json.loads(line) for line in found.stdout.splitlines()]
    assert (found.returncode, [each["agent"] for each in explained]) == (0, [agent for _, agent in CASES])
    with running_gateway("--home", str(home)) as gateway:
        for (keys, agent), told in zip(CASES, explained, strict=True):
            headers = {f"X-Hermes-{name.replace('_', '-').title()}": value for name, value in keys.items()}
            response = gateway.ask("RUN echo key=$HERMES_ISO_SESSION_KEY.", **headers)
            assert (response.status_code, response.headers["x-hermes-agent"]) == (200, agent)
            if "chat_id" in keys:
                assert f"key={told['session_key']}." in response.json()["choices"][0]["message"]["content"]
    assert (tmp_path / "clients/coder").stat().st_mode & 0o777 == 0o700
