"""The probes: one file per category, each a tuple PROBES."""

from __future__ import annotations

from hermes_iso.prove.probes import env, fs, kernel, process

EVERY = (env.PROBES, fs.PROBES, process.PROBES, kernel.PROBES)
"""The categories in the order in which they are listed."""
