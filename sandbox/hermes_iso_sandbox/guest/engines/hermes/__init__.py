"""The engine of the real hermes-agent: the only modules of the guest that load it, by `importlib`."""
