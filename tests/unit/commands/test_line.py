"""Every slash command, sent as a message through the line to agents with the offline model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.models import ModelBroker
from hermes_iso.commands.registry import COMMANDS
from hermes_iso.commands.unavailable import UNAVAILABLE
from hermes_iso.commands.words import BY_NAME, parse
from hermes_iso.config.schema import CommandRules
from hermes_iso.errors import UsageError
from hermes_iso.history import Message
from hermes_iso.hooks.hook import Hook
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.sessions import BESIDE
from hermes_iso_sandbox import wire
from tests.support.line import Chat, Guest, make_agent, make_config, open_line, thinking
from tests.unit.hooks.test_hooks import Answers

OTHER = ModelSettings("lab", "other", "http://127.0.0.1:1/v1", "chat_completions", api_key="secret-key")


def named(name: str) -> ModelSettings:
    """Know one other model."""
    if name == "lab/other":
        return OTHER
    raise UsageError(f"No model {name!r} can be used: it is unknown.")


class Recorder:
    """A guest that keeps its requests and repeats their text; one that is told to wait does so until it is let or stopped."""

    def __init__(self) -> None:
        self.requests: list[wire.TurnRequest] = []
        self.go = trio.Event()

    async def __call__(self, guest: Guest) -> None:
        request = await guest.hear()
        self.requests.append(request)
        told: list[Message] = []
        if request.text.startswith("wait"):
            await self._wait(guest, told)
        text = "re " + request.text
        await guest.say(wire.TurnDone(text, [*told, {"role": "assistant", "content": text}]))

    async def _wait(self, guest: Guest, told: list[Message]) -> None:
        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                while not isinstance(message := await guest.hear(), wire.Interrupt):
                    told.append({"role": "user", "content": message.text})
                    await guest.say(wire.SteerTaken())
                nursery.cancel_scope.cancel()

            nursery.start_soon(hear)
            await self.go.wait()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking(tmp_path: Path, script: Any = None, **changes: Any) -> AsyncIterator[tuple[Chat, Recorder]]:
    """Open a line whose agents know one other model and two personalities; gives somebody at the console, and the guest."""
    home = tmp_path / "home"
    recorder = Recorder()
    persons = {"pirate": "You are a pirate.", "poet": "You are a poet."}
    agents = {
        name: make_agent(home, name, **{"name_model": named, "personalities": persons, **changes.pop("agent", {})})
        for name in ("main", "coder")
    }
    config = make_config(home, agents=agents, **changes)
    async with ModelBroker() as models, open_line(home, script or recorder, models=models, config=config) as (gateway, _):
        yield Chat(gateway), recorder


async def wait_for(recorder: Recorder, count: int) -> None:
    """Wait until so many turns have begun."""
    with trio.fail_after(10):
        while len(recorder.requests) < count:
            await trio.testing.wait_all_tasks_blocked(0.005)


async def answer(person: Chat, text: str, **more: Any) -> str:
    """Send a message and return the answer's text, which must be no error."""
    outbound = await person.say(text, **more)
    assert outbound.error is None, outbound.text
    return outbound.text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/new", ("new", "")),
        ("  /New  Two words ", ("new", "Two words")),
        ("/title@my_bot A b", ("title", "A b")),
        ("/set_home", ("set-home", "")),
        ("/queue line\nline two", ("queue", "line\nline two")),
        ("/etc/passwd is a file", None),
        ("/ new", None),
        ("//new", None),
        ("/2", None),
        ("/новый", None),
        ("say /new", None),
        ("", None),
    ],
)
def test_command_is_told_from_a_message(text: str, found: Any) -> None:
    """A command begins with a slash and a word; a path, a number or a slash further on make none."""
    assert parse(text) == found


def test_names_are_those_of_hermes_and_none_has_two_meanings() -> None:
    """Every name and alias stands for one command, and nothing that is available is called not available."""
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    assert not set(names) & set(UNAVAILABLE)
    wanted = (
        "start help commands new reset stop status profile agents agent model personality reasoning sessions resume title retry"
        " undo compress memory skills tools queue steer background approve deny sethome cron whoami usage"
    )
    assert set(wanted.split()) <= set(names)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
async def test_every_command_answers_in_words(tmp_path: Path, name: str) -> None:
    """Without arguments, in a chat that has not said anything yet, each says something and fails nothing."""
    async with talking(tmp_path) as (chat, _):
        assert (await answer(chat, f"/{name}")).strip()


@pytest.mark.parametrize("name", sorted(UNAVAILABLE))
async def test_command_of_hermes_that_is_missing_says_why(tmp_path: Path, name: str) -> None:
    """It never reaches the model."""
    async with talking(tmp_path) as (chat, recorder):
        assert await answer(chat, f"/{name} x") == f"/{name} is not available here: {UNAVAILABLE[name]}."
    assert recorder.requests == []


async def test_unknown_command_is_answered_with_a_suggestion(tmp_path: Path) -> None:
    """As in Hermes a word that is no command does not reach the model; the same text without the slash does."""
    async with talking(tmp_path) as (chat, recorder):
        assert "Did you mean /help?" in await answer(chat, "/hlep")
        assert "/xyzzyqq" in await answer(chat, "/xyzzyqq")
        assert recorder.requests == []
        assert await answer(chat, "xyzzyqq") == "re xyzzyqq"
        assert await answer(chat, "/srv/notes.txt please") == "re /srv/notes.txt please"


async def test_what_agents_write_to_each_other_is_no_command(tmp_path: Path) -> None:
    """On the platform of agents a text that looks like a command is a text."""
    async with talking(tmp_path) as (chat, _):
        assert await answer(chat, "/new", platform="agent") == "re /new"


async def test_start_and_help_say_who_and_what(tmp_path: Path) -> None:
    """/start names the agent, /help every command that may be used."""
    async with talking(tmp_path) as (chat, _):
        assert "agent coder" in await answer(chat, "/start", agent="coder")
        text = await answer(chat, "/help")
        assert [command.name for command in COMMANDS if f"/{command.name}" not in text] == []
        assert text == await answer(chat, "/commands")


async def test_profile_and_agents_tell_of_the_routed_agent(tmp_path: Path) -> None:
    """Who answers in this chat, and no list of the others for somebody who is no admin."""
    async with talking(tmp_path) as (chat, _):
        for text in ("/profile", "/agents", "/agent", "/agent main"):
            said = await answer(chat, text, agent="coder", platform="telegram", user_id="7")
            assert "coder" in said
            assert "Served" not in said
            assert str(tmp_path) not in said
        assert "main, coder" in await answer(chat, "/agents")


async def test_new_begins_without_history_and_resume_goes_back(tmp_path: Path) -> None:
    """The chat's next turn sees nothing of the earlier session, which is there again after /resume, by number, id or title."""
    async with talking(tmp_path) as (chat, recorder):
        first = await chat.say("one")
        await answer(chat, "/title The first")
        assert "New session 'two'" in await answer(chat, "/new two")
        second = await chat.say("two")
        assert recorder.requests[-1].history == []
        assert second.session_id != first.session_id
        listed = await answer(chat, "/sessions")
        assert [line[:2] for line in listed.splitlines()[1:]] == ["1.", "2."]
        assert "The first" in listed
        for word in ("2", first.session_id, "the first", "THE FI"):
            assert first.session_id in await answer(chat, f"/resume {word}")
            assert (await chat.say("x")).session_id == first.session_id
            await answer(chat, "/resume two")
        assert recorder.requests[-1].history[0] == {"role": "user", "content": "one"}
        assert "no session 'nine'" in await answer(chat, "/resume nine")


async def test_resume_works_after_a_restart(tmp_path: Path) -> None:
    """Sessions, titles, settings and which one the chat is in are on the disk."""
    async with talking(tmp_path) as (chat, _):
        await answer(chat, "one")
        await answer(chat, "/title Kept")
        await answer(chat, "/model lab/other")
        await answer(chat, "/new")
    async with talking(tmp_path) as (chat, recorder):
        assert (await answer(chat, "/status")).splitlines()[-1] == "Messages: 0"
        await answer(chat, "/resume kept")
        assert "lab/other" in await answer(chat, "/model")
        await answer(chat, "two")
        assert [message["content"] for message in recorder.requests[-1].history] == ["one", "re one"]


async def test_sessions_can_be_searched(tmp_path: Path) -> None:
    """/sessions search finds the session by its words; a search for syntax is a search for words."""
    async with talking(tmp_path) as (chat, _):
        first = await chat.say("the pineapple costs four")
        await answer(chat, "/new")
        await answer(chat, "something else")
        assert first.session_id in await answer(chat, "/sessions search pineapple")
        assert "No session holds" in await answer(chat, '/sessions search text:" AND NEAR( *')
        assert "Usage" in await answer(chat, "/sessions search")


async def test_retry_replaces_the_last_exchange_and_undo_removes_it(tmp_path: Path) -> None:
    """/retry asks the same with the history before it; the history then holds it once. /undo N takes N away."""
    async with talking(tmp_path) as (chat, recorder):
        for text in ("one", "two", "three"):
            await answer(chat, text)
        assert await answer(chat, "/retry") == "re three"
        assert [message["content"] for message in recorder.requests[-1].history] == ["one", "re one", "two", "re two"]
        assert (await answer(chat, "/status")).splitlines()[-1] == "Messages: 6"
        assert "began with: three" in await answer(chat, "/undo")
        assert "began with: one" in await answer(chat, "/undo 2")
        assert "nothing to take back" in await answer(chat, "/undo")
        assert "nothing to ask again" in await answer(chat, "/retry")
        assert "no number" in await answer(chat, "/undo many")


async def test_retry_that_fails_leaves_the_old_answer(tmp_path: Path) -> None:
    """The old exchange gives way only to a turn that succeeded."""
    count = 0

    async def once(guest: Guest) -> None:
        nonlocal count
        count += 1
        request = await guest.hear()
        if count == 1:
            await guest.say(wire.TurnDone("re " + request.text))

    async with talking(tmp_path, once) as (chat, _):
        await answer(chat, "one")
        assert (await chat.say("/retry")).error == "guest_died"
        assert "began with: one" in await answer(chat, "/undo")


async def test_stop_ends_the_running_turn_and_only_that(tmp_path: Path) -> None:
    """It does not wait behind what it stops; another chat's turn goes on."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        other = Chat(chat.gateway)
        nursery.start_soon(chat.say, "wait")
        nursery.start_soon(other.say, "wait", "elsewhere")
        await wait_for(recorder, 2)
        assert "running" in await answer(Chat(chat.gateway), "/status")
        assert await answer(Chat(chat.gateway), "/stop") == "The running turn was stopped."
        with trio.fail_after(10):
            while not chat.delivered:
                await trio.testing.wait_all_tasks_blocked(0.005)
        assert other.delivered == []
        recorder.go.set()
    assert [outbound.text for outbound in other.delivered] == ["re wait"]


async def test_commands_that_change_the_history_wait_for_nobody(tmp_path: Path) -> None:
    """While a turn runs they are refused with what to do, rather than change what that turn is about to add to."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        nursery.start_soon(chat.say, "wait")
        await wait_for(recorder, 1)
        for text in ("/undo", "/retry", "/compress"):
            refused = await Chat(chat.gateway).say(text)
            assert (refused.error, "/stop" in refused.text) == ("busy", True)
        recorder.go.set()


async def test_new_stops_what_runs_and_its_answer_stays_in_the_old_session(tmp_path: Path) -> None:
    """A turn's answer is stored where it began, wherever the chat is by then."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        await answer(Chat(chat.gateway), "/title Old")
        nursery.start_soon(chat.say, "wait")
        await wait_for(recorder, 1)
        await answer(Chat(chat.gateway), "/new")
        with trio.fail_after(10):
            while not chat.delivered:
                await trio.testing.wait_all_tasks_blocked(0.005)
        assert (await answer(chat, "/status")).splitlines()[-1] == "Messages: 0"
        await answer(chat, "/resume old")
        assert "began with: wait" in await answer(chat, "/undo")


async def test_queue_is_the_next_turn(tmp_path: Path) -> None:
    """What is queued runs after what runs, with its answer in the history."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        nursery.start_soon(chat.say, "wait")
        await wait_for(recorder, 1)
        nursery.start_soon(chat.say, "/queue later")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert "1 waiting" in await answer(Chat(chat.gateway), "/status")
        recorder.go.set()
    assert [outbound.text for outbound in chat.delivered] == ["re wait", "re later"]
    assert recorder.requests[1].history[-1]["content"] == "re wait"


async def test_steer_reaches_the_running_turn_and_its_history(tmp_path: Path) -> None:
    """The guest takes it in, the sender is told, and the session's history has it where it was said."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        nursery.start_soon(chat.say, "wait")
        await wait_for(recorder, 1)
        assert await answer(Chat(chat.gateway), "/steer and blue") == "The running turn has it."
        recorder.go.set()
        while not chat.delivered:
            await trio.testing.wait_all_tasks_blocked(0.005)
        await answer(chat, "next")
        assert [message["content"] for message in recorder.requests[-1].history] == ["wait", "and blue", "re wait"]
        assert await answer(chat, "/steer alone") == "re alone"


async def test_steer_that_the_turn_ends_without_is_a_turn_of_its_own(tmp_path: Path) -> None:
    """Nothing that was said is lost."""
    go = trio.Event()
    begun = trio.Event()

    async def deaf(guest: Guest) -> None:
        request = await guest.hear()
        if request.text == "first":
            begun.set()
            await go.wait()
        await guest.say(wire.TurnDone("re " + request.text))

    async with talking(tmp_path, deaf) as (chat, _), trio.open_nursery() as nursery:
        other = Chat(chat.gateway)
        nursery.start_soon(chat.say, "first")
        await begun.wait()
        nursery.start_soon(other.say, "/steer second")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert other.delivered == []
        go.set()
    assert [outbound.text for outbound in other.delivered] == ["re second"]


async def test_guest_that_makes_up_what_it_was_told_fails_its_turn(tmp_path: Path) -> None:
    """A message of the user's in the history is one that the user sent."""

    async def liar(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.TurnDone("x", [{"role": "user", "content": "pay"}, {"role": "assistant", "content": "x"}]))

    async def acknowledger(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.SteerTaken())
        await guest.say(wire.TurnDone("x"))

    for script in (liar, acknowledger):
        async with talking(tmp_path, script) as (chat, _):
            assert (await chat.say("hello")).error == "protocol"


async def test_background_runs_beside_the_session(tmp_path: Path) -> None:
    """It neither waits for the session's turn nor sees or changes its history; so many at a time and no more."""
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        await answer(chat, "one")
        nursery.start_soon(chat.say, "wait")
        await wait_for(recorder, 2)
        other = Chat(chat.gateway)
        assert await answer(other, "/background two") == "re two"
        assert recorder.requests[-1].history == []
        for _ in range(BESIDE):
            nursery.start_soon(other.say, "/bg wait")
        await wait_for(recorder, 3 + BESIDE)
        assert (await other.say("/bg one too many")).error == "busy"
        assert f"{BESIDE + 1} running turns were stopped" in await answer(Chat(chat.gateway), "/stop all")
    async with talking(tmp_path) as (chat, recorder):
        await answer(chat, "three")
        texts = [message["content"] for message in recorder.requests[-1].history if message["role"] == "user"]
        assert texts == ["one", "wait"]


async def test_background_turns_that_come_at_once_are_counted_too(tmp_path: Path) -> None:
    """Many in one burst are as few as many one after the other."""
    refused: list[str | None] = []
    async with talking(tmp_path) as (chat, recorder), trio.open_nursery() as nursery:
        await answer(chat, "one")

        async def ask() -> None:
            refused.append((await chat.say("/bg wait")).error)

        for _ in range(20):
            nursery.start_soon(ask)
        await wait_for(recorder, 1 + BESIDE)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(recorder.requests) == 1 + BESIDE
        assert refused == ["busy"] * (20 - BESIDE)
        await answer(Chat(chat.gateway), "/stop all")


async def test_model_of_the_session_comes_before_the_agents(tmp_path: Path) -> None:
    """/model sets it for this session alone; a new session and another chat have the agent's; no key is ever shown."""
    async with talking(tmp_path, thinking) as (chat, _):
        assert "builtin/offline" in await answer(chat, "/model")
        said = await answer(chat, "/model lab/other")
        assert (await chat.say("hello")).error == "unreachable"
        said += await answer(chat, "/model") + await answer(chat, "/status")
        assert "lab/other" in said
        assert "secret-key" not in said
        assert "127.0.0.1" not in said
        assert (await chat.say("hello", "another chat")).error is None
        await answer(chat, "/new")
        assert "agent=main" in await answer(chat, "hello")
        await answer(chat, "/resume 2")
        await answer(chat, "/model default")
        assert "agent=main" in await answer(chat, "hello")
        assert "unknown" in await answer(chat, "/model nosuch/x")


async def test_model_that_is_gone_fails_with_the_way_back(tmp_path: Path) -> None:
    """A config that changed meanwhile does not silently choose another model."""
    async with talking(tmp_path) as (chat, _):
        await answer(chat, "/model lab/other")
    async with open_line(tmp_path / "home") as (gateway, _):
        refused = await Chat(gateway).say("hello")
        assert refused.error == "config"
        assert "/model default" in refused.text


async def test_personality_and_reasoning_are_the_sessions_own(tmp_path: Path) -> None:
    """The persona of the request is the chosen one; the model is told how hard to think where it can be."""
    async with talking(tmp_path) as (chat, recorder):
        assert "pirate, poet" in await answer(chat, "/personality")
        await answer(chat, "/personality Pirate")
        await answer(chat, "hello")
        assert recorder.requests[-1].persona == "You are a pirate."
        assert "no personality 'clown'" in await answer(chat, "/personality clown")
        await answer(chat, "/personality none")
        await answer(chat, "hello")
        assert recorder.requests[-1].persona == "You are a test."
        assert "can't be told" in await answer(chat, "/reasoning high")
        await answer(chat, "/model lab/other")
        assert "high" in await answer(chat, "/reasoning high")
        assert "Reasoning: high" in await answer(chat, "/reasoning")
        assert "no level 'huge'" in await answer(chat, "/reasoning huge")
        await answer(chat, "/reasoning default")
        assert "by itself" in await answer(chat, "/reasoning")


async def test_tools_of_a_session_only_become_fewer(tmp_path: Path) -> None:
    """/tools off takes a tool from this session's turns, beside it too; /tools on gives back no more than was granted."""
    policy = ToolPolicy((Layer("agent", deny=frozenset({"execute_code"})),))
    async with talking(tmp_path, agent={"policy": policy}) as (chat, recorder):
        await answer(chat, "/tools off terminal memory")
        await answer(chat, "hello")
        await answer(chat, "/bg hello")
        for request in recorder.requests:
            assert not {"terminal", "memory", "execute_code"} & set(request.tools)
            assert "todo" in request.tools
        listed = await answer(chat, "/tools")
        assert "- terminal: denied by the session" in listed
        assert "- execute_code: denied by the agent (a deny)" in listed
        assert "- todo: granted" in listed
        assert "send_message" not in listed  # this agent has nobody to write to
        assert "But execute_code" in await answer(chat, "/tools on terminal execute_code")
        await answer(chat, "hello")
        assert "terminal" in recorder.requests[-1].tools
        assert not {"memory", "execute_code"} & set(recorder.requests[-1].tools)
        assert "no tool 'termnal'" in await answer(chat, "/tools off termnal")


async def test_compress_sums_up_all_but_the_last_exchanges(tmp_path: Path) -> None:
    """The summary is a turn without tools; it takes the place of what it sums up, and the rest stays word for word."""
    async with talking(tmp_path, agent={"model": OTHER}) as (chat, recorder):
        for text in ("one", "two", "three"):
            await answer(chat, text)
        assert "2 messages were summed up" in await answer(chat, "/compress here 2")
        asked = recorder.requests[-1]
        assert (asked.tools, [message["content"] for message in asked.history]) == ([], ["one", "re one"])
        await answer(chat, "four")
        texts = [message["content"] for message in recorder.requests[-1].history]
        assert texts[2:] == ["two", "re two", "three", "re three"]
        assert "summary" in texts[0]
        assert texts[1].startswith("re Sum up")
        assert "nothing to shorten" in await answer(chat, "/compress here 9")


async def test_compress_with_the_offline_model_says_what_it_did(tmp_path: Path) -> None:
    """It can't sum up, so the oldest messages are dropped, and that is said."""
    async with talking(tmp_path) as (chat, recorder):
        for text in ("one", "two", "three"):
            await answer(chat, text)
        assert "2 oldest messages were dropped" in await answer(chat, "/compress")
        await answer(chat, "four")
        assert recorder.requests[-1].history[0]["content"] == "two"


async def test_compress_that_fails_leaves_the_history(tmp_path: Path) -> None:
    """Without a summary nothing is taken away."""
    async with talking(tmp_path, agent={"model": OTHER}) as (chat, _):
        for text in ("one", "two", "three"):
            await answer(chat, text)
    async with talking(tmp_path, thinking, agent={"model": OTHER}) as (chat, _):
        refused = await chat.say("/compress")
        assert refused.error == "unreachable"
        assert "stays as it was" in refused.text
        assert (await answer(chat, "/status")).splitlines()[-1] == "Messages: 6"


async def test_memory_and_skills_are_shown_and_lead_nowhere_else(tmp_path: Path) -> None:
    """What the agent has noted is shown; a symlink that it planted is not followed, nor is a FIFO waited for."""
    async with talking(tmp_path) as (chat, _):
        home = tmp_path / "home"
        (home / "secret").write_text("operator canary")
        (home / "memories").mkdir()
        (home / "memories" / "MEMORY.md").write_text("likes tea")
        (home / "memories" / "USER.md").symlink_to(home / "secret")
        said = await answer(chat, "/memory")
        assert "likes tea" in said
        assert "canary" not in said
        skills = home / "skills"
        (skills / "sums" / "adding").mkdir(parents=True)
        (skills / "sums" / "adding" / "SKILL.md").write_text("---\nname: adding\ndescription: Adds up.\n---\n")
        (skills / "leak").symlink_to(home, target_is_directory=True)
        assert "- adding: Adds up." in await answer(chat, "/skills")
        (home / "memories" / "MEMORY.md").unlink()
        (home / "memories").rename(home / "away")
        (home / "memories").symlink_to(home / "away", target_is_directory=True)
        assert "can't be shown" in await answer(chat, "/memory")


async def test_whoami_and_admins(tmp_path: Path) -> None:
    """The console's operator is an admin; others are by the agent's list. Only an admin may set the home chat."""
    async with talking(tmp_path, agent={"admins": frozenset({"telegram:7", "api_server:default"})}) as (chat, _):
        cases: list[tuple[dict[str, Any], bool]] = [
            ({}, True),
            ({"platform": "telegram", "user_id": "7"}, True),
            ({"platform": "telegram", "user_id": "8"}, False),
            ({"platform": "telegram"}, False),
            ({"platform": "discord", "user_id": "7"}, False),
            ({"platform": "api_server", "namespace": "default", "session_id": "s"}, True),
            ({"platform": "api_server", "namespace": "dev", "session_id": "s", "user_id": "default"}, False),
        ]
        for who, admin in cases:
            assert f"Admin: {'yes' if admin else 'no'}" in await answer(chat, "/whoami", **who)
            said = await answer(chat, "/sethome", **who)
            assert said.startswith("This chat is the home of agent main" if admin else "Only an admin of agent main")


async def test_admin_reaches_sessions_of_other_chats_and_nobody_else_does(tmp_path: Path) -> None:
    """/sessions all lists them and /resume copies one; the chat that it is of goes on undisturbed."""
    mine = {"platform": "telegram", "user_id": "8"}
    async with talking(tmp_path) as (chat, recorder):
        theirs = await chat.say("their pineapple", "theirs", **mine)
        assert "Only an admin" in await answer(chat, "/sessions all", chat="x", **mine)
        assert "no session" in await answer(chat, f"/resume {theirs.session_id}", chat="x", **mine)
        assert theirs.session_id in await answer(chat, "/sessions all")
        assert theirs.session_id in await answer(chat, "/sessions all search pineapple")
        assert theirs.session_id not in await answer(chat, "/sessions search pineapple")
        copied = await answer(chat, f"/resume {theirs.session_id}")
        assert "A copy of that session" in copied
        assert "(1 turn)" in copied
        await answer(chat, "mine")
        assert recorder.requests[-1].history[0]["content"] == "their pineapple"
        await answer(chat, "next", chat="theirs", **mine)
        assert [message["content"] for message in recorder.requests[-1].history] == ["their pineapple", "re their pineapple"]


async def test_rules_of_a_platform_bind_those_who_are_no_admins(tmp_path: Path) -> None:
    """Where a platform names admins, the others may use its list and a few that everybody may; plain messages go on."""
    rules = {
        ("telegram", "dm"): CommandRules(frozenset({"7"}), frozenset({"new"})),
        ("telegram", "group"): CommandRules(frozenset({"9"})),
    }
    async with talking(tmp_path, command_rules=rules) as (chat, _):
        other = {"platform": "telegram", "user_id": "8"}
        assert "New session" in await answer(chat, "/new", **other)
        assert "New session" in await answer(chat, "/reset", **other)
        assert "You may not use /model" in await answer(chat, "/model lab/other", **other)
        assert "You may not use /new" in await answer(chat, "/new", chat_type="group", **other)
        assert "/stop" not in await answer(chat, "/help", **other)
        assert "Admin: no" in await answer(chat, "/whoami", **other)
        assert await answer(chat, "hello", **other) == "re hello"
        assert "lab/other" in await answer(chat, "/model lab/other", platform="telegram", user_id="7")
        assert "You may not" in await answer(chat, "/model", platform="telegram", user_id="7", chat_type="group")
        assert "builtin" in await answer(chat, "/model", platform="discord", user_id="8")


STORED = [command.name for command in COMMANDS if command.stored]


@pytest.mark.parametrize("text", [*(f"/{name}" for name in STORED), "/model lab/other", "/tools off todo", "/personality poet"])
async def test_stateless_caller_is_told_what_a_command_needs(tmp_path: Path, text: str) -> None:
    """A request whose caller keeps the history has no session to change."""
    async with talking(tmp_path) as (chat, _):
        said = await answer(chat, text, platform="api_server", namespace="default", session_id="x", history=())
        assert "X-Hermes-Session-Id" in said


async def test_usage_counts_turns_that_failed_too(tmp_path: Path) -> None:
    """Tokens and calls of every turn of this session, and of no other."""

    async def failing(guest: Guest) -> None:
        request = await guest.hear()
        await guest.ask(1, "model", messages=[{"role": "user", "content": "a b c"}])
        if request.text != "die":
            await guest.say(wire.TurnDone("ok"))

    async with talking(tmp_path, failing) as (chat, _):
        await chat.say("x")
        await chat.say("die")
        assert "1 turn, 2 model calls" in await answer(chat, "/usage")
        await answer(chat, "/new")
        assert "0 turns, 0 model calls, 0 tokens" in await answer(chat, "/usage")


async def test_title_is_one_short_line(tmp_path: Path) -> None:
    """What can't be shown is left out of it, and length is bounded."""
    async with talking(tmp_path) as (chat, _):
        await answer(chat, "/title a\nb\x1b[31m" + "c" * 500)
        said = await answer(chat, "/title")
        assert "'a b [31mccc" in said
        assert len(said) < 200
        assert "needs a character" in await answer(chat, "/title \u202e")


def test_aliases_are_commands_of_their_own_name() -> None:
    """An alias leads to the very command."""
    assert BY_NAME["reset"] is BY_NAME["new"]
    assert BY_NAME["bg"] is BY_NAME["background"]
    assert replace(BY_NAME["q"]) == BY_NAME["queue"]


async def test_hooks_are_told_of_commands_and_of_new_sessions(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A command by its own name, whatever alias was typed; a session's end and the next one's beginning, with both ids."""
    events = frozenset({"command:*", "session:start", "session:end", "session:reset"})
    helper = Answers(None)
    hooks = Hooks([Hook("watch", events)], helper)
    nursery.start_soon(hooks.serve_notes)
    async with open_line(tmp_path / "home", hooks=hooks) as (gateway, _):
        chat = Chat(gateway)
        await chat.say("hello")
        await chat.say("/reset a title")
        await chat.say("hello again")
        await chat.say("/nonsense-that-is-no-command")
    await hooks.finish()
    told = [(event, context) for _, event, context in helper.asked]
    assert [event for event, _ in told] == ["session:start", "command:new", "session:end", "session:reset", "session:start"]
    assert {context["agent_id"] for _, context in told} == {"main"}
    assert (told[1][1]["command"], told[1][1]["args"]) == ("new", "a title")
    reset = told[3][1]
    assert (reset["old_session_id"], reset["new_session_id"]) == (told[0][1]["session_id"], told[4][1]["session_id"])
    assert reset["old_session_id"] != reset["new_session_id"]
