"""`import openclaw` and `import routes`: other formats, as keys to put into config.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

from hermes_iso.cli.options import HomeOption, find_home, say
from hermes_iso.config.importers.imported import Imported
from hermes_iso.config.importers.openclaw import import_openclaw
from hermes_iso.config.importers.route_files import import_routes
from hermes_iso.errors import UsageError


def add_commands(app: App) -> None:
    """Add the group `import`."""
    group = App(name="import", help="Convert what other systems say into this config's keys.")
    group.command(openclaw)
    group.command(routes)
    app.command(group)


def openclaw(path: str, /, *, home: HomeOption = None) -> int:
    """Print agents and bindings of an openclaw.json as YAML for config.yaml, and what was not carried over."""
    return _print_imported(import_openclaw(_existing(path)), home)


def routes(file: str, /, *, home: HomeOption = None) -> int:
    """Print the routes of a YAML or JSON file, in whichever format they are, as YAML for config.yaml."""
    return _print_imported(import_routes(_existing(file)), home)


def _existing(path: str) -> Path:
    """Return a path that is there. Raises UsageError."""
    found = Path(path).expanduser()
    if not found.exists():
        raise UsageError(f"{path} does not exist: name the file to import.")
    return found


def _print_imported(imported: Imported, home: str | None) -> int:
    """Print the YAML, with what is missing as comments; where stdout goes into a file, say it on stderr as well."""
    print(f"# for {find_home(home) / 'config.yaml'}; look it over, put it there, then type: hermes-iso config check")
    print(imported.as_yaml(), end="")
    if not sys.stdout.isatty():
        for sentence in imported.left:
            say(f"not carried over: {sentence}")
    return 0
