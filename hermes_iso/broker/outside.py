"""Outside: by what the gateway trusts hosts and finds their addresses, where that is not the machine's own way."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from hermes_iso.broker.egress.dialing import Lookup


@dataclass(frozen=True, slots=True)
class Outside:
    """tls: None trusts the system's bundle. lookup: None asks the machine's resolver."""

    tls: ssl.SSLContext | None = None
    lookup: Lookup | None = None


MACHINES_OWN = Outside()
"""What a gateway has unless somebody says otherwise."""
