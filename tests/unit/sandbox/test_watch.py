"""The watch over a sandbox: which turn a kill for memory is held against."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hermes_iso_sandbox import Confinement, LimitError
from hermes_iso_sandbox.errors import GuestDiedError
from hermes_iso_sandbox.watch import Watch
from hermes_iso_sandbox.zygote import Forked


class Group:
    """A cgroup in which so many processes have been killed."""

    def __init__(self) -> None:
        self.kills = 0

    def oom_kills(self) -> int:
        """Return the number."""
        return self.kills

    def killed(self) -> GuestDiedError:
        """Let one more have been killed; return what the pool makes of that."""
        self.kills += 1
        return GuestDiedError("gone", 137)


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Watch, Group]:
    """Return a watch, and the cgroup of its sandbox."""
    group = Group()
    zygote = SimpleNamespace(confinement=Confinement(tmp_path), cgroup=group)
    return Watch(cast("Any", SimpleNamespace(zygote=zygote, sessions={}, idle=False))), group


def test_kill_for_memory_is_the_end_of_the_turn_that_runs(watched: tuple[Watch, Group]) -> None:
    """A guest that dies after the kernel killed something for memory died of that limit."""
    watch, group = watched
    with pytest.raises(LimitError) as caught, watch.over(Forked(1)):
        raise group.killed()
    assert caught.value.limit == "memory"


def test_kill_for_memory_is_not_held_against_the_next_turn(watched: tuple[Watch, Group]) -> None:
    """A turn that got over the loss of a child ends well, and the next one ends for reasons of its own."""
    watch, group = watched
    with watch.over(Forked(1)):
        group.kills += 1
    watch.settle()
    with pytest.raises(GuestDiedError), watch.over(Forked(2)):
        raise GuestDiedError("gone", 1)


def test_kill_for_memory_is_held_against_every_turn_that_ran(watched: tuple[Watch, Group]) -> None:
    """Turns that run at a time share the limit, whichever began last."""
    watch, group = watched
    with watch.over(one := Forked(1)), pytest.raises(LimitError), watch.over(two := Forked(2)):
        raise group.killed()
    assert one.why is two.why is not None
