"""The shorter ways to what hermes-agent works out again and again."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from hermes_iso_sandbox.guest.engines.hermes.shortcuts import copy_tree

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def shared(one: object, other: object) -> bool:
    """Return whether two equal trees have a container in common."""
    if isinstance(one, dict):
        return one is other or any(shared(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return one is other or any(map(shared, one, other))
    return False


@given(TREES)
def test_copy_of_a_tree_is_equal_and_shares_nothing(tree):
    """What is changed in a copy is not changed in the original."""
    copied = copy_tree(tree)
    assert copied == tree
    assert not shared(copied, tree)


def test_copy_keeps_what_yaml_does_not_know():
    """Everything else is copied as the standard library does."""
    tree = {"a": OrderedDict(b=[1]), "c": (1, [2]), "d": {3}}
    copied = copy_tree(tree)
    assert copied == tree
    assert type(copied["a"]) is OrderedDict
    assert copied["a"]["b"] is not tree["a"]["b"]
    assert copied["c"][1] is not tree["c"][1]
