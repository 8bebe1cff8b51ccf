"""Be pid 1 of one command: reap what is orphaned, end when the worker ends, and so end everything.

A program is never pid 1 itself: that ignores signals by default and inherits every orphan, and programs expect neither. When
pid 1 exits, the kernel kills all that is left in its pid namespace, and the zygote's waitpid() on it returns only when the
namespace is empty.
"""

from __future__ import annotations

import os
import signal

from hermes_iso_sandbox.guest import kernel


def hide() -> None:
    """Let nobody of the same uid look into this process or change it: it stays in the zygote's mount namespace, unconfined."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def become_init(*, keep: bool = False) -> None:
    """Give up capabilities, and descriptors unless `keep`."""
    kernel.set_capabilities()
    if not keep:
        os.closerange(0, 1 << 16)


def reap_until(worker: int) -> int:
    """Reap children until `worker` has ended; return its status as a shell shows it."""
    while True:
        pid, status = os.wait()
        if pid == worker:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def run_command(argv: list[str], cwd: str, env: dict[str, str], *, execute: bool) -> None:
    """Become the program `argv`; exit 127 or 126 with one line on stderr when it can't be started.

    execute: whether this sandbox may start programs. Without it the kernel refuses, and the line says why.
    """
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # ignored or caught here, and an exec would pass on what is ignored
    os.setsid()
    try:
        os.chdir(cwd)
        os.execvpe(argv[0], argv, {**env, "PWD": cwd})
    except FileNotFoundError:
        os.write(2, f"{argv[0]!r}: there is no such program or directory inside\n".encode())
        os._exit(127)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        if not execute and isinstance(error, PermissionError):
            why = f"no program may be started here: {_agent(env)} is granted no tool that runs one"
        os.write(2, f"{argv[0]!r}: {why}\n".encode())
        os._exit(126)


def _agent(env: dict[str, str]) -> str:
    """Return whose sandbox this is, as a sentence names it."""
    return f"agent {env['HERMES_ISO_AGENT']}" if env.get("HERMES_ISO_AGENT") else "its agent"
