"""The values of secrets that a command tells: run once, when a request first needs it, on the host and with a deadline."""

from __future__ import annotations

import subprocess

import structlog
import trio

from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.credentials import Secret, value_complaint

COMMAND_TIMEOUT = 10.0
"""Seconds that a command has to tell a value."""


async def value_of(secret: Secret) -> str:
    """Return what a secret stands for. Raises NoWayError when its command does not tell."""
    if secret.value is not None:
        return secret.value
    async with secret.told.lock:
        if secret.told.value is None:
            value, complaint = await _run(secret.command)
            if complaint:
                structlog.get_logger().warning("secret_not_told", secret=secret.name, reason=complaint)
                raise NoWayError(f"The gateway can't get the value of {secret.name} now: its operator finds why in the log.")
            secret.told.value = value
        return secret.told.value


async def _run(command: tuple[str, ...]) -> tuple[str, str]:
    """Run a command; return what it said, or what went wrong, which repeats nothing that it said."""
    try:
        with trio.fail_after(COMMAND_TIMEOUT):
            done = await trio.run_process(
                command, stdin=subprocess.DEVNULL, capture_stdout=True, stderr=subprocess.DEVNULL, check=False
            )
    except trio.TooSlowError:
        return "", f"its command took longer than {COMMAND_TIMEOUT:g} seconds"
    except OSError as error:
        return "", f"its command can't be run ({error.strerror})"
    if done.returncode != 0:
        return "", f"its command ended with status {done.returncode}"
    value = done.stdout.decode("utf-8", "replace").strip()
    complaint = value_complaint(value)
    return value, f"what its command says {complaint}" if complaint else ""
