"""A small part of the web on 127.0.0.1, with and without TLS: a file, a git repository, and indexes for pip and npm."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PLAIN, SECURE = "plain.web.example", "secure.web.example"
"""The names under which an agent's config has the two servers."""


class Web(SimpleHTTPRequestHandler):
    """Serves files, and what lies below /git/ by git's own CGI program."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer from git or from the directory."""
        if self.path.startswith("/git/"):
            self._git(b"")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Answer from git."""
        self._git(self._body())

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _git(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "anybody",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
        """Say nothing."""


@contextlib.contextmanager
def serving(root: Path, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve a directory; gives the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, directory=str(root))) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def serving_mcp() -> Iterator[int]:
    """Serve MCP in a process of its own; gives the port once somebody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    argv = [sys.executable, "-P", str(Path(__file__).with_name("mcp_server.py")), str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 30
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < end, "the MCP server did not start"
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def write_web(root: Path) -> None:
    """Write the file, the repository, and a package `tiny` for each of the two package managers."""
    root.mkdir()
    (root / "file").write_text("from-the-web\n", encoding="utf-8")
    _write_repository(root / "git" / "tiny.git", root.parent / "sources")
    _write_wheel(root / "simple" / "tiny")
    _write_node_package(root)


def _write_repository(bare: Path, sources: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", str(sources)], check=True)
    (sources / "README").write_text("from-the-repository\n", encoding="utf-8")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(sources), "add", "."], check=True)
    subprocess.run(["git", "-C", str(sources), *who, "commit", "-qm", "first"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(sources), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "config", "http.receivepack", "true"], check=True)


def _write_wheel(folder: Path) -> None:
    folder.mkdir(parents=True)
    name = "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny.py": "WORD = 'from-the-wheel'\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny-1.0.dist-info/RECORD": "tiny.py,,\n",
    }
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}">{name}</a>', encoding="utf-8")


def _write_node_package(root: Path) -> None:
    """Write a registry's answer and archive for each server: an answer names its archive by a whole URL."""
    files = {"package.json": '{"name": "tiny", "version": "1.0.0"}', "index.js": "module.exports = 'from-the-registry'\n"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(buffer.getvalue()).digest()).decode()}"
    for folder, url in (("npm", f"http://{PLAIN}/npm"), ("npms", f"https://{SECURE}/npms")):
        (root / folder).mkdir()
        (root / folder / "tiny.tgz").write_bytes(buffer.getvalue())
        version = {"name": "tiny", "version": "1.0.0", "dist": {"tarball": f"{url}/tiny.tgz", "integrity": integrity}}
        document = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        (root / folder / "tiny").write_text(json.dumps(document), encoding="utf-8")
