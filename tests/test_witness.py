"""The witness benchmark on hand-made packets and on those of small real races."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import struct
from itertools import pairwise

import pytest
from click.testing import CliRunner

from paths import ROOT
from patience import TRIES, on_a_quiet_moment
from swarmrace.network import namespaces
from swarmrace.recording.records import Mark, PeerResult, Transfer, Wire

MISSING_TOOLS = ["tcpdump: not found"] * (shutil.which("tcpdump") is None)
REFUSALS = [*namespaces.refusals(), *MISSING_TOOLS, *["captures: need root"] * (os.geteuid() != 0)]
HANDSHAKE = b"\x13BitTorrent protocol" + bytes(48)
SEEDER, OTHER = "10.213.1.1", "10.213.1.2"


@pytest.fixture(autouse=True)
def _from_the_checkout(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def module(name):
    return importlib.import_module(f"benchmarks.{name}")


def tcp(t_ns, at, payload, source=SEEDER, syn=False, first=4_294_967_000):
    """Return a packet whose payload begins at byte `at` of the stream.

    The default first sequence number wraps around within a short stream.
    """
    sequence = (first + (0 if syn else 1 + at)) & 0xFFFFFFFF
    capture = module("capture")
    size = 66 + len(payload)
    return capture.Packet(
        t_ns, source, (6881, 40000), 6, sequence, syn, memoryview(payload), size, 66
    )


def piece(number, begin, data):
    return struct.pack(">IBII", 9 + len(data), 7, number, begin) + data


def progress(kind, packets, sources=(SEEDER, OTHER)):
    streams = module("streams")
    found = getattr(streams, kind)(streams.streams(packets, sources))
    return list(zip(found.t_ns.tolist(), found.total.tolist(), strict=True))


def test_a_byte_arrives_in_order_once_all_before_it_have_arrived():
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + bytes(3000)
    body = data.index(b"\r\n\r\n") + 4
    packets = [
        tcp(1, 0, b"", syn=True),
        tcp(2, 0, data[:20]),
        tcp(3, 1020, data[1020:2020]),  # out of order
        tcp(4, 2020, data[2020:]),
        tcp(5, 20, data[20:520]),
        tcp(6, 20, data[20:520]),  # retransmitted
        tcp(7, 500, data[500:1030]),  # closes the gap and overlaps both sides
        tcp(8, 0, data[:1]),  # keep-alive
    ]
    assert progress("http", packets) == [
        (5, 520 - body),
        (7, 1030 - body),
        (7, 2020 - body),
        (7, 3000),
    ]


def test_piece_messages_are_found_wherever_packets_end():
    data = (
        HANDSHAKE
        + struct.pack(">IB", 1, 1)
        + bytes(4)
        + piece(3, 0, bytes(100))
        + piece(3, 100, bytes(50))
    )
    first = data.index(piece(3, 0, b"")[4:9]) + 9
    for step in (1, 7, 64, 1000):
        packets = [tcp(0, 0, b"", syn=True)]
        packets += [tcp(1 + at, at, data[at : at + step]) for at in range(0, len(data), step)]
        found = progress("bittorrent", packets)
        assert found[-1][1] == 150
        instants = {total: t for t, total in found}
        for total, at in ((100, first + 99), (150, len(data) - 1)):
            assert instants[total] == 1 + at // step * step
        if step == 1:
            assert [total for _, total in found] == list(range(1, 151))


def test_a_block_from_two_peers_counts_once_up_to_the_larger_part():
    data = HANDSHAKE + piece(0, 0, bytes(100))
    start = len(data) - 100
    packets = [
        tcp(0, 0, b"", syn=True),
        tcp(0, 0, b"", OTHER, syn=True),
        tcp(1, 0, data[: start + 30]),
        tcp(2, 0, data[: start + 20], OTHER),
        tcp(3, start + 20, data[start + 20 : start + 60], OTHER),
        tcp(4, start + 30, data[start + 30 :]),
        tcp(5, start + 60, data[start + 60 :], OTHER),
        tcp(6, 0, data, "10.213.0.1"),  # not from one of the sources
    ]
    assert progress("bittorrent", packets) == [(1, 30), (3, 60), (4, 100)]


def test_utp_is_reassembled_across_the_wrap_of_its_sequence_numbers():
    capture = module("capture")
    data = HANDSHAKE + piece(0, 0, bytes(range(200)))
    start = len(data) - 200
    cuts = [0, 50, start, start + 80, start + 150, len(data)]
    parts = [data[a:b] for a, b in pairwise(cuts)]

    def datagram(t_ns, number, part, kind=0, extension=b""):
        head = struct.pack(">BBH", kind << 4 | 1, 1 if extension else 0, 77) + bytes(12)
        payload = head + struct.pack(">HH", number & 0xFFFF, 0) + extension + part
        return capture.Packet(
            t_ns, SEEDER, (6881, 6881), 17, 0, False, memoryview(payload), 42 + len(payload), 42
        )

    sack = bytes([0, 4]) + bytes(4)
    packets = [
        datagram(1, 65_533, b"", kind=2),
        datagram(2, 65_534, parts[0]),
        datagram(3, 65_536, parts[2]),  # number 0, out of order
        datagram(4, 65_535, parts[1], extension=sack),
        datagram(5, 65_538, parts[4]),
        datagram(6, 65_537, parts[3]),
        datagram(7, 65_537, parts[3]),  # retransmitted
    ]
    assert progress("bittorrent", packets) == [(4, 80), (6, 150), (6, 200)]


def test_a_capture_file_is_read_and_other_formats_are_refused(tmp_path):
    capture = module("capture")
    address = bytes([10, 213, 1, 1])
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + 32 + 3000, 0, 0, 64, 6, 0) + address + address
    head = struct.pack(">HHIIBBHHH", 6881, 4000, 17, 0, 8 << 4, 16, 0, 0, 0) + bytes(12)
    frame = bytes(12) + struct.pack(">H", 0x0800) + ip + head + b"x" * 3000
    file = tmp_path / "one.pcap"
    record = struct.pack("=IIII", 5, 7, len(frame), len(frame)) + frame
    arp = bytes(12) + struct.pack(">H", 0x0806) + bytes(28)
    noise = struct.pack("=IIII", 5, 6, len(arp), len(arp)) + arp
    file.write_bytes(struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1) + noise + record)
    (found,) = capture.packets(file, offset_ns=1_000_000_000)
    assert (found.t_ns, found.source, found.ports) == (4_000_000_007, SEEDER, (6881, 4000))
    assert (found.sequence, found.syn, bytes(found.payload)) == (17, False, b"x" * 3000)
    assert capture.wire_bytes(found) == 3 * 66 + 3000, "three segments with their own headers"
    file.write_bytes(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    with pytest.raises(ValueError, match="nanosecond stamps"):
        list(capture.packets(file))


def _output(captured, received, dropped):
    return (
        f"listening on eth0\n{captured} packet{'s' * (captured > 1)} captured\n"
        f"{received} packets received by filter\n{dropped} packets dropped by kernel\n"
    )


@pytest.mark.parametrize(
    ("output", "drift_ns", "reason"),
    [
        (_output(10, 10, 0), 1000, ""),
        (_output(7, 10, 3), 0, "captured 7 of 10 packets and dropped 3"),
        (_output(9, 10, 0), 0, "captured 9 of 10 packets and dropped 0"),
        (_output(1, 1, 0), -2_000_000, "moved by -2.0 ms"),
        ("tcpdump: The interface disappeared", 0, "did not end normally"),
    ],
)
def test_a_capture_that_missed_packets_or_lost_its_clock_is_void(output, drift_ns, reason):
    found = module("capture").void_reason(output, drift_ns)
    assert reason in found
    assert bool(found) == bool(reason)


def leecher(first_byte=0.011, stall=0.5):
    marks = [
        Mark(percent=p, seconds=s, resolution_seconds=0.001)
        for p, s in ((0, first_byte), (10, 0.101), (50, 0.502), (90, 0.9), (100, 1.003))
    ]
    transfer = Transfer(
        start_lag_seconds=0,
        start_error_seconds=0,
        start_monotonic_nanoseconds=5_000_000_000,
        arrival=marks,
        longest_stall_seconds=stall,
        longest_stall_resolution_seconds=0.01,
    )
    wire = Wire(sent_bytes=0, received_bytes=1010, sent_packets=0, received_packets=0)
    return PeerResult(
        race_id="r", run_id="0", entrant="raced", peer=1, role="leecher", repetition=0, seed=1,
        payload_seed="", size_bytes=1000, outcome="completed", transfer=transfer, wire=wire,
    )  # fmt: skip


def compare(result):
    witness, streams = module("witness"), module("streams")
    np = importlib.import_module("numpy")
    t = np.array([10, 100, 500, 900, 1000]) * 1_000_000 + 5_000_000_000
    progress = streams.Progress(t, np.array([1, 100, 500, 900, 1000]))
    return witness.compare(result, progress, 1000)


def test_reported_figures_are_compared_with_the_wire():
    found = compare(leecher())
    differences = {name: round(figure["difference"], 6) for name, figure in found.items()}
    assert differences == {
        "first byte": 0.001, "t10": 0.001, "t50": 0.002, "t90": 0, "t100": 0.003,
        "longest stall": 0.1, "wire bytes": 0.01,
    }  # fmt: skip
    assert found["t90"]["aim"] == pytest.approx(0.010)
    assert found["longest stall"]["aim"] == pytest.approx(0.020)


@pytest.mark.parametrize(("first_byte", "code"), [(0.0149, 0), (0.0151, 1)])
def test_a_missed_aim_fails_the_command(tmp_path, first_byte, code):
    witness = module("witness")
    figures = compare(leecher(first_byte, stall=0.4))
    figures["wire bytes"]["difference"] = 0.001
    keep = tmp_path / "runs.jsonl"
    keep.write_text(json.dumps({"case": "HTTP, 100 MB, no limit", "figures": figures}) + "\n")
    arguments = ["--runs", "0", "--case", "HTTP, 100 MB, no", "--keep", str(keep)]
    done = CliRunner().invoke(witness.main, arguments)
    assert done.exit_code == code, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["met"] for line in lines].count(False) == code


def test_an_incomplete_payload_on_the_wire_is_an_error():
    result = leecher().model_copy(update={"size_bytes": 1001})
    with pytest.raises(ValueError, match="found 1000 payload bytes on the wire, expected 1001"):
        compare(result)


@pytest.mark.skipif(bool(REFUSALS), reason=f"NOT TESTED: {'; '.join(REFUSALS)}")
@pytest.mark.parametrize(
    "name",
    [
        "BitTorrent tuned, 100 MB, no limit",
        "HTTP, 100 MB, 20 ms RTT",
        "BitTorrent stock, 100 MB, 100 Mbit/s",
    ],
)
def test_the_wire_carries_the_bytes_that_a_real_race_reports(name):
    """The test compares the bytes; the benchmark measures how late they are reported."""
    witness = module("witness")
    (case,) = [case for case in witness.CASES if case.name == name]
    result = None
    for _ in range(TRIES):  # on a busy machine captures may miss packets
        try:
            # Raises a ValueError if the payload on the wire is incomplete.
            result = on_a_quiet_moment(lambda: witness.witness(case, "2MB"))
            break
        except RuntimeError as error:
            assert "were void" in str(error)  # noqa: PT017
    assert result is not None, "every capture was void"
    figures = result["figures"]
    assert set(figures) == {*witness.PERCENTS, "longest stall", "wire bytes"}
    assert abs(figures["wire bytes"]["difference"]) < 0.02, "announces are a part of 2 MB"
    for figure in figures.values():
        assert figure["wire"] > 0
