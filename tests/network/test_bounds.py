from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.network import bounds
from swarmrace.network.conditions import policer_burst_bytes
from swarmrace.recording.records import PeerInfo
from swarmrace.scenario.scenario import Network

F = 100_000_000
rates = st.floats(min_value=1e3, max_value=1e10)


def test_each_term_computed_by_hand():
    # 100 MB, seeder 10 MB/s up; leechers 2 x 5 MB/s up, 100 MB/s down.
    # F/u_s = 10 s; F/d_min = 1 s; N·F/(u_s + Σu_i) = 200/20 = 10 s
    assert bounds.minimum_seconds(F, [10e6], [5e6, 5e6], [100e6, 100e6]) == 10
    # slow downloader: F/d_min = 50 s
    assert bounds.minimum_seconds(F, [10e6], [5e6, 5e6], [2e6, 100e6]) == 50
    # leechers that barely upload: 2·100/(10 + 0.2) s
    assert bounds.minimum_seconds(F, [10e6], [1e5, 1e5], [100e6, 100e6]) == pytest.approx(
        200 / 10.2
    )
    # two seeders are summed
    assert bounds.minimum_seconds(F, [10e6, 30e6], [math.inf], [math.inf]) == 2.5
    assert bounds.http_minimum_seconds(F, 3, [10e6, 20e6]) == 10


def test_without_limits_the_minimum_is_0():
    assert bounds.minimum_seconds(F, [math.inf], [math.inf], [math.inf]) == 0
    assert bounds.http_minimum_seconds(F, 3, [math.inf]) == 0


@pytest.mark.parametrize("bad", [([], [1.0], [1.0]), ([1.0], [], []), ([0.0], [1.0], [1.0])])
def test_invalid_rates_are_refused(bad):
    with pytest.raises(ValueError, match=r"expected (at least one|them all above 0)"):
        bounds.minimum_seconds(F, *bad)


@given(st.lists(rates, min_size=1, max_size=5), st.lists(st.tuples(rates, rates), min_size=1))
def test_more_rate_never_takes_longer_and_http_is_never_faster_for_equal_seeders(seeders, leechers):
    ups, downs = [up for up, _ in leechers], [down for _, down in leechers]
    minimum = bounds.minimum_seconds(F, seeders, ups, downs)
    assert bounds.minimum_seconds(F, seeders, [2 * up for up in ups], downs) <= minimum
    assert bounds.minimum_seconds(F, [2 * up for up in seeders], ups, downs) <= minimum
    http = bounds.http_minimum_seconds(F, len(leechers), seeders)
    assert minimum <= max(http, F / min(downs)) * (1 + 1e-12)


def test_a_runs_bounds_prefer_measured_rates_and_ignore_unset_ones():
    network = Network(upload=10_000_000)
    infos = {
        peer: PeerInfo(entrant="x", peer=peer, address="127.0.0.1", host="h", rates=measured)
        for peer, measured in enumerate(
            [{"upload": 8e6, "download": 1.0}, {"upload": 9e6, "download": 1.0}, {}]
        )
    }
    found = bounds.of_run(network, infos, [0], 3, F)
    # u_s = 8; Σu_i = 9 measured + 10 as set; downloads aren't limited, so 1 B/s is not d_min.
    assert found.minimum_seconds == pytest.approx(max(100 / 8, 2 * 100 / 27))
    assert found.http_seconds == pytest.approx(2 * 100 / 8)
    assert not found.measured
    assert bounds.of_run(network, dict(list(infos.items())[:2]), [0], 2, F).measured
    assert bounds.of_run(Network(delay_milliseconds=5), infos, [0], 3, F) is None


def test_seeders_may_have_rates_of_their_own():
    network = Network(upload=1_000_000, seeders={"upload": 50_000_000})
    found = bounds.of_run(network, {}, [0], 3, F)
    assert found.minimum_seconds == pytest.approx(200 / 52)


def test_the_limits_minimum_allows_for_full_buckets_at_the_start():
    # 10 MB at 1 MB/s with a burst of 0.5 MB: 9.5 s; the whole swarm: (20 - 1.5) / 3 s.
    seeder, leechers = [bounds.Limit(1e6, 5e5)], [bounds.Limit(1e6, 5e5)] * 2
    free = [bounds.Limit(math.inf)] * 2
    assert bounds.limits_seconds(10**7, seeder, leechers, free) == 9.5
    assert bounds.limits_seconds(10**7, seeder, free, free) == 9.5
    assert bounds.limits_seconds(10**7, [bounds.Limit(4e6)], leechers, leechers) == 9.5
    assert bounds.limits_seconds(10**7, [bounds.Limit(1e7)], leechers, free) == pytest.approx(
        19 / 12
    )
    assert bounds.limits_seconds(1000, seeder, leechers, leechers) == 0
    with pytest.raises(ValueError, match="at least one"):
        bounds.limits_seconds(1000, [], leechers, free)


def test_limits_are_as_set_if_the_preflight_measured_less():
    """A busy machine measures a link too low; a run must not be flagged for that."""
    network = Network(upload=10_000_000)
    infos = {
        peer: PeerInfo(entrant="x", peer=peer, address="a", host="h", rates={"upload": rate})
        for peer, rate in enumerate([8e6, 1.1e7, 1e7])
    }
    found = bounds.of_run(network, infos, [0], 3, F)
    burst = policer_burst_bytes(10_000_000)
    by_seeder, by_all = (F - burst) / 1e7, (2 * F - 3 * burst) / 3.1e7
    assert found.limits_seconds == pytest.approx(max(by_seeder, by_all))
    assert found.limits_seconds < found.minimum_seconds == pytest.approx(12.5)
    assert found.measured


@given(st.lists(rates, min_size=1, max_size=5), st.lists(st.tuples(rates, rates), min_size=1))
def test_without_bursts_both_minima_are_equal(seeders, leechers):
    ups, downs = [up for up, _ in leechers], [down for _, down in leechers]
    limits = [[bounds.Limit(rate) for rate in group] for group in (seeders, ups, downs)]
    assert bounds.limits_seconds(F, *limits) == pytest.approx(
        bounds.minimum_seconds(F, seeders, ups, downs)
    )
