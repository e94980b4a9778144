from __future__ import annotations

import contextlib
import socket
import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest

from patience import PATIENCE_SECONDS, measured_until, on_a_quiet_moment
from relaying import relayed
from swarmrace.backends.local.delaying import DelayedNetwork
from swarmrace.errors import ConditionError
from swarmrace.network import conditions, frames, offload, relay
from swarmrace.network.namespaces import call_in_scratch, call_inside
from swarmrace.network.rtnetlink import Rtnetlink
from swarmrace.scenario.scenario import Network
from wires import overloaded

pytestmark = pytest.mark.usefixtures("permitted")
EXPERIMENTAL = 0x88B5
"""An EtherType that nothing else uses (IEEE 802)."""


def test_the_same_seed_loses_the_same_frames():
    whole = relay.lost(7, 2, 0, 100_000, 2.5)
    assert np.flatnonzero(whole)[:5].tolist() == [74, 86, 112, 213, 236]
    assert whole.mean() == pytest.approx(0.025, abs=0.0025)
    parts = [relay.lost(7, 2, first, 250, 2.5) for first in range(0, 100_000, 250)]
    assert (np.concatenate(parts) == whole).all()
    for seed, port in ((8, 2), (7, 1)):
        other = relay.lost(seed, port, 0, 100_000, 2.5)
        assert (other & whole).mean() == pytest.approx(0.025**2, abs=0.0005)


@pytest.mark.parametrize(("percent", "share"), [(0, 0), (100, 1)])
def test_a_loss_of_0_and_of_100_percent(percent, share):
    assert relay.lost(1, 0, 0, 1000, percent).mean() == share


def _udp(address: str, family: int = socket.AF_INET) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(PATIENCE_SECONDS)
    return made


def _round_trip(there: socket.socket, back: socket.socket) -> float:
    began = time.monotonic()
    there.sendto(b"ping", back.getsockname())
    _, sender = back.recvfrom(100)
    back.sendto(b"pong", sender)
    there.recv(100)
    return time.monotonic() - began


def _shortest(there: socket.socket, back: socket.socket, below: float) -> float:
    """Return the shortest of some round trips: more of them, on a machine that stalls."""
    found: list[float] = []

    def shortest() -> float:
        found.extend(_round_trip(there, back) for _ in range(5))
        return min(found)

    return measured_until(shortest, lambda seconds: seconds < below)


def test_what_peers_send_is_delayed_and_what_the_hub_sends_is_not(tmp_path):
    with relayed(tmp_path, Network(delay_milliseconds=40)) as made:
        hub, peers = made.network.hub, made.network.peers
        a, b = (call_inside(peer, _udp, peer.address) for peer in peers[:2])
        tracker = call_inside(hub, _udp, hub.address)
        with a, b, tracker:
            # Never sooner than set; later on a machine that pauses, but not every time.
            assert 0.079 < _shortest(a, b, 0.119) < 0.119
            assert 0.039 < _shortest(a, tracker, 0.079) < 0.079
            assert 0.039 < _shortest(tracker, b, 0.079) < 0.079


def test_ipv6_passes_too(tmp_path):
    with relayed(tmp_path, Network(delay_milliseconds=10)) as made:
        sockets = []
        for number, peer in enumerate(made.network.peers[:2], 1):
            address = f"fd00::{number}"
            call_inside(peer, _add_address, peer.interface, address)
            sockets.append(call_inside(peer, _udp, address, socket.AF_INET6))
        with sockets[0] as a, sockets[1] as b:
            assert _shortest(a, b, 0.039) > 0.019


def _add_address(interface: str, address: str) -> None:
    with Rtnetlink() as links:
        links.add_address(interface, address, 64)


def test_frames_of_64_kib_are_cut_before_they_are_delayed(tmp_path):
    with relayed(tmp_path, Network(delay_milliseconds=1)) as made:
        for member in (made.network.hub, *made.network.peers):
            state = call_inside(member, offload.read, member.interface)
            assert not any(state.values()), (member.name, state)


def test_netem_gets_single_frames_too():
    def state() -> dict[str, bool]:
        with Rtnetlink() as links:
            links.add_pair("eth0", "other")
        assert offload.read("eth0")["tso"]
        with contextlib.suppress(ConditionError):  # the kernel may have no netem
            conditions.apply_own(Network(loss_percent=1), seeder=False)
        return offload.read("eth0")

    assert not any(call_in_scratch(state).values())


def _raw(interface: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EXPERIMENTAL))
    made.bind((interface, EXPERIMENTAL))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000_000)
    return made


def _numbered(made, count: int) -> list[int]:
    """Send numbered frames from peer 0 to peer 1; return the received numbers in order."""
    sender, receiver = (call_inside(p, _raw, p.interface) for p in made.network.peers[:2])
    with sender, receiver:
        receiver.settimeout(PATIENCE_SECONDS)
        head = receiver.getsockname()[4] + sender.getsockname()[4] + struct.pack(">H", EXPERIMENTAL)
        came: list[int] = []
        for first in range(0, count, 50):  # no more than relay and receiver hold if they don't run
            for number in range(first, first + 50):
                sender.send(head + struct.pack(">I", number) + bytes(1000))
            while made.counts["frames"] < first + 50 or len(came) < _kept(made):
                if len(came) < _kept(made):
                    came.append(struct.unpack(">I", receiver.recv(2000)[14:18])[0])
                else:
                    time.sleep(0.001)
    return came


def _kept(made) -> int:
    counts = made.counts
    return counts["frames"] - counts["lost"] - counts["overflowed"] - counts["limited"]


@pytest.mark.parametrize("seed", [1, 99])
def test_a_seed_loses_exactly_its_frames_and_the_rest_keep_their_order(tmp_path, seed):
    conditions_set = Network(delay_milliseconds=20, loss_percent=10)
    with relayed(tmp_path, conditions_set, seed) as made:
        assert made.counts["frames"] == 0, "nothing was sent yet"
        came = _numbered(made, 2000)
        counts = made.counts
    expected = np.flatnonzero(~relay.lost(seed, 0, 0, 2000, 10)).tolist()
    assert came == expected
    assert counts["lost"] == 2000 - len(expected)
    assert counts["overflowed"] == counts["limited"] == counts["foreign"] == 0


@pytest.mark.parametrize("socket_bytes", [64_000_000, 40_000])
def test_a_relay_fills_the_queue_of_a_download(tmp_path, monkeypatch, socket_bytes):
    """Even if its sockets are small, as inside a user namespace."""
    monkeypatch.setattr(frames, "_QUEUE_BYTES", socket_bytes)
    monkeypatch.setattr(frames, "_SO_SNDBUFFORCE", socket.SO_SNDBUF)
    conditions_set = Network(delay_milliseconds=20, download="8Mbit", queue_milliseconds=200)
    with relayed(tmp_path, conditions_set) as made:
        pair = made.network.peers[:2]

        def holds(longest_seconds: float) -> bool:
            return 0.85 * 0.22 < longest_seconds < 1.5 * 0.22

        longest_seconds = measured_until(lambda: overloaded(*pair, seconds=1.0), holds)
        assert made.counts["limited"] > 0, "the limiter drops what its queue can't hold"
    assert holds(longest_seconds), longest_seconds


def test_a_trial_measures_delay_and_rates(tmp_path):
    conditions_set = Network(delay_milliseconds=60, upload="4Mbit", download="4Mbit")
    with relayed(tmp_path, conditions_set) as made:
        trial = DelayedNetwork(made.network, made.race, relayed=True)
        found = on_a_quiet_moment(trial.measure)
    assert found.means == "relay"
    # It refuses what is further off.
    assert found.one_way_seconds == pytest.approx(0.060, rel=0.1)
    assert found.needed_rate == 1_500_000
    assert found.carried_rate == pytest.approx(1_500_000, rel=0.1)


def test_a_delay_that_differs_from_the_one_set_is_refused(tmp_path):
    """It is longer than the one set: a machine that pauses can only add to it."""
    with relayed(tmp_path, Network(delay_milliseconds=50)) as made:
        claimed = made.race.model_copy(update={"network": Network(delay_milliseconds=30)})
        with pytest.raises(
            ConditionError, match=r"delayMilliseconds: set 30, measured \d+\.?\d* ms"
        ):
            DelayedNetwork(made.network, claimed, relayed=True).measure()


def test_rates_that_the_machine_cannot_carry_are_refused(tmp_path):
    with (
        relayed(tmp_path, Network(delay_milliseconds=5, upload="30Gbit")) as made,
        pytest.raises(
            ConditionError, match=r"add up to 90 Gbit/s \(11.2 GB/s\), measured .* by relay"
        ),
    ):
        DelayedNetwork(made.network, made.race, relayed=True).measure()


@pytest.mark.parametrize("step", [-3600, -1, -0.005, 0.005, 3600])
def test_a_step_of_the_wall_clock_delays_no_frame(monkeypatch, step):
    now = SimpleNamespace(mono=1_000_000_000_000, wall=1_700_000_000_000_000_000)
    fake = SimpleNamespace(monotonic_ns=lambda: now.mono, time_ns=lambda: now.wall)
    monkeypatch.setattr(relay, "time", fake)
    clock = relay._Clock(3_000_000_000)
    stamped, expected = [], []
    for number in range(20):
        if number == 10:
            now.wall += round(step * 1e9)
        now.mono += 10_000_000
        now.wall += 10_000_000
        stamped.append(divmod(now.wall, 1_000_000_000))
        expected.append(now.mono)
    clock.passed(expected[4])
    frames = np.array(stamped[5:], np.dtype([("sec", "u4"), ("nsec", "u4")]))
    _, arrived = clock.arrivals(frames)
    # A step as short as the time between two frames can't be distinguished from it.
    ambiguous = abs(step) * 1e9 if abs(step) < 0.1 else 0
    assert np.abs(arrived - np.array(expected[5:])).max() <= ambiguous
    clock.passed(expected[-1])
    now.mono += 4_000_000_000
    now.wall += 4_000_000_000
    later = np.array([divmod(now.wall, 1_000_000_000)], frames.dtype)
    assert clock.arrivals(later)[1].tolist() == [now.mono]
