"""Compare hermes-iso with a real `hermes gateway run`: what leaks between agents, how fast, how much memory, under attack.

    python bench/vs_hermes.py [--quick] [--only PART,…] [--resume] [--json] [--check]

Both are started here, on copies of the same homes, with the same scripted model on 127.0.0.1, and asked over HTTP, taking
turns. `make hermes` installs the peer. The full run (at most 15 minutes) writes docs/images/vs_hermes.json, the plot beside it
and the tables of docs/explanation/why-not-contextvars.md; `--quick` takes about 2 minutes and writes nothing without `--write`.
Exit 1 when a probe leaked on hermes-iso, or with `--check` when a target was missed; 3 when there is no peer to compare with.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.vs_hermes.pages import write  # noqa: E402
from bench.vs_hermes.report import describe_run, leaks_of, page, targets  # noqa: E402
from bench.vs_hermes.run import FULL, PARTS, QUICK, Book, Scale, compare  # noqa: E402
from bench.vs_hermes.sides import OURS, SideError  # noqa: E402


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer of everything, in about 2 minutes")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--resume", action="store_true", help="go on where the last run of this kind was cut short")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document instead of the tables")
    parser.add_argument("--check", action="store_true", help="exit 1 also when a target was missed")
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, help="write docs (default: unless --quick or --only)")
    parser.add_argument("--engine", choices=["hermes", "native"], default="hermes", help="what takes the turns on our side")
    parser.add_argument("--hermes", type=Path, default=ROOT / ".venv-hermes" / "bin" / "python", help="the peer's interpreter")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(PARTS):
        parser.error(f"--only {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    return given


async def run_until_told(book: Book, scale: Scale, given: argparse.Namespace) -> bool:
    """Compare; return whether it came to its end before a signal said to stop."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                await anext(signals)
                scope.cancel()

            nursery.start_soon(stop)
            await compare(book, scale, given.only.split(","), given.hermes.absolute(), given.engine)
            nursery.cancel_scope.cancel()
    return not scope.cancelled_caught


def main() -> int:
    """Compare, print, write; return the exit code."""
    given = arguments()
    if not given.hermes.exists():
        print("There is no hermes-agent to compare with: `make hermes` installs it.", file=sys.stderr)
        return 3
    scale = QUICK if given.quick else FULL
    command = "python bench/vs_hermes.py" + (" --quick" if given.quick else "")
    run = describe_run(given.hermes, given.engine, scale.name, command)
    book = Book(ROOT / ".venv" / "vs_hermes" / f"{scale.name}-{given.engine}.json", run, resume=given.resume)
    failed: list[BaseException] = []
    whole = False
    try:
        whole = trio.run(run_until_told, book, scale, given)
    except* SideError as errors:
        failed += errors.exceptions
    if not whole:
        print(*failed, "What was found so far is kept: --resume goes on from there.", sep="\n", file=sys.stderr)
        return 3 if failed else 130
    result = {**book.result, "targets": targets(book.result)}
    print(json.dumps(result, indent=1) if given.json else page(result))
    full = not given.quick and set(given.only.split(",")) == set(PARTS)
    if full if given.write is None else given.write:
        write(result)
    missed = [each["name"] for each in result["targets"] if each["met"] is False]
    for name in missed:
        print(f"target missed: {name}", file=sys.stderr)
    for name in leaks_of(result, OURS):
        print(f"leaked on {OURS}: {name}", file=sys.stderr)
    return 1 if leaks_of(result, OURS) or (given.check and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
