"""make_certificate: a throw-away certificate for one host, and who trusts it, by the program openssl where there is one."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import trio

TIMEOUT = 20.0
"""Seconds that openssl may take."""
MISSING = "not to be had: there is no program openssl here that makes one"
"""Why the probes that need a certificate are skipped."""
_WORDS = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Both sides of TLS to one host. trusting: trusts this certificate and no other."""

    host: str
    serving: ssl.SSLContext
    trusting: ssl.SSLContext


async def make_certificate(host: str, directory: Path) -> Certificate | None:
    """Return a certificate that is its own authority, or None without openssl. Its files in `directory` are removed."""
    key, file = directory / "key.pem", directory / "certificate.pem"
    files = ["-keyout", str(key), "-out", str(file), "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    try:
        with trio.fail_after(TIMEOUT):
            await trio.run_process(["openssl", *_WORDS, *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(file, key)
        return Certificate(host, serving, ssl.create_default_context(cafile=str(file)))
    except (OSError, subprocess.CalledProcessError, ssl.SSLError, trio.TooSlowError):
        return None
    finally:
        for each in (key, file):
            each.unlink(missing_ok=True)
