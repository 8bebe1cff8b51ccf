"""Programs that people use, in real sandboxes, through an agent's door: curl, git, pip, npm, Python's libraries, an SDK.

The hosts are servers of this machine under names of the config. Their TLS is of an authority that the sandbox trusts as the
how-to says: a readable file and variables in the agent's .env.
"""

from __future__ import annotations

import ssl
import sysconfig
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import trustme

from tests.support.gateways import running_gateway
from tests.support.web import PLAIN, SECURE, serving, serving_mcp, write_web

pytestmark = pytest.mark.long

Run: TypeAlias = Callable[[str], str]
MCP = "mcp.example.com"
PACKAGES = sysconfig.get_path("purelib")
CONFIG = f"""
model: builtin/offline
agents:
  coder:
    models: []
    egress: {{{{allow: ["{PLAIN}:80", "{SECURE}:443", "{MCP}:80"]}}}}
    sandbox: {{{{readable: ["{{ca}}", "{PACKAGES}"]}}}}
egress: {{{{resolve: {{{{{PLAIN}: "127.0.0.1:{{plain}}", {SECURE}: "127.0.0.1:{{secure}}", {MCP}: "127.0.0.1:{{mcp}}"}}}}}}}}
platforms: {{{{api_server: {{{{enabled: true, extra: {{{{key: a-key-for-end-to-end-tests, port: 0}}}}}}}}}}}}
"""
TRUST = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT", "npm_config_cafile", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
BOTH = pytest.mark.parametrize("url", [f"http://{PLAIN}", f"https://{SECURE}"], ids=["http", "https"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Serve a gateway beside a small web; gives what runs a command as a turn and returns what it said."""
    place = tmp_path_factory.mktemp("tools")
    write_web(place / "web")
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(SECURE).configure_cert(tls)
    ca = place / "ca"
    ca.mkdir()
    authority.cert_pem.write_to_path(str(ca / "ca.pem"))
    profile = place / "home" / "profiles" / "coder"
    profile.mkdir(parents=True, mode=0o700)
    (place / "home").chmod(0o700)
    (profile / ".env").write_text("".join(f"{name}={ca}/ca.pem\n" for name in TRUST), encoding="utf-8")
    (profile / ".env").chmod(0o600)
    with serving(place / "web") as plain, serving(place / "web", tls) as secure, serving_mcp() as mcp:
        config = CONFIG.format(ca=ca, plain=plain, secure=secure, mcp=mcp)
        (place / "home" / "config.yaml").write_text(config, encoding="utf-8")
        with running_gateway("--home", str(place / "home")) as gateway:
            yield lambda command: gateway.answer(f"RUN {command}", agent="coder").partition("RESULT")[2]


def need(run: Run, program: str) -> None:
    """Skip where the sandbox does not have a program."""
    if "is-here" not in run(f"command -v {program} >/dev/null && echo is-''here"):
        pytest.skip(f"{program} is not inside the sandbox on this machine")


@BOTH
def test_curl_reads_a_file(run: Run, url: str) -> None:
    """Without a word about a proxy."""
    need(run, "curl")
    assert "from-the-web" in run(f"curl -sS {url}/file 2>&1")


@BOTH
def test_git_clones_and_pushes(run: Run, url: str) -> None:
    """A clone, and a push of more than git sends in one piece: a body in chunks."""
    need(run, "git")
    name = url.partition(":")[0]
    assert "from-the-repository" in run(f"rm -rf {name}; git clone -q {url}/git/tiny.git {name} 2>&1; cat {name}/README")
    who = "-c user.name=a -c user.email=a@example.com"
    work = f"head -c 3000000 /dev/urandom > {name}; git add {name}; git {who} commit -qm more"
    said = run(f"cd {name} && git checkout -qb of-{name}; {work}; git push -q origin of-{name} 2>&1; git ls-remote origin 2>&1")
    assert f"refs/heads/of-{name}" in said


@BOTH
def test_pip_installs_from_an_index(run: Run, url: str) -> None:
    """A package by its name; an index without TLS has to be trusted by name, as everywhere."""
    need(run, "pip")
    options = f"--target lib-{url.partition(':')[0]} -i {url}/simple/ --trusted-host {PLAIN} --no-cache-dir -q"
    said = run(
        f"rm -rf lib-*; pip install {options} tiny 2>&1; PYTHONPATH=$(echo lib-*) python3 -c 'import tiny; print(tiny.WORD)'"
    )
    assert "from-the-wheel" in said


@pytest.mark.parametrize("registry", [f"http://{PLAIN}/npm/", f"https://{SECURE}/npms/"], ids=["http", "https"])
def test_npm_installs_from_a_registry(run: Run, registry: str) -> None:
    """A package and its archive."""
    need(run, "npm")
    said = run(f"rm -rf n; mkdir n; cd n; npm install tiny --registry {registry} 2>&1; node -p 'require(\"tiny\")' 2>&1")
    assert "from-the-registry" in said


@BOTH
@pytest.mark.parametrize("library", ["urllib", "httpx"])
def test_python_libraries_read_a_file(run: Run, url: str, library: str) -> None:
    """The standard library's client, and one that everybody installs."""
    need(run, "python3")
    if library == "urllib":
        code = f'import urllib.request as r; print(r.urlopen("{url}/file").read().decode())'
    else:
        code = f'import httpx; print(httpx.get("{url}/file").text)'
    assert "from-the-web" in _python(run, code)


def test_openai_sdk_asks_the_model_host(run: Run) -> None:
    """With its base URL alone."""
    need(run, "python3")
    ask = 'c.chat.completions.create(model="offline", messages=[{"role": "user", "content": "from-the-sdk"}])'
    made = 'openai.OpenAI(base_url="http://model.local/v1", api_key="any")'
    code = f"import openai; c = {made}; print({ask}.choices[0].message.content)"
    assert "from-the-sdk" in _python(run, code)


def test_mcp_client_calls_a_tool(run: Run) -> None:
    """The protocol's own client, over streamable HTTP."""
    need(run, "python3")
    call = '(await c.call_tool("repeat", {"times": 2})).content[0].text'
    body = f'    async with mcp.Client("http://{MCP}/mcp") as c: print({call})'
    code = f"import asyncio, mcp\nasync def main():\n{body}\nasyncio.run(main())"
    assert "from-the-mcp-server from-the-mcp-server" in _python(run, code)


def _python(run: Run, code: str) -> str:
    """Run Python that sees this suite's packages; skip where its version inside can't use them."""
    said = run(f"PYTHONPATH={PACKAGES} python3 -c '{code}' 2>&1")
    if "ModuleNotFoundError" in said or "ImportError" in said:
        pytest.skip(f"the sandbox' Python can't use {PACKAGES}: {said[-300:]}")
    return said
