"""The tools memory, todo and execute_code, and the system prompt that shows the memory."""

import fcntl
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from hermes_iso_sandbox.guest.engines.prompt import system_prompt
from hermes_iso_sandbox.guest.link import Interrupted
from hermes_iso_sandbox.guest.tools import memory
from hermes_iso_sandbox.guest.tools.tool import Bench
from tests.support.fake_link import FakeLink


@pytest.fixture
def notes(workspace):
    """Return the path of MEMORY.md."""
    return workspace.parent / "home" / "memories" / "MEMORY.md"


def test_memory_adds_replaces_and_removes(use, notes):
    """Entries are joined by the section sign; each action does what its name says."""
    assert use("memory", action="add", target="memory", content="likes tea")["success"] is True
    use("memory", action="add", target="memory", content="lives in Bern")
    assert notes.read_text() == "likes tea\n§\nlives in Bern"
    use("memory", action="replace", target="memory", old_text="tea", content="likes coffee")
    result = use("memory", action="remove", target="memory", old_text="Bern")
    assert notes.read_text() == "likes coffee"
    assert (result["entry_count"], result["usage"]) == (1, "0% — 12/2,200 chars")


def test_memory_user_store_is_another_file(use, notes):
    """Target user writes USER.md and leaves MEMORY.md alone."""
    use("memory", action="add", target="user", content="is Ada")
    assert (notes.parent / "USER.md").read_text() == "is Ada"
    assert not notes.exists()


def test_memory_refuses_what_does_not_fit_and_shows_the_entries(use, notes):
    """An entry over the limit is refused with all entries; one batch may make room and add."""
    use("memory", action="add", target="user", content="a" * 1_300)
    result = use("memory", action="add", target="user", content="b" * 100)
    assert result["success"] is False
    assert result["current_entries"] == ["a" * 1_300]
    assert result["usage"] == "1,300/1,375"
    batch = [{"action": "remove", "old_text": "aaa"}, {"action": "add", "content": "b" * 100}]
    assert use("memory", target="user", operations=batch)["success"] is True
    assert (notes.parent / "USER.md").read_text() == "b" * 100


def test_memory_batch_is_all_or_nothing(use, notes):
    """One operation that fails leaves the file as it was."""
    use("memory", action="add", target="memory", content="one")
    batch = [{"action": "add", "content": "two"}, {"action": "remove", "old_text": "missing"}]
    assert "No entry holds 'missing'" in use("memory", target="memory", operations=batch)["error"]
    assert notes.read_text() == "one"


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "add"},
        {"action": "add", "content": "  "},
        {"action": "add", "content": "a\n§\nb"},
        {"action": "replace", "content": "x"},
        {"action": "remove"},
        {"action": "remove", "old_text": "o"},
        {},
        {"operations": ["add"]},
    ],
)
def test_memory_explains_what_is_missing_or_unclear(use, notes, arguments):
    """A call that can't be meant is refused with the entries, and nothing changes."""
    notes.write_text("one\n§\ntwo")
    result = use("memory", target="memory", **arguments)
    assert result["success"] is False
    assert result["current_entries"] == ["one", "two"]
    assert notes.read_text() == "one\n§\ntwo"


def test_memory_that_is_over_its_limit_can_be_cleaned_up(use, notes):
    """Entries may be removed from a file that grew too large by other means."""
    notes.write_text("\n§\n".join(["a" * 2_000, "b" * 2_000, "c" * 2_000]))
    assert use("memory", action="remove", target="memory", old_text="bbb")["success"] is True
    assert use("memory", action="add", target="memory", content="d")["success"] is False


def _add(home, name):
    """Add one entry, as a turn of its own would."""
    with FakeLink() as link:
        tool = memory.TOOLS[0]
        return tool.run(Bench(link, home, home), {"action": "add", "target": "memory", "content": name})["success"]


@pytest.mark.slow
def test_memory_loses_nothing_when_turns_write_at_once(workspace, notes):
    """Additions of concurrent processes are all kept."""
    home = str(notes.parent.parent)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert all(pool.map(_add, [home] * 24, [f"entry {n}" for n in range(24)]))
    assert sorted(memory.read_entries(home, "memory")) == sorted(f"entry {n}" for n in range(24))


def test_memory_waits_for_its_lock_but_obeys_an_interrupt(use, link, notes):
    """A lock that is never let go does not hold a turn that is to end."""
    with open(f"{notes}.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        link.interrupt()
        with pytest.raises(Interrupted):
            use("memory", action="add", target="memory", content="x")


def test_memory_file_that_is_a_fifo_holds_nothing(use, notes):
    """A FIFO in the file's place is no memory, and nothing waits for it."""
    os.mkfifo(notes)
    assert memory.read_entries(str(notes.parent.parent), "memory") == []
    assert "error" in use("memory", action="add", target="memory", content="x")


def test_prompt_shows_memory_with_its_usage(workspace, notes):
    """Both stores are shown under a title with how full they are; empty ones are left out."""
    home = str(notes.parent.parent)
    empty = system_prompt("P", "", cwd="/w", hermes_home=home)
    assert empty == "P\n\nYour working directory is /w."
    notes.write_text("x" * 1_100)
    (notes.parent / "USER.md").write_text("is Ada\n§\nis Ada\n§\nlikes tea")
    prompt = system_prompt("P", "I", cwd="/w", hermes_home=home)
    assert "[50% — 1,100/2,200 chars]" in prompt
    assert "is Ada\n§\nlikes tea" in prompt
    assert prompt.startswith("P\n\n")
    assert prompt.endswith("I")


def test_prompt_is_bounded_when_a_memory_file_is_huge(workspace, notes):
    """A file that an agent filled by other means does not crowd out the conversation."""
    notes.write_text("y" * 5_000_000)
    assert len(system_prompt("P", "", cwd="/w", hermes_home=str(notes.parent.parent))) < 10_000


def test_todo_replaces_merges_and_counts(use):
    """The list is replaced, or changed by id; every call returns all of it."""
    use("todo", todos=[{"id": "1", "content": "a", "status": "pending"}, {"id": "2", "content": "b", "status": "pending"}])
    result = use("todo", todos=[{"id": "1", "status": "completed"}, {"id": 3, "content": "c"}], merge=True)
    assert [(item["id"], item["content"], item["status"]) for item in result["todos"]] == [
        ("1", "a", "completed"),
        ("2", "b", "pending"),
        ("3", "c", "pending"),
    ]
    assert result["summary"] == {"total": 3, "pending": 2, "in_progress": 0, "completed": 1, "cancelled": 0}
    assert use("todo") == result
    assert use("todo", todos=[])["todos"] == []


@pytest.mark.parametrize("todos", [["x"], [{"content": "no id"}], [{"id": "1", "status": "soon"}], "[", 5])
def test_todo_explains_what_is_no_item(use, todos):
    """What is no list of items is an error in words."""
    assert "todo" in use("todo", todos=todos)["error"]


def test_execute_code_runs_a_fresh_python(use, workspace):
    """A script prints, imports from the working directory, and leaves nothing behind."""
    (workspace / "helper.py").write_text("VALUE = 42\n")
    result = use("execute_code", code="import helper, os\nprint(helper.VALUE, os.getcwd())")
    assert (result["status"], result["output"]) == ("success", f"42 {workspace}\n")
    assert result["tool_calls_made"] == 0
    assert sorted(os.listdir(workspace)) == ["helper.py"]


def test_execute_code_shows_the_traceback(use):
    """A script that fails says why."""
    result = use("execute_code", code="raise RuntimeError('why')")
    assert result["status"] == "error"
    assert "RuntimeError: why" in result["output"]
    assert "error" in use("execute_code", code=" ")
