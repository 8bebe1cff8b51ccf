"""Which rights are withheld on which kernel, and which writable places a narrowed turn keeps."""

import pytest

from hermes_iso_sandbox.guest import landlock


@pytest.mark.parametrize(("abi", "highest"), [(1, 12), (2, 13), (3, 14), (4, 14), (5, 15), (6, 15), (7, 15), (99, 15)])
def test_rights_are_those_of_the_abi(abi: int, highest: int) -> None:
    """A kernel is asked for every right that it knows and for none that it does not: that would be EINVAL."""
    assert landlock.rights(abi) == (1 << highest + 1) - 1


@pytest.mark.parametrize(
    ("writable", "read_only", "left"),
    [
        (["/tmp", "/workspace"], [], ["/tmp", "/workspace"]),
        (["/tmp", "/workspace", "/hermes/skills"], ["/workspace"], ["/tmp", "/hermes/skills"]),
        (["/tmp", "/work", "/workspace"], ["/work"], ["/tmp", "/workspace"]),
        (["/tmp", "/workspace"], ["/tmp/project"], ["/workspace"]),
        (["/tmp", "/workspace/a", "/workspace/b"], ["/workspace"], ["/tmp"]),
        (["/tmp", "/workspace"], ["/"], []),
    ],
)
def test_narrowed_keeps_no_place_that_touches_a_read_only_path(writable: list, read_only: list, left: list) -> None:
    """A place inside of a read-only path goes, and so does one around it, because no rule can take a part of it out."""
    assert landlock.narrowed(writable, read_only) == left


def test_absent_landlock_restricts_nothing_but_can_not_be_asked_to_narrow() -> None:
    """As a second layer it may be missing; where it is the only one it may not."""
    landlock.restrict(["/no/such/place"], 0)
    with pytest.raises(landlock.LandlockMissingError):
        landlock.restrict_further(["/tmp"], ["/tmp"], 0)
