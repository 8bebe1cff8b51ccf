"""A client that goes away ends its turn, on both paths, and everything that the turn started."""

import secrets
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support.gateways import Running, running_gateway
from tests.support.pools import descendants, living


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    """Serve the demo home."""
    with running_gateway("--demo", "--port", "0") as gateway:
        yield gateway


def wait_until(condition: object, seconds: float = 10) -> bool:
    """Poll a condition until it holds or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def marker() -> str:
    """Return a number of seconds to sleep that nothing else uses."""
    return f"6{secrets.randbelow(10**8)}"


def test_closing_a_stream_of_the_sdk_ends_the_turn(demo: Running) -> None:
    """The SDK's stream is closed after its first chunk; the tool's process is gone soon after."""
    mark = marker()
    with OpenAI(base_url=f"{demo.url}/v1", api_key=demo.key, max_retries=0) as client:
        text = f"RUN sleep {mark} & sleep {mark}"
        stream = client.chat.completions.create(model="x", messages=[{"role": "user", "content": text}], stream=True)
        next(iter(stream))
        assert wait_until(lambda: living(mark))
        stream.close()
    assert wait_until(lambda: not living(mark))


def test_hanging_up_on_a_plain_request_ends_the_turn(demo: Running) -> None:
    """A client that closes its socket while it waits for a whole answer cancels the turn."""
    mark = marker()
    body = f'{{"model": "x", "messages": [{{"role": "user", "content": "RUN sleep {mark}"}}]}}'
    host, port = demo.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {demo.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert wait_until(lambda: living(mark))
    assert wait_until(lambda: not living(mark))
    assert "hello" in demo.answer("hello")


def test_killing_the_gateway_leaves_nothing_running() -> None:
    """SIGKILL of the gateway itself ends every sandbox with all that runs in it."""
    mark = marker()
    with running_gateway("--demo", "--port", "0", status=-signal.SIGKILL) as gateway:
        gateway.answer(f"RUNBG sleep {mark}")
        assert wait_until(lambda: living(mark))
        everything = descendants(gateway.process.pid)
        gateway.process.kill()
        gateway.process.wait()
    assert wait_until(lambda: not living(mark))
    assert len(everything) > 4
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everything))


def test_second_signal_ends_what_runs_at_once() -> None:
    """After one SIGTERM the gateway waits for its turns; after another it ends them and exits 0 soon."""
    mark = marker()
    with running_gateway("--demo", "--port", "0") as gateway, ThreadPoolExecutor(1) as threads:
        turn = threads.submit(gateway.ask, f"RUN sleep {mark}")
        assert wait_until(lambda: living(mark))
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert gateway.process.poll() is None
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(timeout=20) == 0
        assert time.monotonic() - began < 5
        assert not living(mark)
        assert turn.exception() is not None or turn.result().status_code == 503
