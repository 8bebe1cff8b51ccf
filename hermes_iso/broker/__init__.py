"""Trusted-side services for what a guest may not do itself; each checks grant and budget again on this side."""
