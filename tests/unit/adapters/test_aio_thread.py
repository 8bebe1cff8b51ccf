"""The bridge to asyncio: calls, cancellation in both directions, and a mailbox that loses nothing unseen."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
import trio

from hermes_iso_adapters.aio_thread import AioError, open_aio_thread

NAME = contextvars.ContextVar("NAME", default="")


async def test_a_call_brings_back_what_is_returned_or_raised():
    """From a loop of asyncio's, in another thread, with the caller's context."""

    async def work(value):
        await asyncio.sleep(0)
        if value is None:
            raise KeyError("none")
        return value, NAME.get(), threading.get_ident()

    async with open_aio_thread() as aio:
        NAME.set("mine")
        value, name, thread = await aio.call(work, 7)
        assert (value, name) == (7, "mine")
        assert thread != threading.get_ident()
        with pytest.raises(KeyError, match="none"):
            await aio.call(work, None)


async def test_a_cancelled_call_ends_its_task_first():
    """What the task does at its end is done when the call returns."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    async with open_aio_thread() as aio:
        with trio.move_on_after(0.05) as scope:
            await aio.call(work)
        assert scope.cancelled_caught
        assert ended == [True]


async def test_a_task_that_asyncio_cancels_is_an_error():
    """It does not look like a cancellation to trio."""

    async def work():
        raise asyncio.CancelledError

    async with open_aio_thread() as aio:
        with pytest.raises(AioError):
            await aio.call(work)


async def test_the_end_of_the_thread_ends_every_call():
    """And a later one is refused."""
    errors = []

    async def call(aio):
        with pytest.raises(AioError) as caught:
            await aio.call(asyncio.sleep, 3600)
        errors.append(caught.value)

    async with trio.open_nursery() as nursery, open_aio_thread() as aio:
        nursery.start_soon(call, aio)
        await aio.call(asyncio.sleep, 0)
    assert len(errors) == 1
    with pytest.raises(AioError):
        await aio.call(asyncio.sleep, 0)


async def test_a_body_that_raises_raises_that_alone():
    """Not in a group."""
    with pytest.raises(ZeroDivisionError):
        async with open_aio_thread():
            raise ZeroDivisionError


async def test_a_mailbox_keeps_order_and_says_when_it_is_full():
    """What was refused is counted; there is room again once something was taken."""
    async with open_aio_thread() as aio:
        mailbox = aio.mailbox(2)

        async def put(*items):
            return [mailbox.put(item) for item in items]

        assert await aio.call(put, 1, 2, 3) == [True, True, False]
        assert mailbox.refused == 1
        assert [await mailbox.take(), await mailbox.take()] == [1, 2]
        assert await aio.call(put, 4) == [True]
        with trio.fail_after(5):
            while (item := await mailbox.take()) is None:
                pass
        assert item == 4


async def test_a_poke_wakes_who_takes():
    """Though there is nothing."""
    async with open_aio_thread() as aio:
        mailbox = aio.mailbox(2)

        async def poke():
            mailbox.poke()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(aio.call, poke)
            with trio.fail_after(5):
                assert await mailbox.take() is None
