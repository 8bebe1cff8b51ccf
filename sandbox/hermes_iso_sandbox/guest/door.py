"""The inside of a sandbox's door: a listener in a process's own network namespace that the host accepts connections from.

There is no forwarder in the sandbox. A socket belongs to the network namespace that it was made in, whoever holds it: so the
process that is being confined makes the listener, before any of the agent's code runs, and hands it to the host over its own
channel. What connects to it in that namespace reaches the host's end and nothing else, and when the host lets go of it, it is
gone. Which process a connection belongs to is therefore known by the listener that it came through.
"""

from __future__ import annotations

import socket

PORT = 3128
"""Where clients find the door of a turn, unless something else of its session holds that port: then the kernel chooses one."""
BACKLOG = 64
_NO_PROXY = "localhost,127.0.0.1,::1"


def open_door(channel: socket.socket, port: int = PORT) -> dict[str, str]:
    """Make the listener and hand it over; return what tells ordinary clients of it in the environment."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        socket.send_fds(channel, [b"d"], [listener.fileno()])
        return environment(listener.getsockname()[1])


def environment(port: int) -> dict[str, str]:
    """Return the variables by which curl, git, pip, npm and the HTTP libraries of most languages find a proxy."""
    url = f"http://127.0.0.1:{port}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "npm_config_proxy", "npm_config_https_proxy")
    return {**dict.fromkeys(names, url), "no_proxy": _NO_PROXY, "NO_PROXY": _NO_PROXY}
