"""open_hooks: find the operator's hooks, start what runs them, and tell them at the end what is left to tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from hermes_iso.background import Background
from hermes_iso.config.schema import Config
from hermes_iso.home_lock import make_private
from hermes_iso.hooks.helper import Helper
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.hooks.installed import find_installed
from hermes_iso.hooks.room import confinement_of
from hermes_iso.leases import PoolLike

__all__ = ["Hooks", "open_hooks"]

CLOSE_TIMEOUT = 3.0
"""Seconds for what is left to tell when the gateway stops."""


@asynccontextmanager
async def open_hooks(config: Config, pool: PoolLike, directory: Path) -> AsyncIterator[Hooks]:
    """Load the hooks of installed packages, then those of the home, and give them; without any nothing is started.

    directory: the gateway's own, in which the hooks get the one place that they may write. Raises UsageError.
    """
    hooks = (*find_installed(), *config.hooks)
    if not hooks:
        yield Hooks()
        return
    own = directory / "hooks"
    make_private(own)
    helper = Helper(pool, confinement_of(hooks, home=config.home, own=own), hooks)
    async with Background() as nursery:
        nursery.start_soon(helper.serve_helper)
        await helper.ready.wait()
        named = [replace(hook, events=hook.events | events) for hook, events in zip(hooks, helper.events, strict=True)]
        opened = Hooks(named, helper, timeout=config.hook_timeout)
        nursery.start_soon(opened.serve_notes)
        try:
            yield opened
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await opened.finish()
