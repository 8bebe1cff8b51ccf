"""The documentation names everything that a person or a script can meet, and leads nowhere that does not exist."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from cyclopts import App
from pydantic import BaseModel

from bench.vs_hermes.pages import FIGURES, PAGE, with_tables
from hermes_iso.api.errors import TURN_STATUS
from hermes_iso.bench_turns.report import rows, sentence
from hermes_iso.cli.main import build_app
from hermes_iso.config.validation import SHAPES
from hermes_iso_sandbox import wire

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "sandbox").glob("*.md")])


def page(name: str) -> str:
    """Return the text of a reference page."""
    return (REFERENCE / name).read_text(encoding="utf-8")


def commands(app: App, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command that can be typed, with its words."""
    for name in app:
        if name.startswith("-"):
            continue
        below = app[name]
        if below.default_command is not None:
            yield (*words, name), below
        yield from commands(below, (*words, name))


COMMANDS = dict(commands(build_app()))


def section(words: tuple[str, ...]) -> str:
    """Return the part of cli.md below the heading that names a command."""
    for part in re.split(r"^## ", page("cli.md"), flags=re.MULTILINE)[1:]:
        if " ".join(words) in part.splitlines()[0].split(", "):
            return part
    raise AssertionError(f"docs/reference/cli.md has no heading for {' '.join(words)}")


def test_commands_are_those_of_this_version():
    """The command line is exactly what was promised: nothing more, nothing less."""
    assert sorted(map(" ".join, COMMANDS)) == [
        "adopt",
        "agent add",
        "agent list",
        "agent remove",
        "agent show",
        "bench turns",
        "chat",
        "config check",
        "doctor",
        "drain",
        "egress explain",
        "exec",
        "home chown",
        "import openclaw",
        "import routes",
        "init",
        "policy explain",
        "prove",
        "reload",
        "route explain",
        "run",
        "status",
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_and_its_flags_are_documented(words):
    """Every flag of a command stands in its section."""
    text = section(words)
    arguments = COMMANDS[words].assemble_argument_collection()
    flags = {name for argument in arguments for name in argument.names if name.startswith("-")}
    assert "--home" in flags
    assert [flag for flag in sorted(flags - {"--home"}) if flag not in text] == []


def test_wire_messages_and_fields_are_documented():
    """Every message that can cross, and each of its fields, stands in its row."""
    rows = {row.split("`")[1]: row for row in page("wire.md").splitlines() if row.startswith("| `")}
    for name, message in {**wire.HOST_MESSAGES, **wire.GUEST_MESSAGES}.items():
        assert f"`{message.__name__}`" in rows[name]
        assert [field.name for field in fields(message) if f"`{field.name}`" not in rows[name]] == []


def error_kinds() -> set[str]:
    """Return every literal kind that the gateway's code gives a ModelError or TurnError."""
    kinds = set()
    for file in (ROOT / "hermes_iso").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"ModelError", "TurnError"}
            )
            if named and node.args and isinstance(node.args[0], ast.Constant):
                kinds.add(node.args[0].value)
    return kinds


def test_error_kinds_are_documented():
    """Every kind of failure that the code can report is explained."""
    kinds = error_kinds()
    assert kinds
    assert sorted(kind for kind in kinds if f"| `{kind}` |" not in page("errors.md")) == []


def test_kinds_with_an_http_status_are_documented():
    """What the API can answer for a failed turn stands on the page of errors."""
    assert sorted(kind for kind in TURN_STATUS if f"| `{kind}` |" not in page("errors.md")) == []


def test_http_paths_are_documented():
    """Every path that the API's code names stands on its page."""
    paths = set()
    for file in (ROOT / "hermes_iso" / "api").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.match(r"/(?:v1|health|p)(?:/|$)", node.value)
            ):
                paths.add(node.value)
    assert "/v1/chat/completions" in paths
    assert sorted(path for path in paths if path not in page("http.md")) == []


def shapes() -> list[type[BaseModel]]:
    """Return every shape of a section of the config."""
    return list(dict.fromkeys(shape for _, shape in SHAPES))


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.__name__)
def test_config_keys_are_documented(shape):
    """Every key of a section of the config stands on its page."""
    text = page("config.md")
    keys = [field.alias or name for name, field in shape.model_fields.items()]
    assert [key for key in keys if not re.search(rf"[`.]{key}(\[\])?[`:.]", text)] == []


def test_exceptions_are_documented():
    """Every exception that a caller can meet stands on the page."""
    text = page("errors.md")
    for file in (ROOT / "hermes_iso" / "errors.py", ROOT / "sandbox" / "hermes_iso_sandbox" / "errors.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Error")]
        assert [name for name in names if f"`{name}`" not in text] == []


def test_readme_tells_the_figures_that_were_measured():
    """The table in README.md is the one that the measured figures beside its picture give."""
    figures = json.loads((ROOT / "docs" / "images" / "turns.json").read_text(encoding="utf-8"))
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- turns -->")[2].partition("<!-- /turns -->")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines() if line.startswith("| ")]
    assert cells[2:] == [list(row) for row in rows(figures)[1:]]
    assert sentence(figures["run"]) in shown


def test_comparison_page_tells_what_was_found():
    """The tables of the comparison with Hermes are those that the figures beside its picture give."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    assert "| --- |" in text
    assert with_tables(text, figures) == text


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file):
    """Every relative link of a page points to a file or folder that exists."""
    targets = LINK.findall(file.read_text(encoding="utf-8"))
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_decisions_are_short():
    """A decision is read in two minutes."""
    for file in (ROOT / "docs" / "decisions").glob("*.md"):
        assert file.read_text(encoding="utf-8").count("\n") <= 40, file.name
