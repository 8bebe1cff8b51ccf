"""The probes: one file per category, each a tuple PROBES."""

from __future__ import annotations

from hermes_iso.prove.probes import env, fs, kernel, network, operator, persist, policy, process, protocol, resource, tenant

EVERY = (env.PROBES, fs.PROBES, process.PROBES, network.PROBES, kernel.PROBES, resource.PROBES, persist.PROBES, tenant.PROBES, protocol.PROBES, policy.PROBES, operator.PROBES)
"""The categories in the order in which they are listed."""
