"""The comparison with a real Hermes gateway: the same homes, the same model, the same requests, in one run."""
