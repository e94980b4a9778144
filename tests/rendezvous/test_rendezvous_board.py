"""What is posted for a run: references in rank order, and a system's own arrangements."""

from __future__ import annotations

import asyncio

import pytest

from meeting import failure, scenario, served_race
from swarmrace.definitions import BARRIERS
from swarmrace.errors import Reason, TransferError

RUN = "000-a"


def test_posted_references_come_in_rank_order(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(size=4, seeders=3)) as at:
            clients = await at.clients()
            assert await clients[3].references(RUN) == []
            await clients[2].put_reference(RUN, 2, {"cid": "c"})
            await clients[0].put_reference(RUN, 0, {"cid": "a"})
            assert await clients[3].references(RUN) == [{"cid": "a"}, {"cid": "c"}]
            await clients[1].put_reference(RUN, 1, {"cid": "b"})
            await clients[1].put_reference(RUN, 1, {"cid": "B"})
            assert await clients[3].references(RUN) == [{"cid": "a"}, {"cid": "B"}, {"cid": "c"}]

    asyncio.run(story())


def test_a_late_post_leaves_the_board_of_the_run_in_flight_alone(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(repetitions=2)) as at:
            clients = await at.clients()
            at.rendezvous.conductor.flight.leave(2)
            for barrier in BARRIERS[1:]:
                await asyncio.gather(*(c.arrive(RUN, barrier) for c in clients[:2]))
            await clients[0].put_reference("001-a", 0, {"cid": "b"})
            await clients[0].board("001-a").put("key", 1)
            await clients[2].put_reference(RUN, 0, {"cid": "late"})
            await clients[2].board(RUN).put("key", "late")
            assert await clients[1].references("001-a") == [{"cid": "b"}]
            assert await clients[1].board("001-a").get("key") == 1
            assert await clients[1].references(RUN) == []

    asyncio.run(story())


def test_a_get_from_the_board_waits_for_the_post(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(), poll_seconds=0.02) as at:
            clients = await at.clients()
            key = "boot/strap ü?&#"
            waiting = asyncio.ensure_future(clients[1].board(RUN).get(key))
            await clients[0].board(RUN).put("another", 1)
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await clients[0].board(RUN).put(key, {"spr": [1, None, "x"]})
            assert await waiting == {"spr": [1, None, "x"]}
            await clients[0].board(RUN).put(key, 0)
            assert await clients[2].board(RUN).get(key) == 0

    asyncio.run(story())


def test_the_board_of_a_failed_run_lets_nobody_wait(tmp_path):
    async def story():
        async with served_race(tmp_path, scenario(), poll_seconds=0.02) as at:
            clients = await at.clients()
            waiting = asyncio.ensure_future(clients[1].board(RUN).get("bootstrap"))
            await asyncio.sleep(0)
            await clients[0].arrive(RUN, "prepared", failure("prepare"))
            with pytest.raises(TransferError, match="peer 0 failed in prepare") as caught:
                await waiting
            assert caught.value.reason is Reason.NOT_RUN

    asyncio.run(story())
