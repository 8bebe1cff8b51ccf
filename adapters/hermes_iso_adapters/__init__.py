"""Chat platforms: each adapter is found by an entry point in the group `hermes_iso.adapters`."""
