"""The house keeps its budgets: sizes, imports, docstrings, and nothing of one machine in the files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "hermes_iso": ROOT / "hermes_iso",
    "hermes_iso_sandbox": ROOT / "sandbox" / "hermes_iso_sandbox",
    "hermes_iso_adapters": ROOT / "adapters" / "hermes_iso_adapters",
}
FILE_LIMIT, GUEST_FILE_LIMIT, FUNCTION_LIMIT, P90_FUNCTION = 400, 250, 60, 28
FAN_OUT = {  # those that only wire
    "hermes_iso.gateway": 21,
    "hermes_iso.broker.messages": 9,
    "hermes_iso.config.making": 9,
    "hermes_iso.cron.clock": 12,
    "hermes_iso.hermes.view": 9,
    "hermes_iso_sandbox.guest.engines.hermes.engine": 12,
    "hermes_iso.commands.desk": 10,
    "hermes_iso.commands.line": 10,
    "hermes_iso.config.build": 17,
    "hermes_iso.config.load": 9,
    "hermes_iso.config.egress": 9,
    "hermes_iso.services": 19,
    "hermes_iso.work": 10,
    "hermes_iso.doors": 14,
    "hermes_iso.config.resolve": 10,
    "hermes_iso.turn_door": 11,
    "hermes_iso.cli.groups": 20,
    "hermes_iso_sandbox.guest.tools.registry": 14,
}
FAN_OUT_LIMIT = 8
SKIPPED = {".git", "__pycache__", "node_modules", "dist"}


def sources() -> dict[str, Path]:
    """Return every module of the three packages: dotted name to file."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = file
    return found


SOURCES = sources()
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in SOURCES.items()}


def text_files() -> Iterator[Path]:
    """Yield the files that belong to the project, without what tools leave behind."""
    for folder in (ROOT, *(f for f in ROOT.rglob("*") if f.is_dir())):
        parts = folder.relative_to(ROOT).parts
        if any(part in SKIPPED or (part.startswith(".") and part != ".ci") for part in parts):
            continue
        for file in folder.iterdir():
            if file.is_file() and file.suffix in {".py", ".md", ".toml", ".sh", ".lock", ".yaml", "", ".txt"}:
                yield file


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def house_imports(name: str) -> set[str]:
    """Return the modules of the house that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in SOURCES else node.module)
    return {each for each in found if each in SOURCES} - {name, "hermes_iso"}


@pytest.mark.parametrize("name", SOURCES)
def test_module_is_small_and_says_what_it_is_for(name):
    """Every module starts with a one-line purpose and stays within its budget of lines."""
    file = SOURCES[name]
    text = file.read_text(encoding="utf-8")
    limit = GUEST_FILE_LIMIT if ".guest" in name else FILE_LIMIT
    assert text.count("\n") <= limit, f"{file.relative_to(ROOT)} has {text.count(chr(10))} lines, and {limit} are the limit"
    if text.strip():
        assert (ast.get_docstring(TREES[name]) or "").strip(), f"{file.relative_to(ROOT)} has no docstring"


def test_functions_are_short():
    """No function body is longer than the limit, and nine in ten are much shorter."""
    lengths = [(body_lines(f), f"{name}.{f.name}") for name, tree in TREES.items() for f in functions(tree)]
    assert [entry for entry in lengths if entry[0] > FUNCTION_LIMIT] == []
    ordered = sorted(length for length, _ in lengths)
    assert ordered[len(ordered) * 9 // 10] <= P90_FUNCTION


def test_public_names_have_a_docstring():
    """Every public class and function at module level or in a public class says what it is for."""
    missing = []
    for name, tree in TREES.items():
        scopes = [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_"))]
        for node in (child for scope in scopes for child in scope.body):
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{name}: {node.name}")
    assert missing == []


def test_modules_import_few_modules_of_the_house():
    """A module knows at most eight others; those that only wire may know more."""
    counts = {name: len(house_imports(name)) for name in SOURCES}
    assert {name: n for name, n in counts.items() if n > FAN_OUT.get(name, FAN_OUT_LIMIT)} == {}


def test_imports_have_no_cycle():
    """Following imports never leads back."""
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import cycle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for each in sorted(house_imports(name)):
                follow(each, (*path, name))
            done.add(name)

    for name in SOURCES:
        follow(name, ())


def test_modules_keep_no_global_state():
    """No `global` statement and no ContextVar: identity is a parameter."""
    assert [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global) or (isinstance(node, ast.Name) and node.id == "ContextVar")
    ] == []


FORBIDDEN = {
    "a path of one machine": re.compile(rf"{re.escape(str(ROOT))}(?![\w-])|/root/\.|/home/(?!agent\b)\w+/\."),
    "a package index": re.compile(r"--(?:extra-)?index-url|--find-links|//[\w.-]*(?:pypi|pythonhosted)\.[a-z]+|file:///"),
    "an open end": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    """Nothing in the project's files belongs to one machine or was left for later."""
    found = []
    for file in text_files():
        if file == Path(__file__):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if FORBIDDEN[what].search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_lock_pins_everything_with_hashes():
    """Each requirement in the lock has one exact version and at least one hash."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8").strip())
    assert len(entries) > 20
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


UNIT = ROOT / "tests" / "unit"


def test_tests_state_their_promise():
    """Every unit test has a docstring: what is promised, in one sentence."""
    assert [
        f"{file.relative_to(ROOT)}: {function.name}"
        for file in sorted(UNIT.rglob("test_*.py"))
        for function in functions(ast.parse(file.read_text(encoding="utf-8")))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ] == []
