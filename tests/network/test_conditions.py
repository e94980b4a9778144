from __future__ import annotations

import asyncio
import types

import pytest

from swarmrace.errors import ConditionError
from swarmrace.network import conditions, preflight
from swarmrace.network.conditions import (
    FRAME_BYTES,
    Path,
    burst_bytes,
    policer_burst_bytes,
    queue_bytes,
)
from swarmrace.network.namespaces import call_in_scratch, call_inside, run
from swarmrace.scenario.scenario import Link, Network
from wires import SocketMover, overloaded, sink

FAST = Network(upload="400Mbit", download="400Mbit")
RATE = 50_000_000


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
        (125_000, 50, 2 * 16 * FRAME_BYTES),  # a packet as large as a burst has room beside one
        (12_500_000_000, 2_000, 2**32 - 1),  # tc counts no further
    ],
)
def test_a_queue_is_so_much_of_the_rate(rate, milliseconds, held):
    assert queue_bytes(rate, milliseconds) == held


def test_a_rate_is_one_tbf():
    assert conditions.egress_commands("eth0", Path(rate=12_500_000)) == [
        "qdisc replace dev eth0 root handle 1: tbf rate 100000000bit burst 50000 limit 2500000"
    ]


def test_delay_and_loss_are_a_netem_above_the_tbf():
    first, second = conditions.egress_commands("eth0", Path(12_500_000, 40.5, 0.1))
    assert first.startswith("qdisc replace dev eth0 root handle 1: netem limit ")
    assert first.endswith(" delay 40.5ms loss 0.1%")
    assert second.startswith("qdisc replace dev eth0 parent 1:1 handle 10: tbf rate 100000000bit ")


@pytest.mark.parametrize("rate", [None, 12_500_000, 1_250_000_000])
def test_netem_never_drops_what_is_only_delayed(rate):
    (line, *_) = conditions.egress_commands("eth0", Path(rate, 100, 0))
    limit = int(line.split(" limit ")[1].split()[0])
    assert limit * FRAME_BYTES > (rate or 1_250_000_000) * 0.1 + queue_bytes(rate or 1, 200)


@pytest.mark.parametrize("relayed", [False, True])
@pytest.mark.parametrize("milliseconds", [50, 800])
def test_the_scenarios_queue_is_that_of_every_limiter(monkeypatch, milliseconds, relayed):
    """On one machine, with and without the relay, and inside a pod; a policer has none."""
    lines: list[str] = []
    monkeypatch.setattr(conditions, "_tc", lines.extend)
    monkeypatch.setattr(conditions, "run", lambda *_, **__: "")
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
    limits = [int(line.rsplit(" limit ", 1)[1]) for line in lines if " tbf " in line]
    assert limits == 2 * [1_000 * milliseconds, 3_000 * milliseconds]
    assert conditions.police_commands("eth0", 3_000_000)[1].count(" burst 150000 ") == 1


@pytest.mark.parametrize("direction", ["upload", "download"])
@pytest.mark.parametrize("milliseconds", [50, 200])
def test_a_full_queue_delays_by_what_is_set(network, milliseconds, direction):
    """A sender that never stops finds the queue full: a packet waits as long as the queue is."""
    first, second = network.peers[:2]
    set_ = Network.model_validate({direction: "8Mbit", "queueMilliseconds": milliseconds})
    limited = first if direction == "upload" else second
    conditions.apply(network.ports, limited, set_, seeder=False)
    waited: list[float] = []
    while not waited:  # on a busy machine the receiver may not run within a second
        waited = sorted(overloaded(first, second, seconds=1.0))
    typical = 1000 * waited[len(waited) // 2]
    assert 0.85 * milliseconds < typical < 1.5 * milliseconds


def test_no_condition_is_no_command():
    assert conditions.egress_commands("eth0", Path()) == []
    assert not conditions.faults(Network())


def test_seeders_have_their_own_link():
    network = Network(upload="8Mbit", delay_milliseconds=5, seeders=Link(upload="80Mbit"))
    assert conditions.paths(network, seeder=True) == (Path(10_000_000, 5, 0), Path(None))
    assert conditions.paths(network, seeder=False) == (Path(1_000_000, 5, 0), Path(None))


def test_what_the_kernel_lacks_is_one_line_with_how_to_get_it(permitted, monkeypatch):
    can = conditions.probe()
    assert set(can) == {"tbf", "netem", "relay", "ifb", "police"}
    delayed = Network(delay_milliseconds=3, loss_percent=1)
    assert conditions.faults(delayed) == [], "a relay serves delay where netem can't"
    assert conditions.relayed(delayed) == bool(can["netem"])
    assert not conditions.relayed(Network(upload="8Mbit"))
    monkeypatch.setattr(conditions, "probe", lambda: {**can, "relay": "needs CONFIG_PACKET"})
    lines = conditions.faults(delayed)
    if can["netem"]:
        assert [line.split(": ")[0] for line in lines] == [
            "global.race.network.delayMilliseconds",
            "global.race.network.lossPercent",
        ]
        assert all("CONFIG_NET_SCH_NETEM" in line and "\n" not in line for line in lines)
        with pytest.raises(ConditionError, match=r"CONFIG_NET_SCH_NETEM.*\[tc "):
            call_in_scratch(
                lambda: conditions.apply_own(Network(loss_percent=1), seeder=False, device="lo")
            )
    else:
        assert lines == []
        call_in_scratch(run, "tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "1ms")


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


def test_seeders_and_leechers_are_limited_apart(network):
    network_ = Network(upload="400Mbit", seeders=Link(download="400Mbit"))
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
    nonsense = ["qdisc replace dev eth0 root nonsense"]
    monkeypatch.setattr(conditions, "ifb_commands", lambda *_: (["link show nothing"], nonsense))
    monkeypatch.setattr(conditions, "police_commands", lambda *_: nonsense)
    with pytest.raises(ConditionError, match=r"CONFIG_IFB.*CONFIG_NET_ACT_POLICE"):
        call_inside(network.peers[0], lambda: conditions.apply_own(FAST, seeder=False))
