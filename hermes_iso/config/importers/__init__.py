"""Converts what other systems' files say into our own config: one file per format."""
