"""Make `python -m hermes_iso` the same as the command `hermes-iso`."""

from __future__ import annotations

import sys

from hermes_iso.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
