"""Network conditions of one peer's link, by `tc`: rates by tbf, delay and loss by netem.

Where the kernel has no netem, a race on one machine has its delay and loss from a relay in user
space (`network.relay`); a pod's are refused.

What is limited is bytes on the link, Ethernet, IP and TCP headers included: of a rate of 100 Mbit
(12.5 MB/s) with an MTU of 1500 at most 1448 of 1514 bytes, 95.6 %, are payload. The preflight
measures what is left.

Upload is the egress of the peer's own interface. Download is limited where the packets towards
the peer leave: at the hub's end of its link on one machine; in a pod, where only the inside can be
reached, behind an ifb device that takes what comes in, or by policing, which drops and has no
queue.

The burst of a tbf is how much may pass at once at full speed after a pause. It is small, so that a
race can't live on it, but never below

- what passes in one tick of the slowest usual kernel clock (4 ms, HZ=250): a timer that fires so
  late must not cost rate;
- 16 frames, because a burst below one frame lets nothing pass and a few frames none at full rate.

A larger packet that segmentation offload left whole is cut into frames by tbf itself.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from swarmrace.errors import ConditionError
from swarmrace.network import offload, relay, user_namespace
from swarmrace.network.namespaces import (
    INTERFACE,
    Namespace,
    call_in_scratch,
    call_inside,
    need,
    permitted_here,
    refusals,
    run,
)
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Network

TICK_SECONDS = 0.004
FRAME_BYTES = 1514
"""An Ethernet frame of MTU 1500, as tc counts it."""
LEAST_BURST_FRAMES = 16
POLICER_SECONDS = 0.05
"""Of a rate: what a policer lets pass at once. It has no queue that could hold it."""
_MOST_TC_BYTES = 2**32 - 1
IFB = "ifb-swarm"
"""The ifb device made in a pod; the name keeps clear of ifb0, which a loaded module makes."""

_PROBE = "import json; from swarmrace.network.conditions import probe; print(json.dumps(probe()))"
_PROBE_SECONDS = 60
_FASTEST_BYTES_PER_SECOND = 1_250_000_000
_HOW = {
    "tbf": "the kernel needs CONFIG_NET_SCH_TBF (module sch_tbf)",
    "netem": "delay and loss need CONFIG_NET_SCH_NETEM (`modprobe sch_netem`; Ubuntu has it in "
    "linux-modules-extra-$(uname -r), Debian in linux-image-amd64 but not in its cloud kernel)",
    "relay": "the relay needs CONFIG_PACKET",
    "ifb": "limiting what comes in needs CONFIG_IFB, CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32 "
    "and CONFIG_NET_ACT_MIRRED (`modprobe ifb`)",
    "police": "limiting what comes in without ifb needs CONFIG_NET_ACT_POLICE (module act_police)",
}


@dataclass(frozen=True, slots=True)
class Path:
    """The conditions of one direction. What is None or 0 is left as it is."""

    rate: int | None = None
    """Bytes per second on the link."""
    delay_milliseconds: float = 0
    loss_percent: float = 0
    queue_milliseconds: float = QUEUE_MILLISECONDS
    """What the limiter's queue holds of the rate."""

    def __bool__(self) -> bool:
        return bool(self.rate or self.delay_milliseconds or self.loss_percent)

    @property
    def needs_netem(self) -> bool:
        """Whether a rate alone isn't enough."""
        return bool(self.delay_milliseconds or self.loss_percent)


def paths(network: Network, *, seeder: bool) -> tuple[Path, Path]:
    """Return the upload's and the download's conditions of one peer."""
    link = network.link(seeder=seeder)
    queue = network.queue_milliseconds
    upload = Path(link.upload, network.delay_milliseconds, network.loss_percent, queue)
    return upload, Path(link.download, queue_milliseconds=queue)


def burst_bytes(rate: int) -> int:
    """Return the burst for a rate in bytes per second; the module says why it is so much."""
    return max(math.ceil(rate * TICK_SECONDS), LEAST_BURST_FRAMES * FRAME_BYTES)


def queue_bytes(rate: int, queue_milliseconds: float) -> int:
    """Return how much may wait at a limiter: so many milliseconds of the rate (bytes per second).

    It is at least twice the burst, because a packet that offload left whole may be as large as one,
    and at most what tc can count.
    """
    wanted = math.ceil(rate * queue_milliseconds / 1000)
    return min(max(wanted, 2 * burst_bytes(rate)), _MOST_TC_BYTES)


def policer_burst_bytes(rate: int) -> int:
    """Return what a policer lets pass at once: the largest burst that any of our limiters has."""
    return max(math.ceil(rate * POLICER_SECONDS), 2 * burst_bytes(rate))


def egress_commands(device: str, path: Path) -> list[str]:
    """Return the lines for `tc -batch` that set what leaves `device`. They replace what was set.

    With delay or loss, netem is the root and hands on to tbf (tc-netem(8)); its limit is in
    packets and holds twice what is under way within the delay, so that it never drops by itself.
    """
    if not path:
        return []
    if not path.needs_netem:
        assert path.rate is not None
        return [f"qdisc replace dev {device} root handle 1: {_tbf(path)}"]
    seconds = path.delay_milliseconds / 1000 + path.queue_milliseconds / 1000
    under_way = (path.rate or _FASTEST_BYTES_PER_SECOND) * seconds / FRAME_BYTES
    options = [f"limit {1000 + 2 * math.ceil(under_way)}"]
    if path.delay_milliseconds:
        options.append(f"delay {path.delay_milliseconds:g}ms")
    if path.loss_percent:
        options.append(f"loss {path.loss_percent:g}%")
    lines = [f"qdisc replace dev {device} root handle 1: netem {' '.join(options)}"]
    if path.rate:
        lines.append(f"qdisc replace dev {device} parent 1:1 handle 10: {_tbf(path)}")
    return lines


def ifb_commands(device: str, path: Path, ifb: str = IFB) -> tuple[list[str], list[str]]:
    """Return the lines for `ip -batch` and `tc -batch` that limit what comes in on `device`."""
    links = [f"link add {ifb} type ifb", f"link set {ifb} addrgenmode none up"]
    return links, [
        f"qdisc replace dev {device} handle ffff: ingress",
        f"filter replace dev {device} parent ffff: protocol all prio 1 handle 800::800 u32 "
        f"match u32 0 0 action mirred egress redirect dev {ifb}",
        f"qdisc replace dev {ifb} root handle 1: {_tbf(path)}",
    ]


def police_commands(device: str, rate: int) -> list[str]:
    """Return the lines for `tc -batch` that drop what comes in on `device` above a rate.

    A policer has no queue, so the scenario's queue can't apply; its burst is 50 ms of the rate.
    """
    return [
        f"qdisc replace dev {device} handle ffff: ingress",
        f"filter replace dev {device} parent ffff: protocol all prio 1 handle 800::800 u32 "
        f"match u32 0 0 police rate {rate * 8}bit burst {policer_burst_bytes(rate)} mtu 65535 drop",
    ]


def apply(
    ports: Namespace | str,
    peer: Namespace,
    network: Network,
    *,
    seeder: bool,
    relayed: bool = False,
) -> None:
    """Set a peer's link on one machine: its upload inside, its download at the link's other end.

    Args:
        ports: the namespace of the other end.
        peer: whose link it is.
        network: the race's conditions.
        seeder: whether the seeders' rates are its own.
        relayed: whether a relay delays and loses frames, so that netem needn't.

    Raises:
        ConditionError: the kernel lacks what it needs; nothing else of it is undone.
    """
    upload, download = paths(network, seeder=seeder)
    if relayed:
        upload = Path(upload.rate, queue_milliseconds=upload.queue_milliseconds)
    limits_downloads = any(paths(network, seeder=each)[1] for each in (True, False))
    if relayed or limits_downloads:  # what is dropped on the way is frames, as on a wire
        call_inside(peer, offload.turn_off, peer.interface)
    if upload:
        call_inside(peer, _set_egress, peer.interface, upload)
    if download:
        call_inside(ports, _set_egress, peer.port, download)


def apply_own(network: Network, *, seeder: bool, device: str = INTERFACE) -> str:
    """Set the link of the namespace that the calling thread is in, from the inside (a pod).

    Returns:
        How the download is limited: `ifb`, `police`, or an empty string where it isn't.

    Raises:
        ConditionError: the kernel lacks what it needs, or NET_ADMIN is missing.
    """
    upload, download = paths(network, seeder=seeder)
    _set_egress(device, upload)
    if download.rate is None:
        return ""
    links, lines = ifb_commands(device, download)
    try:
        run("ip", lines=links)
        _tc(lines)
    except ConditionError as first:
        _clear_ingress(device)
        try:
            _tc(police_commands(device, download.rate))
        except ConditionError as second:
            raise ConditionError(
                f"network.download: can't be limited inside this namespace: {_HOW['ifb']} "
                f"[{first}], or {_HOW['police']} [{second}]"
            ) from second
        return "police"
    return "ifb"


def _set_egress(device: str, path: Path) -> None:
    """Set what leaves `device`; where that can't be, say what it needs.

    netem loses packets as offload leaves them, up to 64 KiB at once, so offload is turned off.
    """
    if path.needs_netem:
        offload.turn_off(device)
    for line in egress_commands(device, path):
        try:
            _tc([line])
        except ConditionError as error:
            needed = _HOW["netem" if " netem " in line else "tbf"]
            raise ConditionError(f"{needed} [{error}]") from error


def _clear_ingress(device: str) -> None:
    for program, line in (("tc", f"qdisc del dev {device} ingress"), ("ip", f"link del {IFB}")):
        try:
            run(program, lines=[line])
        except ConditionError:
            continue


def probe() -> dict[str, str]:
    """Try what this kernel can in a scratch namespace: `tbf`, `netem`, `relay`, `ifb`, `police`.

    Where this process may not make one, a process in a user namespace tries, as a race would.

    Returns:
        For each an empty string when it works, else what it needs and what was said.

    Raises:
        ConditionError: namespaces are not permitted, so that nothing can be tried.
    """
    if permitted_here():
        return _probe()
    need(*user_namespace.refusals())
    done = subprocess.run(
        user_namespace.command_inside([sys.executable, "-c", _PROBE]),
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ConditionError(f"network conditions: can't be tried ({done.stderr.strip()[-200:]})")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _probe() -> dict[str, str]:
    ifb_links, ifb_lines = ifb_commands("lo", Path(rate=1_000_000))

    def ifb() -> None:
        run("ip", lines=ifb_links)
        _tc(ifb_lines)

    trials: dict[str, Callable[[], None]] = {
        "tbf": lambda: _tc(egress_commands("lo", Path(rate=1_000_000))),
        "netem": lambda: _tc(egress_commands("lo", Path(None, 1, 1))),
        "relay": relay.probe,
        "ifb": ifb,
        "police": lambda: _tc(police_commands("lo", 1_000_000)),
    }
    found = {}
    for name, trial in trials.items():
        try:
            call_in_scratch(trial)
        except ConditionError as error:
            found[name] = f"{_HOW[name]} [{error}]"
        else:
            found[name] = ""
    return found


def relayed(network: Network) -> bool:
    """Return whether a race on this machine needs the relay for its delay and loss.

    Raises:
        ConditionError: namespaces are not permitted here.
    """
    return network.delayed and bool(probe()["netem"])


def faults(network: Network) -> list[str]:
    """Return why the conditions can't be applied on this machine, one line each."""
    if not network.shaped:
        return []
    cannot = refusals()
    if cannot:
        return [f"global.race.network: {line}" for line in cannot]
    can = probe()
    lines = []
    if network.limited and can["tbf"]:
        lines.append(f"global.race.network: rates can't be set: {can['tbf']}")
    for key, value in (
        ("delayMilliseconds", network.delay_milliseconds),
        ("lossPercent", network.loss_percent),
    ):
        if value and can["netem"] and can["relay"]:
            lines.append(
                f"global.race.network.{key}: found {value:g}: {can['netem']}; {can['relay']}"
            )
    return lines


def _tbf(path: Path) -> str:
    # tc's `bps` is bytes, `bit` bits; a bare burst or limit is bytes
    rate = path.rate
    assert rate is not None
    limit = queue_bytes(rate, path.queue_milliseconds)
    return f"tbf rate {rate * 8}bit burst {burst_bytes(rate)} limit {limit}"


def _tc(lines: list[str]) -> None:
    if lines:
        run("tc", lines=lines)
