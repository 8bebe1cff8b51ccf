"""One process that takes the turns of every agent in threads, as a gateway without isolation does. For leak tests alone.

Started as `python unsound_worker.py FD`: each message on the socket is a JSON object with the turn's settings and, beside
it, the turn's own socket. Whatever a turn leaves in the process (environment, directory, umask, globals) is there for all.
"""

import json
import os
import socket
import sys
import threading

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import Link, LinkClosed
from hermes_iso_sandbox.guest.turn import ENGINES, read_env_file, turn_environment


def take_turn(sock: socket.socket, settings: dict) -> None:
    """Take one turn in this thread, changing the whole process as a careless gateway would."""
    try:
        link = Link(sock)
        request = link.receive()
        os.environ.update(settings["env"])
        os.environ.update(turn_environment(request, read_env_file(settings["env_file"])))
        os.chdir(settings["cwd"])
        link.send(ENGINES[request.engine](request, link))
    except LinkClosed:
        pass
    except Exception as error:
        link.send(wire.TurnFailed("guest_error", repr(error)))
    finally:
        sock.close()


def main() -> None:
    """Start a thread for every turn, until the gateway is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not data:
            os._exit(0)
        threading.Thread(target=take_turn, args=(socket.socket(fileno=fds[0]), json.loads(data)), daemon=True).start()


main()
