"""Network conditions of one peer's link: rates by tbf, delay and loss by netem (tc(8)).

If the kernel has no netem, a relay in user space makes delay and loss on one machine
(`network.relay`); in a pod they are refused.

Limits apply to bytes on the link, including Ethernet, IP and TCP headers: with a rate of 100 Mbit
(12.5 MB/s) and an MTU of 1500, at most 1448 of 1514 bytes, 95.6 %, are payload. The preflight
measures that payload rate.

Upload is the egress of the peer's own interface. Download is limited where the packets to the peer
are sent: on one machine at the hub's end of its link; in a pod, where only the inside is
accessible, behind an ifb device that receives incoming packets, or by policing, which drops and has
no queue.

The burst of a tbf is what may pass at full speed after a pause. It is small, so that a race can't
profit from it, but at least

- what passes in one tick of the slowest usual kernel clock (4 ms, HZ=250): a timer that fires that
  late must not reduce the rate;
- 16 frames, because a burst below one frame lets nothing pass, and one of a few frames can't reach
  the full rate.

tbf itself cuts a larger packet, left whole by segmentation offload, into frames.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from swarmrace.errors import ConditionError
from swarmrace.network import offload, relay, user_namespace
from swarmrace.network.namespaces import (
    INTERFACE,
    Namespace,
    call_in_scratch,
    call_inside,
    keep_silent,
    permitted_here,
    refusals,
    refuse,
)
from swarmrace.network.rtnetlink import Qdisc, Rtnetlink
from swarmrace.scenario.scenario import QUEUE_MILLISECONDS, Network
from swarmrace.units import format_link_rate

TICK_SECONDS = 0.004
FRAME_BYTES = 1514
"""An Ethernet frame of MTU 1500, as the kernel's limiters count it."""
MIN_BURST_FRAMES = 16
POLICER_SECONDS = 0.05
"""A policer's burst, as time at its rate: it has no queue to hold a burst."""
MAX_RATE = 2**32 - 1
"""Maximum rate that can be set, in bytes per second (34 Gbit/s): pyroute2 writes rates as 32 bits.
"""
_MAX_QUEUE_BYTES = 2**32 - 1
IFB = "ifb-swarm"
"""The ifb device created in a pod; not called ifb0, which the module creates when it is loaded."""

_PROBE = "import json; from swarmrace.network.conditions import probe; print(json.dumps(probe()))"
_PROBE_SECONDS = 60
_FASTEST_BYTES_PER_SECOND = 1_250_000_000
_REQUIREMENTS = {
    "tbf": "the kernel needs CONFIG_NET_SCH_TBF (module sch_tbf)",
    "netem": "delay and loss need CONFIG_NET_SCH_NETEM (`modprobe sch_netem`; Ubuntu has it in "
    "linux-modules-extra-$(uname -r), Debian in linux-image-amd64 but not in its cloud kernel)",
    "relay": "the relay needs CONFIG_PACKET",
    "ifb": "limiting downloads needs CONFIG_IFB, CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32 "
    "and CONFIG_NET_ACT_MIRRED (`modprobe ifb`)",
    "police": "limiting downloads without ifb needs CONFIG_NET_ACT_POLICE (module act_police)",
}


@dataclass(frozen=True, slots=True)
class Path:
    """The conditions of one direction. None or 0 leaves a condition unset."""

    rate: int | None = None
    """Bytes per second on the link."""
    delay_milliseconds: float = 0
    loss_percent: float = 0
    queue_milliseconds: float = QUEUE_MILLISECONDS
    """Length of the limiter's queue, as time at the rate."""

    def __bool__(self) -> bool:
        return bool(self.rate or self.delay_milliseconds or self.loss_percent)

    @property
    def needs_netem(self) -> bool:
        """Whether it has a delay or a loss."""
        return bool(self.delay_milliseconds or self.loss_percent)


def paths(network: Network, *, seeder: bool) -> tuple[Path, Path]:
    """Return the conditions of one peer's upload and download."""
    link = network.link(seeder=seeder)
    queue = network.queue_milliseconds
    upload = Path(link.upload, network.delay_milliseconds, network.loss_percent, queue)
    return upload, Path(link.download, queue_milliseconds=queue)


def burst_bytes(rate: int) -> int:
    """Return the burst for a rate in bytes per second, as the module explains it."""
    return max(math.ceil(rate * TICK_SECONDS), MIN_BURST_FRAMES * FRAME_BYTES)


def queue_bytes(rate: int, queue_milliseconds: float) -> int:
    """Return the size of a limiter's queue: `queue_milliseconds` of the rate (bytes per second).

    At least twice the burst, because a packet that offload left whole may be as large as a burst,
    and at most what the kernel can count.
    """
    wanted = math.ceil(rate * queue_milliseconds / 1000)
    return min(max(wanted, 2 * burst_bytes(rate)), _MAX_QUEUE_BYTES)


def policer_burst_bytes(rate: int) -> int:
    """Return a policer's burst, the largest of all our limiters."""
    return max(math.ceil(rate * POLICER_SECONDS), 2 * burst_bytes(rate))


def egress_qdiscs(path: Path) -> list[Qdisc]:
    """Return the queueing disciplines of a device's egress, from the root down.

    With delay or loss, netem is the root and passes packets on to tbf (tc-netem(8)). Its limit, in
    packets, is twice what is in flight during the delay, so that it drops nothing by itself.
    """
    limiter = [] if path.rate is None else [_tbf(path.rate, path.queue_milliseconds)]
    if not path.needs_netem:
        return limiter
    seconds = path.delay_milliseconds / 1000 + path.queue_milliseconds / 1000
    under_way = (path.rate or _FASTEST_BYTES_PER_SECOND) * seconds / FRAME_BYTES
    options: dict[str, int | float] = {"limit": 1000 + 2 * math.ceil(under_way)}
    if path.delay_milliseconds:
        options["delay"] = round(path.delay_milliseconds * 1000)
    if path.loss_percent:
        options["loss"] = path.loss_percent
    return [
        Qdisc("netem", options),
        *(replace(each, parent="1:1", handle="10:0") for each in limiter),
    ]


def limit_incoming(links: Rtnetlink, device: str, path: Path, ifb: str = IFB) -> None:
    """Limit what `device` receives, behind an ifb device.

    Raises:
        ConditionError: the kernel lacks something; what was set before isn't undone.
    """
    links.add_link(ifb, "ifb")
    keep_silent(ifb)
    links.bring_up(ifb)
    links.redirect_incoming(device, ifb)
    for qdisc in egress_qdiscs(path):
        links.replace_qdisc(ifb, qdisc)


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
        peer: the peer of the link.
        network: the race's conditions.
        seeder: whether the seeders' rates apply.
        relayed: whether a relay makes delay and loss, so that netem isn't needed.

    Raises:
        ConditionError: the kernel lacks something; what was set before isn't undone.
    """
    upload, download = paths(network, seeder=seeder)
    if relayed:
        upload = Path(upload.rate, queue_milliseconds=upload.queue_milliseconds)
    limits_downloads = any(paths(network, seeder=each)[1] for each in (True, False))
    if relayed or limits_downloads:  # so that single frames are dropped, as on a wire
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
        ConditionError: the kernel lacks what it needs, NET_ADMIN is missing, or a rate is too high.
    """
    refuse(*_rate_faults(network))
    upload, download = paths(network, seeder=seeder)
    _set_egress(device, upload)
    if download.rate is None:
        return ""
    with Rtnetlink() as links:
        try:
            limit_incoming(links, device, download)
        except ConditionError as first:
            _undo_incoming(links, device)
            try:
                # A policer has no queue, so the scenario's queue doesn't apply.
                links.police_incoming(device, download.rate, policer_burst_bytes(download.rate))
            except ConditionError as second:
                raise ConditionError(
                    "network.download: can't be limited inside this namespace: "
                    f"{_REQUIREMENTS['ifb']} [{first}], or {_REQUIREMENTS['police']} [{second}]"
                ) from second
            return "police"
    return "ifb"


def _set_egress(device: str, path: Path) -> None:
    """Set the egress of `device`; if that fails, raise an error with what it needs.

    netem loses packets as offload leaves them, up to 64 KiB at once, so offload is turned off.
    """
    if path.needs_netem:
        offload.turn_off(device)
    qdiscs = egress_qdiscs(path)
    if not qdiscs:
        return
    with Rtnetlink() as links:
        for qdisc in qdiscs:
            try:
                links.replace_qdisc(device, qdisc)
            except ConditionError as error:
                raise ConditionError(f"{_REQUIREMENTS[qdisc.kind]} [{error}]") from error


def _undo_incoming(links: Rtnetlink, device: str) -> None:
    with suppress(ConditionError):
        links.clear_incoming(device)
    with suppress(ConditionError):
        links.delete_link(IFB)


def probe() -> dict[str, str]:
    """Try in a scratch namespace which of these work: `tbf`, `netem`, `relay`, `ifb`, `police`.

    If this process may not create one, a process in a user namespace tries, as a race would.

    Returns:
        for each, an empty string if it works, otherwise what it needs and the kernel's answer.

    Raises:
        ConditionError: namespaces are not permitted, so nothing can be tried.
    """
    if permitted_here():
        return _probe()
    refuse(*user_namespace.refusals())
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
    limited = Path(rate=1_000_000)

    def ifb() -> None:
        with Rtnetlink() as links:
            limit_incoming(links, "lo", limited)

    def police() -> None:
        with Rtnetlink() as links:
            links.police_incoming("lo", 1_000_000, policer_burst_bytes(1_000_000))

    def egress(path: Path) -> None:
        with Rtnetlink() as links:
            for qdisc in egress_qdiscs(path):
                links.replace_qdisc("lo", qdisc)

    trials: dict[str, Callable[[], None]] = {
        "tbf": lambda: egress(limited),
        "netem": lambda: egress(Path(None, 1, 1)),
        "relay": relay.probe,
        "ifb": ifb,
        "police": police,
    }
    found = {}
    for name, trial in trials.items():
        try:
            call_in_scratch(trial)
        except ConditionError as error:
            found[name] = f"{_REQUIREMENTS[name]} [{error}]"
        else:
            found[name] = ""
    return found


def needs_relay(network: Network) -> bool:
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
    lines += _rate_faults(network)
    for key, value in (
        ("delayMilliseconds", network.delay_milliseconds),
        ("lossPercent", network.loss_percent),
    ):
        if value and can["netem"] and can["relay"]:
            lines.append(
                f"global.race.network.{key}: found {value:g}: {can['netem']}; {can['relay']}"
            )
    return lines


def _rate_faults(network: Network) -> Iterator[str]:
    for prefix, link in (("", network), ("seeders.", network.seeders)):
        for name in ("upload", "download"):
            rate = getattr(link, name, None)
            if rate is not None and rate > MAX_RATE:
                yield (
                    f"global.race.network.{prefix}{name}: found {format_link_rate(rate)}, expected "
                    f"at most {format_link_rate(MAX_RATE)}: a higher rate can't be set; leave it "
                    "out for no limit"
                )


def _tbf(rate: int, queue_milliseconds: float) -> Qdisc:
    burst, limit = burst_bytes(rate), queue_bytes(rate, queue_milliseconds)
    return Qdisc("tbf", {"rate": rate, "burst": burst, "limit": limit})
