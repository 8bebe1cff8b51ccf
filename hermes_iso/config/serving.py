"""Which of the agents that are asked for can be served now: not those that somebody else serves, nor without their engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hermes_iso.config.engines import find_hermes
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.live_gateway import live_gateway
from hermes_iso.config.schema import MAIN


@dataclass(frozen=True, slots=True)
class Serving:
    """agents: those that can be served. others: the rest, each with the reason. hermes: hermes-agent's interpreter, if used."""

    agents: Sequence[str]
    others: Mapping[str, str]
    hermes: str = ""


def decide_serving(home_map: HomeMap, wanted: Sequence[str], broken: Mapping[str, str]) -> Serving:
    """Return which of the wanted agents can be served. broken: those whose own files are wrong, each with the reason."""
    reasons = _held_by_gateways(home_map, wanted) | {name: broken[name] for name in wanted if name in broken}
    free = [name for name in wanted if name not in reasons]
    wanting = [name for name in free if name in home_map.overlays and home_map.overlays[name][0].engine == "hermes"]
    if not wanting:
        return Serving(free, reasons)
    hermes = find_hermes(home_map)
    if not hermes.trouble:
        return Serving(free, reasons, hermes.path)
    return Serving([name for name in free if name not in wanting], reasons | dict.fromkeys(wanting, hermes.trouble))


def _held_by_gateways(home_map: HomeMap, wanted: Sequence[str]) -> dict[str, str]:
    """Return why agents are held by Hermes gateways; one on the root home that multiplexes holds them all."""
    homes = home_map.homes
    held = {name: live_gateway(homes[name], name) for name in wanted}
    everybody = live_gateway(homes[MAIN], MAIN) if home_map.multiplexed else ""
    return {name: reason or everybody for name, reason in held.items() if reason or everybody}
