"""Time the choice of an agent by the routes of a config, and print how it was run.

    python bench/routing.py [--messages N] [--rules N,N,…]

For each number of rules: routes and bindings with every key, in the mixture below; messages of which most are taken by a rule,
some by the default agent. Printed are microseconds per look-up, p50 and p99, of `Router.decide`, which every message passes.
Exit 1 when a p50 is above the target, or when that of the most rules is more than 4 times that of the fewest: a few times is
what it costs when the rules no longer fit into the processor's caches, while a walk over them would cost as many times as there
are more of them.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time

from hermes_iso.config.schema import Config
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Router
from hermes_iso.rules import RouteRule

TARGET_US = 20.0
FLAT = 4.0
PLATFORMS = ("telegram", "discord", "slack", "matrix")
SHAPES = (
    ("platform", "chat_id"),
    ("platform", "chat_id", "thread_id"),
    ("platform", "guild_id"),
    ("platform", "guild_id", "chat_type"),
    ("platform", "team_id"),
    ("platform", "peer"),
    ("platform", "user_id"),
    ("platform", "account_id"),
)
"""The sets of keys that rules name, each as often."""


def make_rules(count: int, dice: random.Random) -> list[RouteRule]:
    """Return so many different rules."""
    rules = []
    for number in range(count):
        keys = SHAPES[number % len(SHAPES)]
        values = {key: f"{key}-{number}" for key in keys} | {"platform": dice.choice(PLATFORMS)}
        values |= {"chat_type": "group"} if "chat_type" in keys else {}
        rules.append(RouteRule(f"agent{number % 50}", **values, where=f"config.yaml:{number}"))
    return rules


def message_for(rule: RouteRule, dice: random.Random) -> Inbound:
    """Return a message that a rule takes, with everything that it does not ask for as some other value; one in ten is lost."""
    missed = dice.random() < 0.1

    def value(key: str) -> str:
        wanted = getattr(rule, key)
        return f"other-{dice.random()}" if wanted is None or missed else wanted

    chat = ChatRef(
        platform=rule.platform or "telegram",
        chat_id=value("chat_id"),
        chat_type="dm" if rule.peer else "group",
        thread_id=value("thread_id"),
        parent_chat_id=value("parent_chat_id"),
        guild_id=value("guild_id"),
        team_id=value("team_id"),
        account_id=value("account_id"),
    )
    return Inbound(chat, "hello", "m", user_id=value("peer") if rule.peer else value("user_id"))


def look_up(router: Router, messages: list[Inbound]) -> tuple[list[float], int]:
    """Return the sorted microseconds of each look-up, and how many messages a rule took."""
    taken = 0
    times = []
    for message in messages:
        start = time.perf_counter_ns()
        decision = router.decide(message)
        times.append((time.perf_counter_ns() - start) / 1e3)
        taken += decision.place is not None
    return sorted(times), taken


def measure(count: int, messages: int) -> float:
    """Print one row; return its p50 in microseconds."""
    dice = random.Random(count)
    rules = make_rules(count, dice)
    half = count // 2
    start = time.perf_counter()
    router = Router(Config(home=None, agents={}, routes=tuple(rules[:half]), bindings=tuple(rules[half:])))
    built = time.perf_counter() - start
    sample = [message_for(dice.choice(rules), dice) for _ in range(messages)]
    look_up(router, sample[: messages // 10])
    times, taken = look_up(router, sample)
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    share = f"{100 * taken / len(sample):.0f} %"
    print(f"{count:>8} rules   p50 {p50:7.2f} us   p99 {p99:7.2f} us   by a rule {share:>5}   compiled in {built:6.2f} s")
    return p50


def main() -> int:
    """Measure each number of rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rules", default="100,10000,100000", help="numbers of rules, with commas between them")
    given = parser.parse_args()
    print(f"python {platform.python_version()} on {platform.machine()}, {given.messages} messages each: {' '.join(sys.argv)}")
    found = [measure(int(count), given.messages) for count in given.rules.split(",")]
    missed = [f"p50 {max(found):.1f} us is above {TARGET_US:.0f} us"] if max(found) > TARGET_US else []
    if found[-1] > FLAT * found[0]:
        missed.append(f"p50 grew from {found[0]:.1f} to {found[-1]:.1f} us with the number of rules")
    print("; ".join(missed) or f"p50 at most {TARGET_US:.0f} us, and no more than {FLAT:.0f} times as long with the most rules")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
