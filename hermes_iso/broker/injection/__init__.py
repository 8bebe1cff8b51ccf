"""Injected credentials: requests to named hosts get their secret outside of the sandbox, over TLS, and never show it inside."""
