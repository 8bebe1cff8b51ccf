"""Holes between what a template keeps."""

from __future__ import annotations

import pytest

from hermes_iso_sandbox.guest.packing import fill_holes


@pytest.mark.parametrize("size", [100, 470, 700])
def test_what_is_made_after_filling_lies_in_no_hole(size: int) -> None:
    """Small objects that are made when holes are filled do not come to lie between older ones."""
    older = [bytes(size) for _ in range(4000)]
    holes = {id(each) for each in older[::2]}
    del older[::2]
    filling = fill_holes()
    younger = {id(each) for each in [bytes(size) for _ in range(200)]}
    assert filling
    assert len(younger & holes) < 20
