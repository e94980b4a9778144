from __future__ import annotations

import asyncio
import types
from unittest import mock

import pytest

from patience import measured_until
from swarmrace.errors import ConditionError
from swarmrace.network import conditions, preflight
from swarmrace.network.conditions import (
    FRAME_BYTES,
    Path,
    burst_bytes,
    policer_burst_bytes,
    queue_bytes,
)
from swarmrace.network.namespaces import call_in_scratch, call_inside
from swarmrace.network.rtnetlink import Qdisc, Rtnetlink
from swarmrace.scenario.scenario import Link, Network
from wires import SocketMover, overloaded, sink

FAST = Network(upload="16Mbit", download="16Mbit")
RATE = 2_000_000
"""So low that a link without a limit is faster even on a busy machine."""


@pytest.mark.parametrize(
    ("rate", "burst"),
    [
        (125_000, 16 * FRAME_BYTES),  # 1 Mbit: what passes in 4 ms is less than a frame
        (12_500_000, 50_000),
        (125_000_000, 500_000),
    ],
)
def test_a_burst_is_one_tick_and_at_least_sixteen_frames(rate, burst):
    assert burst_bytes(rate) == burst
    assert queue_bytes(rate, 10) >= 2 * burst
    assert policer_burst_bytes(rate) >= 2 * burst


@pytest.mark.parametrize(
    ("rate", "milliseconds", "held"),
    [
        (2_500_000, 200, 500_000),
        (2_500_000, 50, 125_000),
        (125_000, 50, 2 * 16 * FRAME_BYTES),  # has room for a burst and a packet as large as one
        (12_500_000_000, 2_000, 2**32 - 1),  # the maximum of tc
    ],
)
def test_a_queue_is_proportional_to_the_rate(rate, milliseconds, held):
    assert queue_bytes(rate, milliseconds) == held


def test_a_rate_is_one_tbf():
    assert conditions.egress_qdiscs(Path(rate=12_500_000)) == [
        Qdisc("tbf", {"rate": 12_500_000, "burst": 50_000, "limit": 2_500_000})
    ]


def test_delay_and_loss_are_a_netem_above_the_tbf():
    netem, tbf = conditions.egress_qdiscs(Path(12_500_000, 40.5, 0.1))
    assert (netem.kind, netem.parent, netem.handle) == ("netem", "", "1:0")
    assert (netem.options["delay"], netem.options["loss"]) == (40_500, 0.1)
    assert (tbf.kind, tbf.parent, tbf.handle) == ("tbf", "1:1", "10:0")
    assert tbf.options["rate"] == 12_500_000


@pytest.mark.parametrize("rate", [None, 12_500_000, 1_250_000_000])
def test_netems_limit_exceeds_what_is_in_flight(rate):
    (netem, *_) = conditions.egress_qdiscs(Path(rate, 100, 0))
    assert netem.options["limit"] * FRAME_BYTES > (rate or 1_250_000_000) * 0.1 + queue_bytes(
        rate or 1, 200
    )


@pytest.mark.parametrize("relayed", [False, True])
@pytest.mark.parametrize("milliseconds", [50, 800])
def test_every_limiter_has_the_scenarios_queue(monkeypatch, milliseconds, relayed):
    """On one machine, with and without the relay, and inside a pod; a policer has no queue."""
    links = mock.MagicMock()
    links.__enter__.return_value = links
    monkeypatch.setattr(conditions, "Rtnetlink", lambda: links)
    monkeypatch.setattr(conditions, "keep_silent", lambda _: None)
    monkeypatch.setattr(conditions, "call_inside", lambda _, function, *args: function(*args))
    monkeypatch.setattr(conditions.offload, "turn_off", lambda _: None)
    peer = types.SimpleNamespace(interface="eth0", port="port0")
    set_ = Network(
        upload=1_000_000,
        download=3_000_000,
        delay_milliseconds=5 * relayed,
        queue_milliseconds=milliseconds,
    )
    conditions.apply("ports", peer, set_, seeder=False, relayed=relayed)
    conditions.apply_own(set_, seeder=False)
    qdiscs = [call.args[1] for call in links.replace_qdisc.call_args_list]
    limits = [each.options["limit"] for each in qdiscs if each.kind == "tbf"]
    assert limits == 2 * [1_000 * milliseconds, 3_000 * milliseconds]
    links.redirect_incoming.side_effect = ConditionError("no ifb")
    assert conditions.apply_own(set_, seeder=False) == "police"
    links.police_incoming.assert_called_once_with("eth0", 3_000_000, 150_000)


@pytest.mark.parametrize("direction", ["upload", "download"])
@pytest.mark.parametrize("milliseconds", [50, 200])
def test_a_full_queue_delays_by_the_queue_set(network, milliseconds, direction):
    """A sender that never stops fills the queue, so a packet waits for all of the queue."""
    first, second = network.peers[:2]
    set_ = Network.model_validate({direction: "8Mbit", "queueMilliseconds": milliseconds})
    limited = first if direction == "upload" else second
    conditions.apply(network.ports, limited, set_, seeder=False)

    def holds(longest_seconds: float) -> bool:
        return 0.85 * milliseconds < 1000 * longest_seconds < 1.5 * milliseconds

    longest_seconds = measured_until(lambda: overloaded(first, second), holds)
    assert holds(longest_seconds), longest_seconds


def test_without_conditions_nothing_is_set():
    assert conditions.egress_qdiscs(Path()) == []
    assert not conditions.faults(Network())


def test_seeders_have_their_own_link():
    network = Network(upload="8Mbit", delay_milliseconds=5, seeders=Link(upload="80Mbit"))
    assert conditions.paths(network, seeder=True) == (Path(10_000_000, 5, 0), Path(None))
    assert conditions.paths(network, seeder=False) == (Path(1_000_000, 5, 0), Path(None))


def test_a_feature_that_the_kernel_lacks_is_one_line_with_the_remedy(permitted, monkeypatch):
    can = conditions.probe()
    assert set(can) == {"tbf", "netem", "relay", "ifb", "police"}
    delayed = Network(delay_milliseconds=3, loss_percent=1)
    assert conditions.faults(delayed) == [], "a relay serves delay where netem can't"
    assert conditions.needs_relay(delayed) == bool(can["netem"])
    assert not conditions.needs_relay(Network(upload="8Mbit"))
    monkeypatch.setattr(conditions, "probe", lambda: {**can, "relay": "needs CONFIG_PACKET"})
    lines = conditions.faults(delayed)
    if can["netem"]:
        assert [line.split(": ")[0] for line in lines] == [
            "global.race.network.delayMilliseconds",
            "global.race.network.lossPercent",
        ]
        assert all("CONFIG_NET_SCH_NETEM" in line and "\n" not in line for line in lines)
        with pytest.raises(ConditionError, match=r"CONFIG_NET_SCH_NETEM.*\[qdisc netem of lo: "):
            call_in_scratch(
                lambda: conditions.apply_own(Network(loss_percent=1), seeder=False, device="lo")
            )
    else:
        assert lines == []
        call_in_scratch(
            lambda: conditions.apply_own(Network(delay_milliseconds=1), seeder=False, device="lo")
        )


def _measure(hub, peer, link=FAST):
    with sink(hub) as address:
        return call_inside(peer, lambda: asyncio.run(preflight.measure(SocketMover(address), link)))


def test_rates_hold_between_peer_and_hub(network):
    conditions.apply(network.hub, network.peers[0], FAST, seeder=False)
    rates = _measure(network.hub, network.peers[0])
    assert set(rates) == {"upload", "download"}
    for rate in rates.values():
        assert 0 < rate <= 1.1 * RATE
    with pytest.raises(ConditionError, match=r"the limit does not hold here"):
        _measure(network.hub, network.peers[1])  # another peer is not limited


def test_seeders_and_leechers_have_separate_limits(network):
    network_ = Network(upload="16Mbit", seeders=Link(download="16Mbit"))
    conditions.apply(network.hub, network.peers[0], network_, seeder=True)
    conditions.apply(network.hub, network.peers[1], network_, seeder=False)
    assert _measure(network.hub, network.peers[0], Link(download=RATE))["download"] <= 1.1 * RATE
    assert _measure(network.hub, network.peers[1], Link(upload=RATE))["upload"] <= 1.1 * RATE
    for peer, link in ((0, Link(upload=RATE)), (1, Link(download=RATE))):
        with pytest.raises(ConditionError, match=r"the limit does not hold here"):
            _measure(network.hub, network.peers[peer], link)


def test_rates_hold_when_set_from_the_inside(network):
    can = conditions.probe()
    peer = network.peers[0]
    if can["ifb"] and can["police"]:
        with pytest.raises(ConditionError, match=r"CONFIG_IFB.*CONFIG_NET_ACT_POLICE"):
            call_inside(peer, lambda: conditions.apply_own(FAST, seeder=False))
        return
    way = call_inside(peer, lambda: conditions.apply_own(FAST, seeder=False))
    assert way == ("police" if can["ifb"] else "ifb")
    for rate in _measure(network.hub, peer).values():
        assert 0 < rate <= 1.1 * RATE


def test_a_download_that_cannot_be_limited_inside_is_refused(network, monkeypatch):
    def refuse(*_, **__) -> None:
        raise ConditionError("filter: failed")

    monkeypatch.setattr(Rtnetlink, "_filter_incoming", refuse)
    with pytest.raises(ConditionError, match=r"CONFIG_IFB.*CONFIG_NET_ACT_POLICE"):
        call_inside(network.peers[0], lambda: conditions.apply_own(FAST, seeder=False))


def test_a_rate_that_cannot_be_set_is_refused_with_the_maximum(network):
    limited = Network.model_validate({"download": "40Gbit", "seeders": {"upload": "100Gbit"}})
    download, upload = conditions.faults(limited)
    assert download.startswith("global.race.network.download: found 40 Gbit/s (5 GB/s), expected")
    assert "at most 34.4 Gbit/s" in download
    assert upload.startswith("global.race.network.seeders.upload: found 100 Gbit/s")
    with pytest.raises(ConditionError, match=r"download: found 40 Gbit/s"):
        call_inside(network.peers[0], lambda: conditions.apply_own(limited, seeder=False))
