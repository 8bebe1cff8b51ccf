"""The catalogue: what it covers, and what can be chosen of it."""

from __future__ import annotations

import ast
import re
from typing import get_args

import pytest

from hermes_iso.errors import UsageError
from hermes_iso.prove.catalogue import choose
from hermes_iso.prove.prelude import script
from hermes_iso.prove.probe import HOST_LAYERS, Category
from hermes_iso_sandbox.confinement import LAYERS

ALL = choose([])
LETTERS = dict(zip(get_args(Category), "EFPNKRSXGTODC", strict=True))
AGREED = frozenset(
    """
    E01 E02 E03 E04 E06 E07 E08 E09 E10 F03 F04 F06 F10 F12 F14 F15 F16 F18 F23 F24 F25 P01 P03 P06 P07 P08 P11 P12 P15 P16
    N02 N03 N04 N06 N09 N10 N11 N12 K02 K03 K04 K08 K09 K11 K12 K13 K15 K16 K19 K20 R01 R02 R03 R05 R06 R08 R09 S01 S02 S04
    S05 S06 X01 X03 X05 G01 G02 G03 G05 G06 G07 G08 G09 G11 G12
    """.split()  # noqa: SIM905  # shorter than a list
)
"""The ids of the catalogue that this suite began with."""


def test_catalogue_covers_every_attack_that_was_agreed_on():
    """Each has its id, and there are at least 110 probes over all thirteen categories."""
    ids = [probe.id for probe in ALL]
    assert set(ids) >= AGREED
    assert len(ids) == len(set(ids)) >= 110
    assert {probe.category for probe in ALL} == set(get_args(Category))


def test_id_begins_with_the_letter_of_its_category():
    """A letter and two digits; one letter per category."""
    for probe in ALL:
        assert re.fullmatch(rf"{LETTERS[probe.category]}\d\d", probe.id), probe.id


def test_every_probe_can_be_shown_to_find_its_hole():
    """Each names layers that exist, or what the self-test plays: none could pass without ever having failed."""
    for probe in ALL:
        assert probe.without <= LAYERS | HOST_LAYERS, probe.id
        assert probe.without or probe.planted, probe.id


def test_guest_code_is_python():
    """What the guest runs compiles, and what is planted before it; given names are plain values."""
    ast.parse(script("", {"NAME": "a 'quoted' \\n value"}))
    for probe in ALL:
        ast.parse(probe.planted)
        if isinstance(probe.attack, str):
            ast.parse(probe.attack)


def test_choice_takes_ids_and_categories_in_any_case():
    """What is chosen comes in the catalogue's order, each once."""
    assert [probe.id for probe in choose(["n03", " E01", "", "E01"])] == ["E01", "N03"]
    assert {probe.category for probe in choose(["Kernel"])} == {"kernel"}


def test_unknown_word_is_an_error_with_a_suggestion():
    """The error names the word and the nearest that exists, or how to list them."""
    with pytest.raises(UsageError, match="'kernal': did you mean kernel"):
        choose(["kernal"])
    with pytest.raises(UsageError, match="'e99': did you mean E"):
        choose(["E99"])
    with pytest.raises(UsageError, match="--list"):
        choose(["something-else"])
