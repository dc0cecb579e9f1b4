import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.gather import Gatherer, OverloadedError
from tests.google.logged import logged


class Shipping:
    """A shipping that waits until it is let go, and refuses entries without a line."""

    def __init__(self) -> None:
        self.go = Event()
        self.began = Event()
        self.sizes: list[int] = []

    def __call__(self, entries: list[LoggedEntry]) -> Sequence[bool]:
        self.sizes.append(len(entries))
        self.began.set()
        assert self.go.wait(10)
        return [bool(entry.data.log_events[0].message) for entry in entries]


async def first_then_others(shipping: Shipping, others: list[LoggedEntry]) -> list[bool]:
    """Ship others while a first entry is under way."""
    with ThreadPoolExecutor() as pool:
        gatherer = Gatherer(shipping, pool, window=60)
        first = asyncio.create_task(gatherer.ship(logged()))
        await asyncio.to_thread(shipping.began.wait, 10)
        rest = [asyncio.create_task(gatherer.ship(each)) for each in others]
        await asyncio.sleep(0)
        shipping.go.set()
        return [await first, *[await each for each in rest]]


def test_an_entry_alone_is_shipped_at_once() -> None:
    shipping = Shipping()
    assert asyncio.run(first_then_others(shipping, [])) == [True]
    assert shipping.sizes == [1]


def test_entries_that_arrive_while_others_are_under_way_are_shipped_together() -> None:
    shipping = Shipping()
    assert asyncio.run(first_then_others(shipping, [logged()] * 5)) == [True] * 6
    assert shipping.sizes == [1, 5]


def test_each_request_has_the_fate_of_its_own_entry() -> None:
    shipping = Shipping()
    others = [logged(), logged(textPayload=""), logged()]
    assert asyncio.run(first_then_others(shipping, others)) == [True, True, False, True]


def test_a_gathering_is_bounded_in_number_and_in_bytes() -> None:
    shipping = Shipping()
    asyncio.run(first_then_others(shipping, [logged()] * 1500))
    assert sorted(shipping.sizes) == [1, 500, 1000]
    large = Shipping()
    asyncio.run(first_then_others(large, [logged(textPayload="x" * 200_000)] * 8))
    assert max(large.sizes) == 4


def test_an_entry_waits_no_longer_than_the_window() -> None:
    shipping = Shipping()

    async def two() -> None:
        with ThreadPoolExecutor() as pool:
            gatherer = Gatherer(shipping, pool, window=0.01)
            first = asyncio.create_task(gatherer.ship(logged()))
            await asyncio.to_thread(shipping.began.wait, 10)
            shipping.began.clear()
            second = asyncio.create_task(gatherer.ship(logged()))
            # The first one is still under way.
            assert await asyncio.to_thread(shipping.began.wait, 10)
            shipping.go.set()
            assert await first
            assert await second

    asyncio.run(two())
    assert shipping.sizes == [1, 1]


def test_more_entries_than_memory_has_room_for_come_again_later() -> None:
    shipping = Shipping()
    entry = logged(textPayload="x" * 800_000)
    with pytest.raises(OverloadedError):
        asyncio.run(first_then_others(shipping, [entry] * 80))


def test_every_request_is_answered_although_shipping_fails() -> None:
    def fail(entries: list[LoggedEntry]) -> Sequence[bool]:
        raise MemoryError(len(entries))

    async def ship() -> bool:
        with ThreadPoolExecutor() as pool:
            return await Gatherer(fail, pool).ship(logged())

    assert not asyncio.run(ship())


def test_after_giving_up_an_entry_that_is_under_way_comes_again() -> None:
    shipping = Shipping()

    async def give_up() -> bool:
        with ThreadPoolExecutor() as pool:
            gatherer = Gatherer(shipping, pool)
            first = asyncio.create_task(gatherer.ship(logged()))
            await asyncio.to_thread(shipping.began.wait, 10)
            gatherer.give_up_in(0.01)
            is_safe = await first
            shipping.go.set()
            return is_safe

    assert not asyncio.run(give_up())


def test_a_request_that_was_cut_off_does_not_stop_the_others() -> None:
    shipping = Shipping()

    async def cut_off() -> bool:
        with ThreadPoolExecutor() as pool:
            gatherer = Gatherer(shipping, pool, window=60)
            first = asyncio.create_task(gatherer.ship(logged()))
            await asyncio.to_thread(shipping.began.wait, 10)
            gone = asyncio.create_task(gatherer.ship(logged()))
            other = asyncio.create_task(gatherer.ship(logged()))
            await asyncio.sleep(0)
            gone.cancel()
            shipping.go.set()
            await first
            return await other

    assert asyncio.run(cut_off())
