"""Every wrong config and its one line."""

# ruff: noqa: E501  a mistake and its line stand side by side

import os

import pytest

from tests.support.homes import make_home, mistakes

MODEL = "model: builtin/offline\n"
HOST_UIDS_WANTED = "must be FIRST-LAST, at least 1024 uids from 65536 on, such as 2000000-2131071"
NO_PATH = "is no path: it holds a null character, or is longer than 2000 bytes or 255 in one part; correct it"
API = "platforms: {api_server: {enabled: true, extra: "


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("agnts: {}\n", "2: agnts: unknown key; did you mean 'agents'?"),
        ("xyzzy: 1\n", "2: xyzzy: unknown key; correct or remove it"),
        ("5: 1\n", "2: 5: is not text; write this key in quotes"),
        ("agents: {1: {}}\n", "2: agents.1: is not text; write this key in quotes"),
        ("agents: [coder]\n", "2: agents: must be a mapping, found a list; correct it"),
        ("agents: {coder: yes}\n", "2: agents.coder: must be a mapping, found true or false; correct it"),
        ("agents:\n  coder:\n    persona: x\n", "4: agents.coder.persona: unknown key; did you mean 'personality'?"),
        ("agents: {coder: [terminal]}\n", "2: agents.coder: must be a mapping, found a list; correct it"),
        ('agents: {coder: {home_dir: "a\\0b"}}\n', f"2: agents.coder.home_dir: {NO_PATH}"),
        (f"agents: {{coder: {{home_dir: {'x' * 256}}}}}\n", f"2: agents.coder.home_dir: {NO_PATH}"),
        (f"agents: {{coder: {{home_dir: {'/x' * 1001}}}}}\n", f"2: agents.coder.home_dir: {NO_PATH}"),
        ('agents: {coder: {sandbox: {writable: ["a\\0b"]}}}\n', f"2: agents.coder.sandbox.writable[0]: {NO_PATH}"),
        ('terminal: {cwd: "a\\0b"}\n', f"2: terminal.cwd: {NO_PATH}"),
        ("agents: {coder: {personality: [x]}}\n", "2: agents.coder.personality: must be text, found a list; correct it"),
        (
            "engines: {hermes: {pyton: x}}\n",
            "2: engines.hermes.pyton: unknown key; did you mean 'python'?",
        ),
        ("agents: {coder: {engine: nativ}}\n", "2: agents.coder.engine: must be 'native' or 'hermes', found 'nativ'"),
        (
            "agents: {coder: {bogus: 1}}\n",
            "2: agents.coder.bogus: unknown key; possible: admins, allow_soul_edit, ask_timeout, default, egress, engine, home_dir, max_concurrent, messages, model, models, personality, provider, resume, sandbox, secrets, shared_paths, subagents, tools",
        ),
        (
            "agents: {coder: {admins: ['123']}}\n",
            "2: agents.coder.admins[0]: '123' is no admin; write PLATFORM:USER, as in telegram:123",
        ),
        (
            "agents: {coder: {admins: ['telegram:']}}\n",
            "2: agents.coder.admins[0]: 'telegram:' is no admin; write PLATFORM:USER, as in telegram:123",
        ),
        (
            "agents: {coder: {admins: ['telegarm:1']}}\n",
            "2: agents.coder.admins[0]: unknown platform 'telegarm'; did you mean 'telegram'?",
        ),
        (
            "telegram: {allow_admin_from: [[1]]}\n",
            "2: telegram.allow_admin_from[0]: must be an id or a name, found a list; correct it",
        ),
        ("telegram: {allow_admin_from: {a: 1}}\n", "2: telegram.allow_admin_from: must be a list, found a mapping; correct it"),
        (
            "agents: {coder: {sandbox: {isolation: interpreter}}}\n",
            "2: agents.coder.sandbox.isolation: 'interpreter' is not available in this version; write 'namespace', or remove it",
        ),
        ("agents: {coder: {default: maybe}}\n", "2: agents.coder.default: must be true or false, found text; correct it"),
        (
            "agents: {coder: {sandbox: {isolation: process}}}\n",
            "2: agents.coder.sandbox.isolation: 'process' is not available in this version; write 'namespace', or remove it",
        ),
        (
            "agents: {coder: {sandbox: {turn_timeout: 0}}}\n",
            "2: agents.coder.sandbox.turn_timeout: must be more than 0.0, found 0",
        ),
        (
            "agents: {coder: {sandbox: {turn_timeout: .inf}}}\n",
            "2: agents.coder.sandbox.turn_timeout: must be at most 604800.0, found inf",
        ),
        (
            "agents: {coder: {sandbox: {turn_timeout: .nan}}}\n",
            "2: agents.coder.sandbox.turn_timeout: must be at most 604800.0, found nan",
        ),
        (
            "agents: {coder: {sandbox: {timeout: 5}}}\n",
            "2: agents.coder.sandbox.timeout: unknown key; did you mean 'turn_timeout'?",
        ),
        (
            "agents: {coder: {sandbox: {path: bin}}}\n",
            "2: agents.coder.sandbox.path: must be a list, found text; write it as [one, two]",
        ),
        (
            "agents: {coder: {sandbox: {path: [bin]}}}\n",
            "2: agents.coder.sandbox.path[0]: 'bin' must be one absolute path, or begin with ~/",
        ),
        (
            "agents: {coder: {sandbox: {path: ['/a:/b']}}}\n",
            "2: agents.coder.sandbox.path[0]: '/a:/b' must be one absolute path, or begin with ~/",
        ),
        (
            "agents: {coder: {sandbox: {env: [A-B]}}}\n",
            "2: agents.coder.sandbox.env[0]: 'A-B' is not a name; use letters, digits and _",
        ),
        (
            "agents: {coder: {sandbox: {env: ['', 5, A-B]}}}\n",
            (
                "2: agents.coder.sandbox.env[0]: must not be empty; write something, or remove it"
                "|2: agents.coder.sandbox.env[1]: must be text, found a number; write it in quotes"
                "|2: agents.coder.sandbox.env[2]: 'A-B' is not a name; use letters, digits and _"
            ),
        ),
        (
            "agents: {coder: {sandbox: {writable: [x, null, /etc], readable: [~, [], /proc]}}}\n",
            (
                '2: agents.coder.sandbox.readable[0]: is nothing, because YAML reads a bare ~ so; write it in quotes: "~"'
                "|2: agents.coder.sandbox.readable[1]: must be text, found a list; correct it"
                "|2: agents.coder.sandbox.readable[2]: /proc belongs to the system; name another directory"
                "|2: agents.coder.sandbox.writable[0]: x does not exist; make it: mkdir -p HOME/profiles/coder/workspace/x"
                "|2: agents.coder.sandbox.writable[1]: must be text, found nothing; correct it"
                "|2: agents.coder.sandbox.writable[2]: /etc belongs to the system; name another directory"
            ),
        ),
        (
            "agents: {coder: {sandbox: {writable: ~}}}\n",
            '2: agents.coder.sandbox.writable: is nothing, because YAML reads a bare ~ so; write it in quotes: ["~"]',
        ),
        (
            "terminal: {cwd: ~}\n",
            '2: terminal.cwd: is nothing, because YAML reads a bare ~ so; write it in quotes: "~"',
        ),
        (
            "gateway: {serve: [main, 5, nobody]}\n",
            (
                "2: gateway.serve[1]: must be text, found a number; write it in quotes"
                "|2: gateway.serve[2]: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:"
            ),
        ),
        (
            "agent: {disabled_toolsets: [5, memry]}\n",
            (
                "2: agent.disabled_toolsets[0]: must be text, found a number; write it in quotes"
                "|2: agent.disabled_toolsets[1]: unknown tool or toolset; did you mean 'memory'?"
            ),
        ),
        ("agents: {coder: {}, CODER: {}}\n", "2: agents.CODER: is the same agent as 'coder'; keep one"),
        (
            "agents: {default: {}}\n",
            "2: agents.default: 'default' is a reserved name; choose another; the root home's agent is called 'main'",
        ),
        ("agents: {tmp: {}}\n", "2: agents.tmp: 'tmp' is a reserved name; choose another"),
        (
            "agents: {../../etc: {}}\n",
            "2: agents.../../etc: '../../etc' can't be an agent's name; use up to 64 of a-z, 0-9, _ and -, the first a letter or digit",
        ),
        (
            "agents: {main: {home_dir: x}}\n",
            "2: agents.main.home_dir: agent main lives in the root home itself; remove this key",
        ),
        (
            "agents: {coder: {home_dir: /run/none}}\n",
            "2: agents.coder.home_dir: /run/none belongs to the system; name another directory",
        ),
        (
            "default_agent: a b\n",
            "2: default_agent: there is no agent 'a b'; there are: main, a",
        ),
        (
            "agents: {coder: {home_dir: workspace/x}}\n",
            "2: agents.coder.home_dir: HOME/workspace/x lies in a directory of agent main or of the gateway; name another directory",
        ),
        (
            "agents: {coder: {home_dir: .}}\n",
            "2: agents.coder.home_dir: HOME is or holds the gateway's own home; name another directory",
        ),
        (
            "agents: {coder: {home_dir: profiles}}\n",
            "2: agents.coder.home_dir: HOME/profiles lies in a directory of agent main or of the gateway; name another directory",
        ),
        ("agents: {coder: {home_dir: /etc}}\n", "2: agents.coder.home_dir: /etc belongs to the system; name another directory"),
        (
            "agents: {coder: {home_dir: profiles/a/x}}\n",
            "2: agents.coder.home_dir: HOME/profiles/a/x is, holds or lies in the home of agent a; name another directory",
        ),
        (
            "default_agent: nobody\n",
            "2: default_agent: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:",
        ),
        ("default_agent: default\n", "2: default_agent: there is no agent 'default'; the root home's agent is called 'main'"),
        ("default_agent: [a]\n", "2: default_agent: must be text, found a list; correct it"),
        (
            "default_agent: main\nagents: {a: {default: true}}\n",
            "3: agents.a.default: makes a the default agent, but main is it already; keep one",
        ),
        (
            "agents: {a: {default: true}, b: {default: true}}\n",
            "2: agents.b.default: makes b the default agent, but a is it already; keep one",
        ),
        ("routes: {}\n", "2: routes: must be a list, found a mapping; correct it"),
        ("routes:\n  -\n", "3: routes[0].agent: is missing; add it|3: routes[0].match: is missing; add it"),
        ("routes: [{agent: main}]\n", "2: routes[0].match: is missing; add it"),
        (
            "routes: [{match: {}, agent: main}]\n",
            "2: routes[0].match: matches everything; name a platform, chat_id or thread_id, or set default_agent",
        ),
        ("routes: [{match: {platform: telegram}}]\n", "2: routes[0].agent: is missing; add it"),
        (
            "routes:\n  - match: {platform: telegram}\n    agent: nobody\n",
            "4: routes[0].agent: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:",
        ),
        (
            "routes: [{match: {platform: telegram}, agent: main, enable: no}]\n",
            "2: routes[0].enable: unknown key; did you mean 'enabled'?",
        ),
        (
            "routes: [{match: {platform: telegrm}, agent: main}]\n",
            "2: routes[0].match.platform: unknown platform 'telegrm'; did you mean 'telegram'?",
        ),
        (
            "routes: [{match: {chatid: 1}, agent: main}]\n",
            "2: routes[0].match.chatid: unknown key; did you mean 'chat_id'?|2: routes[0].match: matches everything; name a platform, chat_id or thread_id, or set default_agent",
        ),
        (
            "routes: [{match: {chat_id: ''}, agent: main}]\n",
            "2: routes[0].match.chat_id: must not be empty; write an id, or remove it",
        ),
        (
            "routes: [{match: {chat_id: [1]}, agent: main}]\n",
            "2: routes[0].match.chat_id: must be text, found a list; correct it|2: routes[0].match: matches everything; name a platform, chat_id or thread_id, or set default_agent",
        ),
        ("gateway: {unmatched: drop}\n", "2: gateway.unmatched: must be 'default' or 'reject', found 'drop'"),
        *(
            (f"gateway: {{host_uids: {written}}}\n", f"2: gateway.host_uids: {HOST_UIDS_WANTED}, found {found}; correct it")
            for written, found in (("many", "'many'"), ("1-70000", "'1-70000'"), ("70000-70100", "'70000-70100'"), ("7", "7"))
        ),
        ("gateway: {serv: all}\n", "2: gateway.serv: unknown key; did you mean 'serve'?"),
        ("gateway: {serve: main}\n", "2: gateway.serve: must be a list, found text; write it as [one, two]"),
        (
            "gateway: {serve: [main, nobody]}\n",
            "2: gateway.serve[1]: there is no agent 'nobody'; make it: mkdir -p HOME/profiles/nobody, or add it to agents:",
        ),
        (
            "gateway: {serve: [a]}\n",
            "2: gateway.serve: leaves out main, the default agent; add it, or set default_agent to another",
        ),
        (
            "gateway: {serve: [main]}\nroutes: [{match: {platform: cli}, agent: a}]\n",
            "3: routes[0].agent: agent a is not in gateway.serve; add it there",
        ),
        (
            "gateway: {multiplex_profiles: sometimes}\n",
            "2: gateway.multiplex_profiles: must be true or false, found text; correct it",
        ),
        ("platforms: []\n", "2: platforms: must be a mapping, found a list; correct it"),
        ("platforms: {telegramm: {enabled: true}}\n", "2: platforms.telegramm: unknown platform; did you mean 'telegram'?"),
        ("platforms: {telegram: on}\n", "2: platforms.telegram: must be a mapping, found true or false; correct it"),
        (
            "platforms: {api_server: {enabled: perhaps}}\n",
            "2: platforms.api_server.enabled: must be true or false, found text; correct it",
        ),
        (
            "platforms: {api_server: {enabled: true}}\n",
            "2: platforms.api_server.extra.key: is missing: set API_SERVER_KEY in .env to at least 16 characters",
        ),
        (API + "{key: short}}}\n", "2: platforms.api_server.extra.key: is 5 characters long; a key needs at least 16"),
        (
            API + "{key: 'a key with blanks in it'}}}\n",
            "2: platforms.api_server.extra.key: holds a blank or a character that an HTTP header can't carry; use letters and digits",
        ),
        (
            API + "{key: '${NOPE}'}}}\n",
            "2: platforms.api_server.extra.key: refers to NOPE, which is set nowhere; add it to the home's .env",
        ),
        (
            API + "{key: 0123456789abcdef0, port: 70000}}}\n",
            "2: platforms.api_server.extra.port: must be at most 65535, found 70000",
        ),
        (
            API + "{key: 0123456789abcdef0, port: http}}}\n",
            "2: platforms.api_server.extra.port: must be a whole number, found text; correct it",
        ),
        (
            API + "{keys: {bob: 0123456789abcdef0}}}}\n",
            "2: platforms.api_server.extra.key: is missing: set API_SERVER_KEY in .env to at least 16 characters|2: platforms.api_server.extra.keys.bob: must be a mapping, found text; correct it",
        ),
        (
            API + "{keys: {bob: {key: 0123456789abcdef0, agents: [nobody]}}}}}\n",
            "2: platforms.api_server.extra.keys.bob.agents[0]: there is no agent 'nobody'; possible: main",
        ),
        (
            API + "{key: 0123456789abcdef0, keys: {bob: {key: 0123456789abcdef0}}}}}\n",
            "2: platforms.api_server.extra.keys.bob: is the same key as 'default'; every key must differ",
        ),
        (
            API + "{keys: {default: {key: 0123456789abcdef0}}}}}\n",
            "2: platforms.api_server.extra.keys.default: 'default' is the name of extra.key; choose another",
        ),
        (
            API + "{keys: {bob: {key: 0123456789abcdef0, agent: [a]}}}}}\n",
            "2: platforms.api_server.extra.keys.bob.agent: unknown key; did you mean 'agents'?",
        ),
        (
            "platform_toolsets: {cli: terminal}\n",
            "2: platform_toolsets.cli: must be a list, found text; write it as [one, two]",
        ),
        (
            "platform_toolsets: {cli: [terminel]}\n",
            "2: platform_toolsets.cli[0]: unknown tool or toolset; did you mean 'terminal'?",
        ),
        (
            "platform_toolsets: {telegramm: [terminal]}\n",
            "2: platform_toolsets.telegramm: unknown platform; did you mean 'telegram'?",
        ),
        (
            "agent: {disabled_toolsets: [memry]}\n",
            "2: agent.disabled_toolsets[0]: unknown tool or toolset; did you mean 'memory'?",
        ),
        (
            "agent: {disabled_toolsets: memory}\n",
            "2: agent.disabled_toolsets: must be a list, found text; write it as [one, two]",
        ),
        ("agent: {max_turns: 0}\n", "2: agent.max_turns: must be at least 1, found 0"),
        ("terminal: {cwd: 5}\n", "2: terminal.cwd: must be text, found a number; write it in quotes"),
        ("timezone: '../../etc/passwd'\n", "2: timezone: must be a zone such as Europe/Berlin"),
        ("max_concurrent_sessions: many\n", "2: max_concurrent_sessions: must be a whole number, found text; correct it"),
        ("gateway: {inbox: {tries: 0}}\n", "2: gateway.inbox.tries: must be at least 1, found 0"),
        ("gateway: {inbox: {max_queued: 0}}\n", "2: gateway.inbox.max_queued: must be at least 1, found 0"),
        ("agents: {a: {max_concurrent: 0}}\n", "2: agents.a.max_concurrent: must be at least 1, found 0"),
        ("agents: {a: {resume: maybe}}\n", "2: agents.a.resume: must be 'tell' or 'rerun', found 'maybe'"),
        ("group_sessions_per_user: perhaps\n", "2: group_sessions_per_user: must be true or false, found text; correct it"),
    ],
)
def test_a_mistake_has_its_line(home, config, line):
    """What was asked, what was found, what to do: one line for each mistake."""
    files = {"profiles/a/x/": "", "workspace/x/": ""}
    assert mistakes(home, MODEL + config, files) == [
        f"HOME/config.yaml:{each}" for each in sorted(line.split("|"), key=_by_key)
    ]


def _by_key(line):
    """Sort as problems are sorted: by line, then key."""
    number, key, _ = line.split(": ", 2)
    return int(number), key


SIZE = "must be a size such as 512M or 2G (a whole number with K, M or G), found "


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("memory: 1.5G", f"{SIZE}'1.5G'"),
        ("memory: 512MB", f"{SIZE}'512MB'"),
        ("memory: 0", f"{SIZE}0"),
        ("memory: -1G", f"{SIZE}'-1G'"),
        ("memory: yes", f"{SIZE}True"),
        ("memory: [1G]", f"{SIZE}['1G']"),
        ("memory: 1.0", f"{SIZE}1.0"),
        ("memory: 16M", "must be at least 32M, found '16M'"),
        ("disk: lots", f"{SIZE}'lots'"),
        ("disk: 99999999999999999G", f"{SIZE}'99999999999999999G'"),
        ("disk: 4K", "must be at least 1M, found '4K'"),
        ("pids: 0", "must be at least 16, found 0"),
        ("pids: 1.5", "must be a whole number, found a number; correct it"),
        ('pids: "128"', "must be a whole number, found text; correct it"),
        ("inodes: 5", "must be at least 100, found 5"),
        ("inodes: 1K", "must be a whole number, found text; correct it"),
        ("cpu: 0", "must be at least 0.01, found 0"),
        ("cpu: two", "must be a number, found text; correct it"),
        ("cpu: .nan", "must be at most 1024.0, found nan"),
    ],
)
def test_a_wrong_limit_is_told_with_what_is_right(home, limit, message):
    """Sizes are whole numbers of bytes, K, M or G; each limit has a least value that a sandbox can run with."""
    key = limit.partition(":")[0]
    config = f"{MODEL}agents:\n  coder:\n    sandbox:\n      {limit}\n"
    assert mistakes(home, config) == [f"HOME/config.yaml:5: agents.coder.sandbox.{key}: {message}"]


@pytest.mark.parametrize("key", ["terminal.cwd", "writable", "readable"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "/ belongs to the system; name another directory"),
        ("/etc", "/etc belongs to the system; name another directory"),
        ("/proc/self", "belongs to the system; name another directory"),
        ("HOME", "HOME holds agent other's home or workspace; name a directory outside of it"),
        ("HOME/profiles", "HOME/profiles holds agent"),
        ("HOME/profiles/other", "HOME/profiles/other lies in agent other's home or workspace; name a directory outside of it"),
        ("HOME/profiles/other/workspace", "lies in agent other's home or workspace; name a directory outside of it"),
        ("HOME/workspace", "HOME/workspace lies in agent main's home or workspace; name a directory outside of it"),
        ("HOME/profiles/coder", "HOME/profiles/coder holds the agent's own home; name a directory in it"),
        ("HOME/profiles/coder/hooks", "HOME/profiles/coder/hooks holds files of the operator; name another directory"),
        ("TMP", "holds"),
        ("TMP/link-to-other", "lies in agent other's home or workspace; name a directory outside of it"),
        ("TMP/link-to-etc", "/etc belongs to the system; name another directory"),
        ("TMP/none", "does not exist; make it: mkdir -p TMP/none"),
        ("TMP/file", "TMP/file is a file, and only a directory can be shown; name the directory that holds it"),
        ("/run/none", "/run/none belongs to the system; name another directory"),
        ("/etc/hosts", "/etc/hosts belongs to the system; name another directory"),
        ("HOME/hermes-iso", "lies in the gateway's home; name a directory outside of it"),
        ("HOME/profiles/coder/logs", "holds files of the operator; name another directory"),
        ("/usr", "/usr is a path that means something else inside a sandbox; move the directory elsewhere"),
        ("HOME/profiles/coder/workspace/link", "leads out of the agent's own directories; name the target"),
    ],
)
def test_a_directory_that_an_agent_may_not_see_is_refused(tmp_path, home, key, path, reason):
    """The path rules hold for every key that names a host directory, after symlinks."""
    files = {"profiles/other/workspace/": "", "profiles/coder/hooks/": "", "workspace/": "", "profiles/coder/workspace/": ""}
    make_home(home, files=files)
    (tmp_path / "link-to-other").symlink_to(home / "profiles/other")
    (tmp_path / "link-to-etc").symlink_to("/etc")
    (tmp_path / "file").write_text("")
    make_home(tmp_path / "free")
    (home / "profiles/coder/workspace/link").symlink_to(tmp_path / "free")
    where = path.replace("HOME", str(home)).replace("TMP", str(tmp_path))
    profile = f"terminal: {{cwd: '{where}'}}\n" if key == "terminal.cwd" else "{}\n"
    sandbox = "{}" if key == "terminal.cwd" else f"{{{key}: ['{where}']}}"
    found = mistakes(
        home, MODEL + f"agents: {{coder: {{sandbox: {sandbox}}}, other: {{}}}}\n", {"profiles/coder/config.yaml": profile}
    )
    assert len(found) == 1
    place = (
        "profiles/coder/config.yaml:1: terminal.cwd"
        if key == "terminal.cwd"
        else f"config.yaml:2: agents.coder.sandbox.{key}[0]"
    )
    assert found[0].startswith(f"HOME/{place}: ")
    assert any(each in found[0].replace(str(tmp_path), "TMP") for each in reason.split("|"))


@pytest.mark.skipif(not os.path.isdir(os.path.expanduser("~")), reason="the user has no home directory")
def test_a_whole_home_directory_is_refused(home):
    """A user's home directory as a whole is never shown."""
    where = os.path.realpath(os.path.expanduser("~"))
    found = mistakes(home, MODEL + f"agents: {{coder: {{sandbox: {{readable: ['{where}']}}}}}}\n")
    assert len(found) == 1


def test_two_agents_may_not_write_to_one_directory(tmp_path, home):
    """A directory that two agents can write is a leak, so it is refused."""
    make_home(tmp_path / "shared")
    cwd = f"terminal: {{cwd: {tmp_path}/shared}}\n"
    found = mistakes(home, MODEL + "gateway: {serve: all}\n", {"profiles/a/config.yaml": cwd, "profiles/b/config.yaml": cwd})
    assert len(found) == 1
    assert found[0].startswith(
        f"HOME/profiles/b/config.yaml:1: terminal.cwd: {tmp_path}/shared is a directory that agent a can write (terminal.cwd in "
    )


def test_an_operators_symlink_into_another_home_is_refused(home):
    """The agent's own directories obey the path rules too."""
    make_home(home, MODEL + "agents: {a: {}, b: {}}\n", {"profiles/a/memories/": "", "profiles/b/": ""})
    (home / "profiles/b/memories").symlink_to(home / "profiles/a/memories")
    found = mistakes(home)
    assert found[0].startswith(
        "HOME/profiles/b/memories:1: memories: is a symlink, and HOME/profiles/a/memories lies in agent a's"
    )


def test_a_profile_called_main_is_refused(home):
    """The root home is agent main; a profile of that name would share its session keys."""
    assert mistakes(home, MODEL, {"profiles/main/": ""}) == [
        "HOME/profiles/main:1: main: is the name of the root home's own agent; rename this profile"
    ]


@pytest.mark.parametrize("name", ["config.yaml", ".env", "profiles/a/config.yaml", "profiles/a/.env"])
def test_a_directory_in_a_files_place_is_one_problem(home, name):
    """Root or profile: the file is named."""
    config = None if name == "config.yaml" else MODEL + "agents: {a: {}}\n"
    assert mistakes(home, config, {name + "/": ""}) == [
        f"HOME/{name}:1: file: is a directory; put a regular file there or move it away"
    ]


def test_no_mistake_repeats_a_secret(home):
    """A problem never shows a key, whatever is wrong with it."""
    config = (
        "model: {provider: custom, api_key: [hunter2-hunter2-hunter2]}\n" + API + "{key: hunter2, keys: {b: {key: 12}}}}}\n"
    )
    assert "hunter2" not in "\n".join(mistakes(home, config, {".env": "API_SERVER_PORT=no\n"}))


@pytest.mark.parametrize(
    ("config", "beginning", "known"),
    [
        ("platforms: {xyzzy: {}}", "platforms.xyzzy: unknown platform; possible: ", "telegram"),
        ("platform_toolsets: {xyzzy: []}", "platform_toolsets.xyzzy: unknown platform; possible: ", "telegram"),
        (
            "routes: [{match: {platform: xyzzy}, agent: main}]",
            "routes[0].match.platform: unknown platform 'xyzzy'; possible: ",
            "cli",
        ),
        ("agent: {disabled_toolsets: [xyzzy]}", "agent.disabled_toolsets[0]: unknown tool or toolset; possible: ", "terminal"),
    ],
)
def test_a_word_that_resembles_none_gets_all_that_are_possible(home, config, beginning, known):
    """Without a near word the mistake says which there are."""
    [line] = mistakes(home, MODEL + config + "\n")
    assert line.startswith(f"HOME/config.yaml:2: {beginning}")
    assert known in line.split("possible: ")[1].split(", ")


@pytest.mark.parametrize("below", ["", "/x"])
def test_a_home_dir_that_a_file_stands_in_the_way_of_is_refused(home, below):
    """Where a file is there can be no directory."""
    found = mistakes(home, MODEL + f"agents: {{coder: {{home_dir: config.yaml{below}}}}}\n")
    assert "HOME/config.yaml:2: agents.coder.home_dir: HOME/config.yaml is not a directory; name another" in found
