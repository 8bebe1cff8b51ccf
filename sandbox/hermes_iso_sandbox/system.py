"""Find what of this host a sandbox needs: the system's directories, the interpreter, and the guest's code as one archive."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from hermes_iso_sandbox.bwrap import ETC_FROM_HOST, PACKAGES_TARGET, PYTHON_TARGET, System
from hermes_iso_sandbox.errors import UnsupportedSandboxError

TOP_LEVEL = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ASK = """
import os, sys, sysconfig
print(sys.base_prefix)
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
print(sysconfig.get_config_var("Py_ENABLE_SHARED") or 0)
print(sys.prefix)
print(sysconfig.get_path("purelib"))
"""


@cache
def find_system(python: str | None, *, packages: bool = False) -> System:
    """Return what a sandbox with this interpreter shows of the host; None is the interpreter that runs now.

    packages: whether the virtual environment that it belongs to is shown too.

    Raises UnsupportedSandboxError when the interpreter can't be run or does not lie below its own prefix.
    """
    names = [name for name in TOP_LEVEL if os.path.lexists(f"/{name}")]
    answer = _ask(python or sys.executable)
    inside, source, alias = _interpreter(answer)
    place, environment = _packages(answer) if packages else ("", "")
    return System(
        links=tuple((name, os.readlink(f"/{name}")) for name in names if os.path.islink(f"/{name}")),
        directories=tuple(name for name in names if not os.path.islink(f"/{name}")),
        etc=tuple(name for name in ETC_FROM_HOST if os.path.exists(f"/etc/{name}")),
        python=inside,
        python_source=source,
        python_alias=alias,
        packages=place,
        packages_source=environment,
    )


def _ask(python: str) -> list[str]:
    """Return what an interpreter says of itself: base prefix, real executable, whether it is shared, prefix, its packages."""
    try:
        answer = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=20, check=True, env={})
    except (OSError, subprocess.SubprocessError) as error:
        raise UnsupportedSandboxError(f"The interpreter {python} can't be run: {error}") from error
    return answer.stdout.splitlines()


def _packages(answer: list[str]) -> tuple[str, str]:
    """Return where an environment's modules are inside and where it is bound from. Raises UnsupportedSandboxError."""
    base, executable, _, prefix, purelib = answer[:5]
    if Path(prefix).resolve() == Path(base).resolve():
        raise UnsupportedSandboxError(f"The interpreter {executable} belongs to no virtual environment: name one that does.")
    return f"{PACKAGES_TARGET}/{Path(purelib).relative_to(prefix)}", str(Path(prefix).resolve())


def _interpreter(answer: list[str]) -> tuple[str, str, str]:
    """Return an interpreter's path inside, where its prefix is bound from, and the alias; see `bwrap.System`.

    One that lies below /usr is there anyway. One built with a shared library finds that by the path it was built for.
    """
    prefix, executable, shared = answer[:3]
    if Path(executable).is_relative_to("/usr"):
        return executable, "", ""
    real = Path(prefix).resolve()
    if not Path(executable).is_relative_to(real):
        raise UnsupportedSandboxError(
            f"The interpreter {executable} lies outside of its prefix {real}, so a sandbox can't show one without the other: "
            "name another interpreter."
        )
    inside = f"{PYTHON_TARGET}/{Path(executable).relative_to(real)}"
    return inside, str(real), prefix if shared == "1" else ""


@cache
def guest_code() -> bytes:
    """Return the guest's code as a zip archive: `wire`, `call_wire` and `guest/`, the only code of ours that a sandbox holds.

    cloudpickle is with them, because functions by value need it inside as well.
    It is read once, so that an upgrade on disk changes nothing for sandboxes to come until the gateway starts anew.
    """
    root = resources.files("hermes_iso_sandbox")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # The package's own __init__ imports the host side; inside, an empty one stands for it.
        archive.writestr(zipfile.ZipInfo("hermes_iso_sandbox/__init__.py"), b"")
        for name in ("wire.py", "call_wire.py"):
            _add(archive, root / name, f"hermes_iso_sandbox/{name}")
        _add(archive, resources.files("cloudpickle"), "cloudpickle")
        for entry in sorted((root / "guest").iterdir(), key=lambda each: each.name):
            _add(archive, entry, f"hermes_iso_sandbox/guest/{entry.name}")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, entry: Traversable, name: str) -> None:
    """Add a source file, or all of a folder, under a fixed date: the same code gives the same bytes."""
    if entry.is_dir():
        if entry.name != "__pycache__":
            for each in sorted(entry.iterdir(), key=lambda each: each.name):
                _add(archive, each, f"{name}/{each.name}")
    elif name.endswith(".py"):
        archive.writestr(zipfile.ZipInfo(name), entry.read_bytes(), zipfile.ZIP_DEFLATED)
