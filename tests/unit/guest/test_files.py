"""The tools read_file, write_file, patch and search_files."""

import os
import re
import stat
import time

import pytest

from hermes_iso_sandbox.guest.link import Interrupted
from hermes_iso_sandbox.guest.tools.tool import Bench
from hermes_iso_sandbox.guest.tools.watch import TimeIsOver, watched


def test_read_file_numbers_lines(use, workspace):
    """Lines come as NUMBER|TEXT, with the totals."""
    (workspace / "a.txt").write_text("one\ntwo\r\nthree")
    result = use("read_file", path="a.txt")
    assert result["content"] == "1|one\n2|two\n3|three"
    assert (result["total_lines"], result["file_size"], result["truncated"]) == (3, 14, False)


def test_read_file_pages(use, workspace):
    """A part says where to go on."""
    (workspace / "a.txt").write_text("".join(f"{n}\n" for n in range(1, 11)))
    result = use("read_file", path="a.txt", offset=4, limit=3)
    assert result["content"] == "4|4\n5|5\n6|6"
    assert (result["truncated"], result["next_offset"]) == (True, 7)
    assert "no line 99" in use("read_file", path="a.txt", offset=99)["hint"]


def test_read_file_bounds_what_it_shows(use, workspace):
    """Long lines are cut and a long part ends early, at a line's end."""
    (workspace / "wide").write_text(("x" * 5_000 + "\n") * 200)
    result = use("read_file", path="wide")
    assert "[line cut]" in result["content"]
    assert len(result["content"]) <= 100_000
    assert result["total_lines"] == 200
    assert result["next_offset"] == result["content"].count("\n") + 2


def test_read_file_survives_one_endless_line(use, workspace):
    """A line of many megabytes is one line, cut."""
    (workspace / "line").write_text("y" * 20_000_000)
    result = use("read_file", path="line")
    assert (result["total_lines"], len(result["content"]) < 2_100) == (1, True)


def test_read_file_of_an_empty_file_is_empty(use, workspace):
    """Nothing is no error."""
    (workspace / "e").touch()
    assert use("read_file", path="e")["content"] == ""


def test_read_file_names_similar_files_when_missing(use, workspace):
    """A misspelled name is answered with what is near."""
    (workspace / "Notes.md").touch()
    result = use("read_file", path="nots.md")
    assert "File not found" in result["error"]
    assert result["similar_files"] == [str(workspace / "Notes.md")]


def test_file_tools_never_wait_for_a_fifo_or_read_a_device(use, workspace):
    """What is no regular file is refused at once, by every tool."""
    os.mkfifo(workspace / "pipe")
    started = time.monotonic()
    for path in ("pipe", "/dev/zero", "."):
        assert "error" in use("read_file", path=path)
        assert "error" in use("write_file", path=path, content="x")
        assert "error" in use("patch", mode="replace", path=path, old_string="a", new_string="b")
    assert use("search_files", pattern="x")["total_count"] == 0
    assert time.monotonic() - started < 5
    assert stat.S_ISFIFO((workspace / "pipe").stat().st_mode)


@pytest.mark.parametrize(("name", "image"), [("a.png", True), ("a.bin", False)])
def test_read_file_refuses_binary_files(use, workspace, name, image):
    """Binary files and images are named as such."""
    (workspace / name).write_bytes(b"\x89PNG\0\0")
    result = use("read_file", path=name)
    assert (result["is_binary"], result["is_image"]) == (True, image)


def test_write_file_makes_directories_and_keeps_the_mode(use, workspace):
    """Directories are made as needed; an existing file keeps its mode and a symlink its target."""
    assert use("write_file", path="a/b/c.txt", content="é") == {"bytes_written": 2, "dirs_created": True}
    script = workspace / "run.sh"
    script.write_text("old")
    script.chmod(0o755)
    (workspace / "link").symlink_to("run.sh")
    assert use("write_file", path="link", content="new") == {"bytes_written": 3, "dirs_created": False}
    assert (workspace / "link").is_symlink()
    assert (script.read_text(), stat.S_IMODE(script.stat().st_mode)) == ("new", 0o755)
    assert sorted(os.listdir(workspace)) == ["a", "link", "run.sh"]


def test_write_file_says_when_it_may_not(use):
    """An error of the system is told in its words."""
    assert "error" in use("write_file", path="/proc/none", content="x")


def test_patch_replaces_a_unique_text(use, workspace):
    """The file is changed and the difference returned."""
    (workspace / "a.py").write_text("x = 1\ny = 2\n")
    result = use("patch", mode="replace", path="a.py", old_string="x = 1", new_string="x = 3")
    assert (workspace / "a.py").read_text() == "x = 3\ny = 2\n"
    assert result["success"] is True
    assert result["files_modified"] == [str(workspace / "a.py")]
    assert "-x = 1\n+x = 3\n" in result["diff"]


def test_patch_refuses_an_unclear_place(use, workspace):
    """A text that is there twice, or not at all, changes nothing, and the error says which."""
    (workspace / "a").write_text("same\nsame\nvalue = compute()\n")
    assert "2 times" in use("patch", mode="replace", path="a", old_string="same", new_string="x")["error"]
    missing = use("patch", mode="replace", path="a", old_string="value = compute(1)", new_string="x")
    assert missing["success"] is False
    assert "not there" in missing["error"]
    assert use("patch", mode="replace", path="a", old_string="same", new_string="x", replace_all=True)["success"] is True
    assert (workspace / "a").read_text() == "x\nx\nvalue = compute()\n"


def test_patch_forgives_white_space_and_keeps_the_indentation(use, workspace):
    """Lines that differ in indentation only are found, and the new lines are indented as the file is."""
    (workspace / "a.py").write_text("class A:\n    def f(self):\n        return 1   \n")
    old, new = "def f(self):\n    return 1", "def f(self):\n    if True:\n        return 2"
    assert use("patch", mode="replace", path="a.py", old_string=old, new_string=new)["success"] is True
    assert (workspace / "a.py").read_text() == "class A:\n    def f(self):\n        if True:\n            return 2\n"


def test_patch_in_v4a_form_changes_several_files(use, workspace):
    """Updates, additions, removals and moves happen together."""
    (workspace / "a").write_text("one\ntwo\nthree\n")
    (workspace / "b").write_text("bye\n")
    (workspace / "c").write_text("kept\n")
    text = (
        "*** Begin Patch\n*** Update File: a\n@@ one @@\n one\n-two\n+2\n three\n*** Add File: d/new\n+hello\n+world\n"
        "*** Delete File: b\n*** Move File: c -> e\n*** End Patch"
    )
    result = use("patch", mode="patch", patch=text)
    assert result["success"] is True
    assert (workspace / "a").read_text() == "one\n2\nthree\n"
    assert (workspace / "d/new").read_text() == "hello\nworld\n"
    assert (workspace / "e").read_text() == "kept\n"
    assert not (workspace / "b").exists()
    assert not (workspace / "c").exists()


def test_patch_in_v4a_form_is_all_or_nothing(use, workspace):
    """When one part does not apply, nothing is changed."""
    (workspace / "a").write_text("one\n")
    text = "*** Begin Patch\n*** Add File: new\n+x\n*** Update File: a\n-missing\n+x\n*** End Patch"
    assert "hunk 1 of a" in use("patch", mode="patch", patch=text)["error"]
    assert os.listdir(workspace) == ["a"]


def test_patch_hint_tells_equal_places_apart(use, workspace):
    """A hunk that fits twice is applied after its hint."""
    (workspace / "a").write_text("def f():\n    pass\ndef g():\n    pass\n")
    text = "*** Begin Patch\n*** Update File: a\n@@ def g(): @@\n-    pass\n+    return 1\n*** End Patch"
    assert use("patch", mode="patch", patch=text)["success"] is True
    assert (workspace / "a").read_text() == "def f():\n    pass\ndef g():\n    return 1\n"


def test_patch_in_v4a_form_works_on_whole_lines(use, workspace):
    """A line that only holds the wanted text is not taken for it; removed lines leave no blank ones."""
    (workspace / "a").write_text("max = 10\nx = 1\nkeep\n")
    text = "*** Update File: a\n-x = 1\n\n*** Add File: b\n+one\n\n+two\n\n*** Add File: c\n+three"
    assert use("patch", mode="patch", patch=text)["success"] is True
    assert (workspace / "a").read_text() == "max = 10\nkeep\n"
    assert (workspace / "b").read_text() == "one\n\ntwo\n"
    assert (workspace / "c").read_text() == "three\n"


def test_patch_in_v4a_form_may_only_add(use, workspace):
    """A hunk of new lines goes after its hint, or to the end."""
    (workspace / "a").write_text("one\ntwo\n")
    assert use("patch", mode="patch", patch="*** Update File: a\n@@ one\n+1.5\n@@\n+end")["success"] is True
    assert (workspace / "a").read_text() == "one\n1.5\ntwo\nend\n"


def test_patch_keeps_carriage_returns(use, workspace):
    """A file with carriage returns keeps them, also in the lines that are new."""
    (workspace / "a").write_bytes(b"one\r\ntwo\r\n")
    assert use("patch", mode="replace", path="a", old_string="one\ntwo", new_string="1\n2")["success"] is True
    assert use("patch", mode="patch", patch="*** Update File: a\n 1\n-2\n+3\n+4")["success"] is True
    assert (workspace / "a").read_bytes() == b"1\r\n3\r\n4\r\n"


def test_write_file_writes_in_place_where_the_directory_is_closed(use, workspace):
    """A file that may be written in a directory that may not is written, by whoever is bound by that."""
    if os.geteuid() == 0:
        pytest.skip("root may write in every directory")
    closed = workspace / "closed"
    closed.mkdir()
    (closed / "a").write_text("long old text")
    closed.chmod(0o555)
    assert use("write_file", path="closed/a", content="new")["bytes_written"] == 3
    assert (closed / "a").read_text() == "new"
    assert "error" in use("write_file", path="closed/b", content="new")


@pytest.mark.parametrize("text", ["", "hello", "*** Begin Patch\n*** End Patch", "*** Update File: a\n", "*** Move File: a\n"])
def test_patch_that_is_none_is_refused(use, text):
    """What is no patch is an error in words."""
    assert use("patch", mode="patch", patch=text)["success"] is False


def test_search_files_finds_lines(use, workspace):
    """Few matches come as a list, many grouped by file; hidden and binary files are passed over."""
    (workspace / "a.py").write_text("import os\nprint(1)\n")
    (workspace / ".hidden").write_text("import os\n")
    (workspace / "b.bin").write_bytes(b"import os\0")
    assert use("search_files", pattern=r"^import \w+") == {
        "total_count": 1,
        "matches": [{"path": "a.py", "line": 1, "content": "import os"}],
    }
    (workspace / "many").write_text("import x\n" * 60)
    result = use("search_files", pattern="import")
    assert (result["total_count"], result["truncated"]) == (61, True)
    assert result["matches_text"].startswith("a.py\n  1: import os\nmany\n  1: import x")


def test_search_files_modes_context_and_globs(use, workspace):
    """Files, counts, lines around and name patterns work as asked."""
    (workspace / "a.py").write_text("1\nhit\n3\nhit\n")
    (workspace / "b.md").write_text("hit\n")
    assert use("search_files", pattern="hit", output_mode="files_only")["files"] == ["a.py", "b.md"]
    assert use("search_files", pattern="hit", output_mode="count")["counts"] == {"a.py": 2, "b.md": 1}
    near = use("search_files", pattern="^3", context=1, file_glob="*.py")["matches"]
    assert [match["line"] for match in near] == [2, 3, 4]
    assert use("search_files", pattern="hit", path="b.md")["matches"][0]["path"] == "b.md"


def test_search_files_by_name_shows_the_newest_first(use, workspace):
    """Names are matched at any depth, newest first."""
    for age, name in enumerate(["old.py", "sub/new.py", "other.md"]):
        path = workspace / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1000 + age, 1000 + age))
    assert use("search_files", pattern="*.py", target="files")["files"] == ["sub/new.py", "old.py"]
    assert use("search_files", pattern="sub/*", target="files")["files"] == ["sub/new.py"]
    paged = use("search_files", pattern="*", target="files", limit=2)
    assert (paged["total_count"], paged["truncated"], len(paged["files"])) == (3, True, 2)


@pytest.mark.parametrize(
    ("arguments", "error"), [({"pattern": "("}, "no regular"), ({"pattern": "a", "path": "no"}, "not found")]
)
def test_search_files_explains_bad_input(use, arguments, error):
    """A broken pattern and a missing path are errors in words."""
    assert error in use("search_files", **arguments)["error"]


def test_search_files_stops_for_an_interrupt_within_a_regular_expression(use, link, workspace):
    """Even an expression that would take for ever ends when the host wants it."""
    (workspace / "a").write_text("a" * 60 + "!\n")
    link.interrupt()
    with pytest.raises(Interrupted):
        use("search_files", pattern="(a+)+$")


def test_watched_work_ends_when_its_time_is_over(bench: Bench):
    """Work that would take for ever, even inside a regular expression, is ended by the clock."""
    with pytest.raises(TimeIsOver), watched(bench, 0.05):
        re.search("(a+)+$", "a" * 60 + "!")


def test_file_names_that_are_no_text_are_shown_anyway(use, workspace):
    """A name of arbitrary bytes neither breaks a search nor the result."""
    (workspace / os.fsdecode(b"bad\xff.txt")).write_text("hit\n")
    assert use("search_files", pattern="*.txt", target="files")["files"] == ["bad?.txt"]
    assert use("search_files", pattern="hit")["matches"][0]["path"] == "bad?.txt"
