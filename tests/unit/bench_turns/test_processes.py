"""The processes below this one: none is overlooked, and one that was left is told."""

from __future__ import annotations

import os
import subprocess

import pytest

from hermes_iso.bench_turns.exchange import BenchmarkError
from hermes_iso.bench_turns.processes import descendants, memory_of, nothing_left


def test_descendants_are_the_living_at_any_depth():
    """A grandchild counts as long as it lives, and a dead one that nobody has waited for does not."""
    before = descendants()
    with subprocess.Popen(["sh", "-c", "sh -c 'echo; cat; :'; :"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        shell.stdout.readline()
        assert len(descendants() - before) >= 2
        assert memory_of({shell.pid}) > 0
        shell.stdin.close()
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert shell.pid not in descendants()
    assert descendants() == before


def test_memory_of_a_process_that_is_gone_is_nothing():
    """A turn that ends while memory is summed up does not end the sum."""
    child = subprocess.Popen(["true"])
    child.wait()
    assert memory_of({child.pid}) == 0


@pytest.mark.slow
def test_process_that_is_left_is_told_also_when_its_parent_is_gone():
    """An orphan does not get out of sight by its parent's end."""
    with pytest.raises(BenchmarkError, match="1 processes were left") as caught, nothing_left():
        orphan = subprocess.run(["sh", "-c", "sleep 600 >/dev/null & echo $!"], stdout=subprocess.PIPE, check=True, text=True)
    os.kill(int(orphan.stdout), 9)
    os.waitpid(int(orphan.stdout), 0)
    assert orphan.stdout.strip() in str(caught.value)


def test_nothing_left_lets_an_error_pass():
    """What went wrong is told as it is, not as what it left behind."""
    with pytest.raises(ZeroDivisionError), nothing_left():
        raise ZeroDivisionError
