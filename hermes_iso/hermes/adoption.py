"""Take over the agents of a Hermes home, and give them back: what is to be done is written down first, and every step repeats.

The order: the manifest; then the state files of each agent; then the copies; then config.yaml, after which the agents are
Hermes'. Undoing begins with config.yaml and ends with the manifest. Wherever either ends too early, doing it again, or the
other one, completes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hermes_iso.config_file import ConfigFile, open_config
from hermes_iso.errors import ConfigError, UsageError
from hermes_iso.hermes import config_lines
from hermes_iso.hermes.in_use import check_unused
from hermes_iso.hermes.manifest import AgentRecord, Manifest, manifest_path, read_manifest, write_manifest
from hermes_iso.hermes.plan import Plan, make_plan
from hermes_iso.hermes.taking import give_back, give_back_complaints, record_of, set_times, take, times_of
from hermes_iso.home_lock import hold_home, leave_nothing


@dataclass(frozen=True, slots=True)
class Wish:
    """What adopting asks for beside the home: the names of the environment, and what git config to copy."""

    environ: Mapping[str, str] = field(repr=False)
    gitconfig: bytes = b""


def adopt(home: Path, wish: Wish) -> Plan:
    """Take over every agent of a home that can be; return what was planned. Raises UsageError, ConfigError, HomeBusyError."""
    home = Path(os.path.realpath(home))
    first = make_plan(home, wish.environ)
    times = {each.agent: times_of(each.home) for each in first.candidates}
    made = not manifest_path(home).parent.exists()
    with hold_home(home) as own, open_config(home) as file:
        plan = make_plan(home, wish.environ)
        try:
            check_adoptable(plan)
        except BaseException:
            if made:
                leave_nothing(own)
            raise
        known = plan.manifest or Manifest(made)
        records = {
            each.agent: record_of(each.home, known.agents.get(each.agent), wish.gitconfig, times.get(each.agent, ()))
            for each in plan.wanted
        }
        manifest = Manifest(known.made, {**known.agents, **records}, known.config)
        lines = plan.lines
        assert lines is not None
        if lines.keys:
            manifest = replace(manifest, config=config_lines.recorded(file, lines, known.config))
        write_manifest(home, manifest)
        for each in plan.wanted:
            take(each.home, records[each.agent], wish.gitconfig)
        if lines.keys:
            file.replace(lines.text)
        done = {each.agent: replace(records[each.agent], after=times_of(each.home)) for each in plan.wanted}
        write_manifest(home, replace(manifest, agents={**manifest.agents, **done}))
        return plan


def check_adoptable(plan: Plan) -> None:
    """Raise what keeps a plan from being carried out as a whole: mistakes in the root's config, nobody to adopt, live users."""
    if plan.problems:
        raise ConfigError(sorted(plan.problems))
    if not plan.wanted and plan.view.engine.trouble:
        raise UsageError(f"No agent of {plan.home} can be adopted. {plan.view.engine.trouble}.")
    if not plan.wanted:
        refused = "; ".join(f"{each.agent}: {' '.join(each.reasons)}" for each in plan.candidates if each.reasons)
        raise UsageError(f"No agent of {plan.home} can be adopted. {refused or 'There is none.'}")
    check_unused(plan.home, {each.agent: each.home for each in plan.wanted})


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: the agents given back, and a sentence for each thing that is not as it was before."""

    agents: tuple[str, ...]
    notes: tuple[str, ...]


def undo(home: Path) -> Undone:
    """Give back everything that `adopt` took over. Raises UsageError, also when there is nothing to undo."""
    home = Path(os.path.realpath(home))
    check_undoable(home)
    with hold_home(home) as own, open_config(home) as file:
        manifest = read_manifest(home) or Manifest()
        present = {name: each for name, each in manifest.agents.items() if os.path.isdir(each.home)}
        gone = [each.home for name, each in manifest.agents.items() if name not in present]
        notes = [f"{where} is gone: nothing was given back there." for where in gone]
        _check_undoable(home, present)
        times = {name: times_of(Path(each.home)) for name, each in present.items()}
        if manifest.config is not None:
            notes += _undo_config(file, manifest)
        for each in present.values():
            notes += give_back(each)
        manifest_path(home).unlink()
        if manifest.made:
            leave_nothing(own)
        for name, each in present.items():
            steps = zip(each.before, each.after, times[name], strict=False)
            set_times(Path(each.home), [old if now == new else 0 for old, new, now in steps])
        return Undone(tuple(present), tuple(notes))


def check_undoable(home: Path) -> None:
    """Raise UsageError when there is nothing to undo."""
    if read_manifest(Path(os.path.realpath(home))) is None:
        raise UsageError(f"There is nothing to undo: no agent of {home} was adopted.")


def _check_undoable(home: Path, records: Mapping[str, AgentRecord]) -> None:
    """Raise UsageError with everything that keeps the state files from going back."""
    homes = {name: Path(each.home) for name, each in records.items()}
    complaints = [complaint for place in homes.values() for complaint in give_back_complaints(place)]
    if complaints:
        raise UsageError(f"Nothing was changed: {' '.join(complaints)}")
    check_unused(home, homes)


def _undo_config(file: ConfigFile, manifest: Manifest) -> list[str]:
    """Put config.yaml back; say so where somebody else has edited it meanwhile."""
    assert manifest.config is not None
    content, whole = config_lines.undone(file, manifest.config)
    if content is None:
        file.target.unlink(missing_ok=True)
    elif content != file.content:
        file.put(content)
    if whole and content is not None:
        os.utime(file.target, ns=(os.stat(file.target).st_atime_ns, manifest.config.mtime))
    return [] if whole else [f"{file.path} was edited since: only the lines of adopt were taken out of it."]
