"""The tools skills_list and skill_view: what the directory of skills holds, and nothing beside it."""

import json
import os

import pytest

from hermes_iso_sandbox.guest.tools.registry import Registry
from hermes_iso_sandbox.guest.tools.tool import Bench
from tests.support.fake_link import FakeLink


@pytest.fixture
def run(tmp_path):
    """Give a function that calls one of the tools in a home with three skills."""
    for path, text in {
        "lone/SKILL.md": "---\nname: lone-skill\ndescription: 'Does one thing.'\n---\nStep one.\n",
        "sums/adding/SKILL.md": "No front matter here.\ndescription: not this\n",
        "sums/adding/references/api.md": "The API.",
        "sums/same/SKILL.md": "---\nname: lone-skill\n---\n",
        "empty/notes.txt": "no skill",
        ".hidden/SKILL.md": "hidden",
    }.items():
        file = tmp_path / "skills" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "secret").write_text("canary")
    with FakeLink() as link:
        registry = Registry(["skills_list", "skill_view"], Bench(link, str(tmp_path), str(tmp_path)))
        yield lambda tool, **given: json.loads(registry.run(tool, json.dumps(given)).text)


def test_list_names_skills_and_categories(run):
    """Directories with a SKILL.md, one level of categories; the name is the front matter's or the directory's."""
    listed = run("skills_list")
    assert [(skill["path"], skill["name"], skill["category"]) for skill in listed["skills"]] == [
        ("lone", "lone-skill", None),
        ("sums/adding", "adding", "sums"),
        ("sums/same", "lone-skill", "sums"),
    ]
    assert listed["skills"][0]["description"] == "Does one thing."
    assert listed["skills"][1]["description"] == ""
    assert (listed["categories"], run("skills_list", category="sums")["count"]) == (["sums"], 2)


def test_view_shows_a_skill_and_its_files(run):
    """By name or path; other files are named and can be read."""
    viewed = run("skill_view", name="adding")
    assert viewed["content"].startswith("No front matter")
    assert viewed["files"] == ["references/api.md"]
    assert run("skill_view", name="sums/adding", file_path="references/api.md")["content"] == "The API."


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": "nothing"}, "no skill 'nothing'"),
        ({"name": "../secret"}, "no skill"),
        ({"name": "lone-skill"}, "lone, sums/same"),
        ({"name": "adding", "file_path": "../../../secret"}, "no file of this skill"),
        ({"name": "adding", "file_path": "/etc/passwd"}, "no file of this skill"),
        ({"name": "adding", "file_path": "absent.md"}, "can't be read"),
        ({"name": "adding", "file_path": "references"}, "can't be read"),
    ],
)
def test_view_refuses_what_is_no_file_of_a_skill(run, given, why):
    """A name is no path, and a path stays in its skill."""
    answer = run("skill_view", **given)
    assert why in answer["error"]
    assert "canary" not in json.dumps(answer)


def test_planted_links_and_pipes_lead_nowhere(run, tmp_path):
    """A symlink out of the skill is refused, a FIFO is not waited for, and both leave the list as it is."""
    skill = tmp_path / "skills" / "sums" / "adding"
    (skill / "out.md").symlink_to(tmp_path / "secret")
    os.mkfifo(skill / "pipe")
    (tmp_path / "skills" / "trap").mkdir()
    os.mkfifo(tmp_path / "skills" / "trap" / "SKILL.md")
    assert "no file of this skill" in run("skill_view", name="adding", file_path="out.md")["error"]
    assert "no regular file" in run("skill_view", name="adding", file_path="pipe")["error"]
    assert run("skills_list")["count"] == 3


def test_no_skills_is_an_empty_list(tmp_path):
    """A home without a directory of skills has none."""
    with FakeLink() as link:
        registry = Registry(["skills_list"], Bench(link, str(tmp_path), str(tmp_path)))
        assert json.loads(registry.run("skills_list", "{}").text)["skills"] == []
