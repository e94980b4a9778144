"""A peer waits until one scraper has had two complete answers after the last run."""

from __future__ import annotations

import asyncio

from swarmrace.metrics.linger import Linger


def lingering(*answers: tuple[str, float], ended: float = 100.0, before=()) -> bool:
    async def main() -> bool:
        linger = Linger(lambda: ended)
        for client, began in before:
            linger.answered(client, began)
        waiting = asyncio.ensure_future(linger.wait(0.02 if answers is None else 0.05))
        await asyncio.sleep(0)
        for client, began in answers:
            linger.answered(client, began)
        return await waiting

    return asyncio.run(main())


def test_two_answers_five_seconds_apart_are_enough():
    assert lingering(("a", 101.0), ("a", 106.0))


def test_answers_closer_together_are_not():
    assert not lingering(("a", 101.0), ("a", 103.0), ("a", 105.9))


def test_the_time_since_the_first_of_several_answers_counts():
    assert lingering(("a", 101.0), ("a", 103.0), ("a", 106.1))


def test_answers_of_two_scrapers_are_not_added():
    assert not lingering(("a", 101.0), ("b", 110.0))


def test_a_request_from_before_the_end_does_not_count():
    assert not lingering(("a", 99.9), ("a", 105.5))


def test_answers_during_the_race_do_not_count():
    assert not lingering(("a", 101.0), before=[("a", 50.0), ("a", 60.0)])
