"""What hermes-agent works out dozens of times in each process, worked out once or by a shorter way, with the same outcome.

A turn's process lives for one turn, so what an answer hangs on does not change while it lives: the home is always /hermes, and
no account of a provider is ever inside. Together this is two fifths of the processor time that a turn takes.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

_PLAIN = frozenset({str, int, float, bool, type(None)})


def install() -> None:
    """Put the shortcuts in, in the template: every process that is forked from it has them."""
    config: Any = import_module("hermes_cli.config")
    config.copy = types.SimpleNamespace(deepcopy=copy_tree, copy=copy.copy)  # each reader of the config takes a copy of it
    _replace("hermes_constants", "get_default_hermes_root", functools.cache)
    _replace("hermes_cli.nous_account", "get_nous_portal_account_info", functools.cache)
    _replace("agent.model_metadata", "fetch_endpoint_model_metadata", lambda _: _nothing_known)


def copy_tree(value: Any) -> Any:
    """Return a deep copy of what YAML can hold, by a tenth of the steps of copy.deepcopy, which takes all else."""
    kind = type(value)
    if kind is dict:
        return {key: each if type(each) in _PLAIN else copy_tree(each) for key, each in value.items()}
    if kind is list:
        return [each if type(each) in _PLAIN else copy_tree(each) for each in value]
    return value if kind in _PLAIN else copy.deepcopy(value)


@contextlib.contextmanager
def nobody_to_ask() -> Iterator[None]:
    """Answer at once, as long as there is no way out, what looking up a model's metadata ends in then: nothing is known."""
    metadata: Any = import_module("agent.model_metadata")
    answers: dict[str, Callable[..., Any]] = {
        "detect_local_server_type": lambda *_, **__: None,
        "fetch_model_metadata": _nothing_known,
    }
    usual = {name: getattr(metadata, name) for name in answers}
    vars(metadata).update(answers)
    try:
        yield
    finally:
        vars(metadata).update(usual)


def _nothing_known(*_: Any, **__: Any) -> dict[str, Any]:
    """Answer as a list of models that has names alone, which is all that a turn's model host tells of them."""
    return {}


def _replace(module: str, name: str, wrap: Callable[[Any], Any]) -> None:
    """Wrap a function of Hermes' wherever a module has it under its name."""
    usual = getattr(import_module(module), name)
    wrapped = wrap(usual)
    for each in list(sys.modules.values()):
        if vars(each).get(name) is usual:
            setattr(each, name, wrapped)
