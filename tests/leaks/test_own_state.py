"""What must work for an agent itself while others run: its own environment, home, files and secrets, in every turn."""

import json
from pathlib import Path

from tests.support.arena import open_arena

LOOK = "RUN echo $SHARED_NAME; pwd; echo $HOME $HERMES_HOME $HERMES_ISO_AGENT; cat mark 2>/dev/null; umask"


def output(answer: str) -> list[str]:
    """Return the output lines of a `RUN` turn."""
    text = answer[answer.index("RESULT:") + len("RESULT:") :].strip()
    lines = json.loads(text)["output"].splitlines()
    assert isinstance(lines, list)
    return lines


async def wrong_answers(home: Path, *, isolated: bool) -> int:
    """Return how many of 8 concurrent turns of each agent saw another agent's values in their terminal."""
    wrong = 0
    async with open_arena(home, isolated=isolated) as arena:
        for agent in ("a", "b"):
            await arena.ask(agent, f"RUN echo mark-of-{agent} > mark")
        answers = await arena.ask_together([("a", LOOK), ("b", LOOK)] * 8)
        for agent, answer in zip("ab" * 8, answers, strict=True):
            value, _, names, *mark = output(answer)
            right = value == f"value-of-{agent}" and f"mark-of-{agent}" in mark and names.split()[-1] == agent
            wrong += not right
    return wrong


async def test_terminal_of_each_agent_sees_its_own_values_under_concurrency(tmp_path: Path) -> None:
    """Environment, .env, directory and names are the agent's own in all 16 turns; without isolation some are not."""
    rounds = [await wrong_answers(tmp_path / f"unsound-{number}", isolated=False) for number in range(3)]
    assert sum(rounds) > 0, "the probe can't see this leak at all"
    assert await wrong_answers(tmp_path / "isolated", isolated=True) == 0


async def test_workspace_survives_the_turn_and_tmp_does_not(tmp_path: Path) -> None:
    """Files in the workspace are there in the next turn; /tmp is new."""
    async with open_arena(tmp_path / "home", isolated=True) as arena:
        await arena.ask("a", "RUN echo kept > kept; echo gone > /tmp/gone")
        assert output(await arena.ask("a", "RUN cat kept; cat /tmp/gone 2>/dev/null")) == ["kept"]
    assert (tmp_path / "home/profiles/a/workspace/kept").read_text() == "kept\n"
