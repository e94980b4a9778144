from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from patience import measured_until
from swarmrace.errors import ConditionError
from swarmrace.network import preflight
from swarmrace.network.conditions import burst_bytes
from swarmrace.network.namespaces import call_inside
from swarmrace.network.rtnetlink import Qdisc, Rtnetlink
from swarmrace.scenario.scenario import Link, Network
from swarmrace.units import format_link_rate, parse_rate
from wires import SocketMover, sink

RATE = 25_000_000
SLOW = 2_000_000
"""So low that a link without a limit is faster even on a busy machine."""


class Answers(SocketMover):
    """Moves nothing: takes as long as one rate would, by a time of its own, and reports another."""

    def __init__(self, rate: float, pace: float) -> None:
        super().__init__(("", 0))
        self.rate, self.pace, self.asked = rate, pace, []
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def _timed(self, direction: str, size_bytes: int) -> float:
        self.asked.append((direction, size_bytes))
        self.now += size_bytes / self.pace
        return self.rate


@pytest.fixture
def answers(monkeypatch):
    """Return a function that makes `Answers`, by whose time the preflight judges."""

    def make(rate: float, pace: float) -> Answers:
        mover = Answers(rate, pace)
        monkeypatch.setattr(preflight, "time", mover)
        return mover

    return make


@pytest.mark.parametrize("rate", [125_000, 12_500_000, 1_250_000_000])
def test_more_than_the_burst_is_moved(rate):
    size, burst, skip = preflight.amounts(rate)
    assert burst == burst_bytes(rate) < skip < size
    assert size - skip >= 8 * burst


def test_the_steady_part_comes_after_the_queue_is_filled():
    rate = 25_000_000
    skips = [preflight.amounts(rate, queue_milliseconds=each)[2] for each in (50, 2_000)]
    assert skips == [burst_bytes(rate) + rate // 20, burst_bytes(rate) + 2 * rate]


def test_the_scenarios_queue_is_skipped(answers):
    mover = answers(RATE * 0.95, pace=RATE)
    asyncio.run(preflight.measure(mover, Link(download=RATE), queue_milliseconds=700, lossy=True))
    assert mover.asked[-1][1] == preflight.amounts(RATE, queue_milliseconds=700)[0]


def test_only_directions_with_a_rate_are_measured(answers):
    mover = answers(RATE * 0.95, pace=RATE * 0.9)
    rates = asyncio.run(preflight.measure(mover, Link(download=RATE)))
    assert {direction for direction, _ in mover.asked} == {"d"}
    assert rates == {"download": RATE * 0.95}
    assert not mover.leased


def test_a_foreign_burst_is_used_up_first(answers):
    mover = answers(RATE, pace=RATE * 50)
    with pytest.raises(ConditionError, match="the limit does not hold here"):
        asyncio.run(preflight.measure(mover, Link(upload=RATE), burst=60_000_000))
    *before, measured = (size for _, size in mover.asked)
    assert 60_000_000 <= sum(before) < 60_000_000 + RATE
    assert measured == preflight.amounts(RATE)[0]


class Bucket(SocketMover):
    """A token bucket in front of a faster line, with its own time; bits pass as a fluid."""

    def __init__(self, rate: float, line: float, burst: float) -> None:
        super().__init__(("", 0))
        self.rate, self.line, self.burst, self.tokens = rate, line, burst, float(burst)
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def preflight_upload(self, size_bytes: int, skip_bytes: int = 0) -> float:
        self._pass(0, 0.001)  # a connection is made
        self._pass(skip_bytes)
        began = self.now
        self._pass(size_bytes - skip_bytes)
        return (size_bytes - skip_bytes) / (self.now - began)

    def _pass(self, count: float, seconds: float = 0.0) -> None:
        self.tokens = min(self.burst, self.tokens + self.rate * seconds)
        fast = min(count, self.tokens * self.line / (self.line - self.rate))
        self.tokens -= fast * (1 - self.rate / self.line)
        self.now += seconds + fast / self.line + (count - fast) / self.rate


@pytest.mark.parametrize("burst_seconds", [0.2, 1, 15])
@pytest.mark.parametrize("faster", [2, 10, 100])
def test_bytes_that_the_rate_adds_to_a_burst_are_used_up_too(monkeypatch, faster, burst_seconds):
    """While a burst of B passes at the line's rate, rate * t is added to it."""
    bucket = Bucket(RATE, RATE * faster, RATE * burst_seconds)
    monkeypatch.setattr(preflight, "time", bucket)
    rates = asyncio.run(preflight.measure(bucket, Link(upload=RATE), int(bucket.burst)))
    assert rates["upload"] == pytest.approx(RATE)
    assert bucket.now - 1000 < preflight.BURST_SECONDS + 3


@pytest.mark.parametrize("faster", [1.2, 2, 10, 100])
def test_a_line_without_a_limit_is_detected_behind_any_burst(monkeypatch, faster):
    line = Bucket(RATE * faster, RATE * faster * 1.001, 1)
    monkeypatch.setattr(preflight, "time", line)
    with pytest.raises(ConditionError, match="the limit does not hold here"):
        asyncio.run(preflight.measure(line, Link(upload=RATE), RATE))
    # RATE + RATE * t has come through after 1 / (faster - 1) s, in steps of half a second's worth
    assert line.now - 1000 < 1 / (faster - 1) + 2


def test_once_a_limit_is_in_effect_its_burst_is_used_up(answers):
    mover = answers(RATE * 0.95, pace=RATE * 0.9)
    asyncio.run(preflight.measure(mover, Link(upload=RATE), burst=10**12))
    assert len(mover.asked) == 3


def test_a_burst_that_outlasts_its_time_is_no_limit(answers):
    mover = answers(RATE, pace=RATE * 50)
    with pytest.raises(ConditionError, match="the limit does not hold here"):
        asyncio.run(preflight.measure(mover, Link(upload=RATE), burst=10**12))


def test_the_measurement_of_a_blocked_link_ends_in_time(monkeypatch):
    monkeypatch.setattr(preflight, "SECONDS", 0.01)
    monkeypatch.setattr(preflight, "MAX_SECONDS", 0.5)

    class Blocked(SocketMover):
        async def _timed(self, direction: str, size_bytes: int) -> float:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(ConditionError, match=r"network\.upload: .* not measured within 0.5 s"):
        asyncio.run(preflight.measure(Blocked(("", 0)), Link(upload=RATE)))


@pytest.mark.parametrize("rate", ["1B", "1kB", "8kbit", "4kB"])
def test_a_rate_that_takes_too_long_to_measure_is_refused_at_once(rate):
    mover, network = Answers(RATE, pace=RATE), Network.model_validate({"upload": rate})
    (line,) = preflight.faults(network)
    found = format_link_rate(parse_rate(rate))
    assert line.startswith(f"global.race.network.upload: set {found}, expected 40 kbit/s (5 kB/s)")
    with pytest.raises(ConditionError, match=r"expected 40 kbit/s \(5 kB/s\) or more"):
        asyncio.run(preflight.measure(mover, network.link(seeder=False)))
    assert not mover.asked


def test_every_rate_that_is_too_low_is_named():
    slow = {"download": "1kB", "seeders": {"upload": "1MB", "download": "2kB"}}
    names = [line.split(": ")[0] for line in preflight.faults(Network.model_validate(slow))]
    assert names == ["global.race.network.download", "global.race.network.seeders.download"]
    assert preflight.faults(Network.model_validate({"upload": "5kB", "delayMilliseconds": 50})) == (
        []
    ), "measured within the time"
    (line,) = preflight.faults(Network(upload=10**6, delay_milliseconds=60_000))
    assert "set a shorter delay" in line


def test_a_late_stamp_does_not_refuse_a_race(answers):
    # The steady part seems three times too fast, but the whole transfer took long enough.
    rates = asyncio.run(preflight.measure(answers(RATE * 3, pace=RATE), Link(upload=RATE)))
    assert rates == {"upload": RATE}


def with_huge_burst(network, known):
    """Measure behind a limiter such as a CNI plugin's, whose burst is known or not."""
    peer, burst = network.peers[0], 100_000_000

    def limit() -> None:
        with Rtnetlink() as links:
            huge = {"rate": SLOW, "burst": burst, "limit": 600_000_000}
            links.replace_qdisc("eth0", Qdisc("tbf", huge))

    call_inside(peer, limit)
    with sink(network.hub) as address:
        mover = SocketMover(address)
        measured = preflight.measure(mover, Link(upload=SLOW), burst if known else None)
        return call_inside(peer, lambda: asyncio.run(measured))


def test_a_limit_with_a_huge_burst_that_is_known_holds(network):
    # A process that stands still looks limited before the burst is used up, and then is refused.
    def measure() -> dict[str, float] | None:
        with contextlib.suppress(ConditionError):
            return with_huge_burst(network, known=True)
        return None

    rates = measured_until(measure, bool)
    assert rates
    assert 0 < rates["upload"] <= 1.1 * SLOW


def test_a_limit_with_a_huge_burst_is_refused(network):
    def measure() -> str:
        try:
            with_huge_burst(network, known=False)
        except ConditionError as error:
            return str(error)
        return "not refused: it stood still for as long as the rate takes"

    line = measured_until(measure, lambda line: "not refused" not in line)
    assert line.startswith("global.race.network.upload: set 16 Mbit/s (2 MB/s), measured ")
    assert "\n" not in line


def test_a_low_measurement_is_repeated_and_the_highest_counts(monkeypatch):
    found = iter([0.3, 0.6, 0.5, 0.4, 0.9])

    async def once(*_):
        return RATE * next(found)

    monkeypatch.setattr(preflight, "_measure_once", once)
    mover = Answers(0, pace=RATE * 50)
    rates = asyncio.run(preflight.measure(mover, Link(upload=RATE, download=RATE)))
    assert rates == {"upload": RATE * 0.6, "download": RATE * 0.9}


@pytest.mark.parametrize("factor", [1.11, 2])
def test_above_ten_percent_is_refused(factor):
    with pytest.raises(
        ConditionError, match=r"global\.race\.network\.download: set 200 Mbit/s \(25 MB/s\)"
    ):
        preflight.judge("download", RATE, RATE * factor)


def test_a_rate_far_below_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        preflight.judge("upload", RATE, RATE * 1.09)
        preflight.judge("upload", RATE, RATE * 0.9)
        assert not caplog.records
        preflight.judge("upload", RATE, RATE * 0.5)
    assert "set 200 Mbit/s (25 MB/s), measured 100 Mbit/s (12.5 MB/s)" in caplog.text
