"""The test model server as a program of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.support.gateways import PATHS, ROOT


@contextlib.contextmanager
def model_program() -> Iterator[str]:
    """Run it while the body runs; give its URL without a path."""
    argv = [sys.executable, "-m", "tests.servers.model_server", "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": PATHS, "PATH": os.defpath})
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
