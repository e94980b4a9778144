"""Kubo's settings in each profile, every one with its reason, as plain tables.

`stock` is what `ipfs init` writes, plus what an isolated network and the peer's own address need.
`tuned` adds settings for speed. The options come next, an entrant's own `settings` last. The result
records every setting with its reason (`IpfsSystem.describe`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from swarmrace.errors import Fault
from swarmrace.systems.ipfs.options import IpfsOptions
from swarmrace.systems.setting import Setting

_ISOLATED = "isolated network: nodes find each other only through the run's first seeder"
_AUTO = (
    "isolated network: nothing is fetched from conf.ipfs-mainnet.org; its placeholders are removed"
)
_OWN = "each peer has an address of its own"

ISOLATED: Mapping[str, Setting] = {
    "Routing.Type": Setting("dht", "isolated network: a DHT of these nodes, no HTTP routers"),
    "Routing.DelegatedRouters": Setting([], _AUTO),
    "AutoConf.Enabled": Setting(False, _AUTO),
    "DNS.Resolvers": Setting({}, _AUTO),
    "Ipns.DelegatedPublishers": Setting([], _AUTO),
    "Discovery.MDNS.Enabled": Setting(False, _ISOLATED),
    "AutoTLS.Enabled": Setting(False, "isolated network: no certificate is requested"),
    "Swarm.DisableNatPortMap": Setting(True, "isolated network: there is no router to ask"),
    "Swarm.RelayClient.Enabled": Setting(
        False, "isolated network: every peer can be reached, so no relay is needed"
    ),
    "Plugins.Plugins.telemetry.Config.Mode": Setting("off", "isolated network: nothing is sent"),
}
"""The same for every node, in either profile."""

OWNED: Mapping[str, str] = {
    "Addresses": "the peer's own address, free ports",
    "Bootstrap": "the run's first seeder",
    "Identity": "a new one for each cold start",
    "Datastore.StorageMax": "the option `storageQuota`",
    **{name: setting.why for name, setting in ISOLATED.items()},
}
"""Entries that only swarmrace sets, with all entries below them."""

TUNED: Mapping[str, Setting] = {
    "Provide.Strategy": Setting(
        "roots", "one announcement for each file; by default each block is announced"
    ),
}

STOCK_QUOTA_BYTES = 10_000_000_000
"""`Datastore.StorageMax` as `ipfs init` writes it."""
STOCK_CHUNKER, TUNED_CHUNKER = "size-262144", "size-1048576"
_QUIC = ("webrtc-direct", "quic-v1", "quic-v1/webtransport")
"""Kubo's UDP transports, in the order in which `ipfs init` writes them."""


def of_profile(options: IpfsOptions) -> dict[str, Any]:
    """Return the profile's choice for each option that it sets."""
    tuned = options.profile == "tuned"
    return {
        "quic": not tuned,
        "chunker": TUNED_CHUNKER if tuned else STOCK_CHUNKER,
        "raw_leaves": tuned,
    }


def chosen(options: IpfsOptions, name: str) -> Any:
    """Return an option's value: the scenario's, otherwise the profile's."""
    given = getattr(options, name)
    return of_profile(options)[name] if given is None else given


def table(
    options: IpfsOptions,
    *,
    address: str,
    port: int,
    api: tuple[str, int],
    bootstrap: Sequence[str],
    size_bytes: int,
) -> dict[str, Setting]:
    """Return every entry that is set in a node's configuration, by its dotted name, except for the
    scenario's own `settings`.

    Args:
        options: profile and options.
        address: the peer's own IP address: the swarm listens there.
        port: where it listens, by TCP and UDP.
        api: host and port of the RPC.
        bootstrap: addresses of the run's first seeder; none for that one itself.
        size_bytes: the file size, for the quota.
    """
    quic = chosen(options, "quic")
    result = dict(ISOLATED)
    result["Addresses.Swarm"] = Setting(
        listening(address, port, quic=quic),
        _OWN if quic else f"{_OWN}; only TCP: QUIC in user space costs CPU",
    )
    result["Addresses.API"] = Setting(multiaddress(api[0], "tcp", api[1]), "a free port")
    result["Addresses.Gateway"] = Setting([], "the gateway isn't used, and needs a free port")
    result["Bootstrap"] = Setting(list(bootstrap), _ISOLATED)
    if ipaddress.ip_address(address).is_loopback:
        result["Routing.LoopbackAddressesOnLanDHT"] = Setting(
            True, "peers of one machine have loopback addresses, which the DHT otherwise ignores"
        )
    if options.profile == "tuned":
        result.update(TUNED)
    quota = quota_bytes(options, size_bytes)
    if quota is not None:
        why = "the scenario's `storageQuota`"
        if options.storage_quota is None:
            why = "the file needs more than the default"
        result["Datastore.StorageMax"] = Setting(f"{quota}B", why)
    return result


def listening(address: str, port: int, *, quic: bool) -> list[str]:
    """Return where a node listens: as `ipfs init` writes it, but at its own address and port."""
    found = [multiaddress(address, "tcp", port)]
    if quic:
        udp = multiaddress(address, "udp", port)
        found += [f"{udp}/{transport}" for transport in _QUIC]
    return found


def multiaddress(address: str, transport: str, port: int) -> str:
    """Return `/ip4/ADDRESS/tcp/PORT`, or the same for IPv6."""
    return f"/ip{ipaddress.ip_address(address).version}/{address}/{transport}/{port}"


def importing(options: IpfsOptions) -> tuple[dict[str, str], dict[str, str]]:
    """Return how a file is added: the parameters of `ipfs add`, and a reason for each."""
    chunker, raw = chosen(options, "chunker"), chosen(options, "raw_leaves")
    parameters = {"chunker": chunker, "raw-leaves": str(raw).lower()}
    reasons = {}
    if chunker != STOCK_CHUNKER:
        reasons["chunker"] = (
            "the scenario's `chunker`" if options.chunker else "a quarter as many blocks to request"
        )
    if raw:
        given = options.raw_leaves is not None
        reasons["raw-leaves"] = "the scenario's `rawLeaves`" if given else "payload as it is"
    return parameters, reasons


def quota_bytes(options: IpfsOptions, size_bytes: int) -> int | None:
    """Return the quota to set, or None to keep the node's own."""
    if options.storage_quota is not None:
        return options.storage_quota
    needed = needed_bytes(size_bytes)
    return None if needed <= STOCK_QUOTA_BYTES else needed


def needed_bytes(size_bytes: int) -> int:
    """Return a quota at which a file starts no garbage collection (which begins at 90 %)."""
    return size_bytes + size_bytes // 5 + (64 << 20)


def faults_in_settings(settings: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with an entrant's own settings; kubo itself judges the rest."""
    found = []
    for name in settings:
        for owned, why in OWNED.items():
            if name == owned or name.startswith(f"{owned}.") or owned.startswith(f"{name}."):
                text = f"swarmrace sets {owned} itself ({why}); take it out"
                found.append(Fault(f"settings.{name}", text))
                break
    return found
