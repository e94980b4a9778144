"""Hundreds of scenarios, valid and invalid, the same ones in every run."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

SIZES = ["1", "100MB", "100MiB", "1.5GiB", "0.5GB", "1GB", "5GB", "12.25MiB", "0.000001TB",
         "0.25KiB", "2Gi", "1.5 Ki", "16KiB", "262144", "1.000001MB", "8191.5TiB", "7 MB", 1, 17,
         100_000_000, 2**31 + 1, 123_456_789_012]  # fmt: skip
RATES = ["100Mbit", "12.5MB", "1Gbit", "1.2Gbit/s", "8bit", "1MiB/s", 125_000, "0.5Mbit", "3kB"]
ODD_RATES = ["7bit", "0.000001kbit", "1.5B", "0bit", "99999999TB", 0]
ODD_SIZES = ["1.5B", "0.1KiB", "0.0000001", "99999999TB", "8192TiB", "0MB", "MB", "1 00MB", "1mb",
             "-1", "1e9", -1, 1.5, True, "100Mbit", "2G", "1.3Ki"]  # fmt: skip


def scenarios(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return `count` values of `global`, about half of them wrong in one or two ways."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        shared = _valid(draw)
        for _ in range(draw.choice([0, 0, 0, 1, 1, 2])):
            draw.choice(BREAKS)(draw, shared)
        made.append(shared)
    return made


def _some(draw: random.Random, **choices: list[Any]) -> dict[str, Any]:
    return {key: draw.choice(of) for key, of in choices.items() if draw.random() < 0.4}


def _seconds(draw: random.Random) -> list[Any]:
    return [draw.randint(1, 5000), round(draw.uniform(0.1, 900), draw.randint(1, 3)), 0.1, 0.7]


def _valid(draw: random.Random) -> dict[str, Any]:
    size = draw.randint(2, 40)
    race: dict[str, Any] = {"swarmSize": size, "seeders": draw.randint(1, size - 1)}
    race |= _some(draw, fileSize=[s for s in SIZES if s != "8191.5TiB"], repetitions=[1, 3, 7],
                  seed=[0, 7, 2**53 - 1], attempt=[1, 2, 5], order=["interleaved", "sequential"],
                  coldStart=[True, False])  # fmt: skip
    names = ("assemble", "prepare", "publish", "settle", "discovery", "stall", "transfer",
             "verify", "heartbeat")  # fmt: skip
    timeouts = _some(draw, **{f"{name}Seconds": _seconds(draw) for name in names})
    if timeouts:
        race["timeouts"] = timeouts
    if draw.random() < 0.4:
        race["network"] = _some(draw, upload=RATES, download=RATES, delayMilliseconds=[0, 5, 0.5],
                                lossPercent=[0, 0.1, 2], queueMilliseconds=[10, 200.0])  # fmt: skip
        if draw.random() < 0.3:
            race["network"]["seeders"] = _some(draw, upload=RATES, download=RATES)
            race["rotateSeeders"] = False
    entrants = {}
    for name in draw.sample(["bittorrent", "codex", "http", "a", "utp-off", "x" * 20, "true"],
                            draw.randint(1, 4)):  # fmt: skip
        entrants[name] = _entrant(draw)
    if draw.random() < 0.3:
        one, other = draw.sample(list(entrants), 2) if len(entrants) > 1 else ("a", "b")
        entrants |= {name: _entrant(draw) for name in (one, other) if name not in entrants}
        race["acceptance"] = [{"entrant": one, "within": 1.2, "of": other}]
    shared = {"race": race, "entrants": entrants}
    if draw.random() < 0.3:
        shared["peers"] = {
            "resources": {
                "requests": _some(draw, cpu=[1, 0.25, "30m", "3", 0], memory=["1GiB", "300MB", 0]),
                "limits": _some(draw, cpu=[2, 1.5, "777m"], memory=["2GiB", 999_999_999]),
            }
        }
        if draw.random() < 0.5:
            shared["peers"]["storage"] = _some(
                draw, size=["3GiB"], kind=["persistentVolumeClaim", "emptyDir"]
            )
    _place(draw, shared)
    if draw.random() < 0.2:
        shared["codex"] = {"nodePercent": draw.randint(1, 99)}
    if draw.random() < 0.2:
        shared.setdefault("codex", {})["families"] = _families(draw)
    if draw.random() < 0.2:
        shared["token"] = _some(draw, existingSecret=["mine", ""], key=["token", "other"])
    return shared


def _place(draw: random.Random, shared: dict[str, Any]) -> None:
    """Say where peers go, or how their rates are limited."""
    peers: dict[str, Any] = {}
    if draw.random() < 0.3:
        peers["spread"] = _some(
            draw, topologyKey=["topology.kubernetes.io/zone"], maxSkew=[1, 3],
            whenUnsatisfiable=["ScheduleAnyway", "DoNotSchedule"], onePerNode=[True, False],
            sameNodes=[True, False],
        )  # fmt: skip
    if draw.random() < 0.2:
        term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
        kind = draw.choice(["podAffinity", "podAntiAffinity"])
        how = draw.choice(["required", "preferred"])
        terms = [term] if how == "required" else [{"weight": 1, "podAffinityTerm": term}]
        peers["affinity"] = {kind: {f"{how}DuringSchedulingIgnoredDuringExecution": terms}}
    peers |= _some(draw, burst=["64MiB", 10**9, None]) if draw.random() < 0.4 else {}
    peers |= _some(draw, nodeSelector=[{"disk": "ssd"}]) if draw.random() < 0.2 else {}
    if peers:
        shared.setdefault("peers", {}).update(peers)


def _families(draw: random.Random) -> dict[str, Any]:
    return _some(
        draw,
        codex=[{"image": "x/codex@sha256:0"}, {"metricsPort": 9999, "pullPolicy": "Always"}],
        storage=[{"alone": ""}, {"command": ["/x", "storage"], "environmentPrefix": "X_"}],
    )


def _entrant(draw: random.Random) -> dict[str, Any]:
    kind = draw.choice(["bittorrent", "codex", "http"])
    common = _some(draw, profile=["stock", "tuned"])
    if kind == "bittorrent":
        more = _some(
            draw,
            protocol=["v1", "v2", "hybrid"],
            utp=[True, False, None],
            pieceOrder=["rarestFirst", "sequential"],
            reference=["magnet", "torrent"],
            encryption=[True, False, None],
            settings=[{}, {"active_seeds": 5, "user_agent": "x", "enable_dht": False}],
        )
    elif kind == "codex":
        more = _some(draw, family=["auto", "codex", "storage"],
                     download=["stream", "background"], storageQuota=["130GB", "1TiB"],
                     pollSeconds=[0.1, 1], arguments=[["--a=b"], []], image=["x/y:1"])  # fmt: skip
        if draw.random() < 0.4:
            more |= {"family": "storage", "blockSize": draw.choice(["64KiB", 65536, "4KiB"])}
    else:
        more = _some(draw, readSize=["1KiB", "1MiB", 4096])
    return {"kind": kind, **common, **more}


def _any_entrant(draw: random.Random, shared: dict[str, Any], kind: str) -> dict[str, Any]:
    name = draw.choice(["broken", *shared["entrants"]])
    shared["entrants"][name] = {"kind": kind}
    return shared["entrants"][name]


def _key(path: str, values: list[Any]) -> Callable[[random.Random, dict[str, Any]], None]:
    def change(draw: random.Random, shared: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        at = shared
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = draw.choice(values)

    return change


def _option(kind: str, key: str, values: list[Any], **more: Any) -> Callable[..., None]:
    def change(draw: random.Random, shared: dict[str, Any]) -> None:
        _any_entrant(draw, shared, kind).update({key: draw.choice(values), **more})

    return change


def _seeder_link(draw: random.Random, shared: dict[str, Any]) -> None:
    shared["race"].setdefault("network", {})["seeders"] = {"upload": "10Mbit"}
    shared["race"].pop("rotateSeeders", None)


def _annotated(draw: random.Random, shared: dict[str, Any]) -> None:
    shared.setdefault("peers", {})["conditions"] = draw.choice(["cni", "kubeOvn"])


def _matrix(draw: random.Random, shared: dict[str, Any]) -> None:
    axes = {"swarmSize": [[2, 8], [8], [32]], "seeders": [[1, 2, 4], [1], [16]],
            "fileSize": [["100MB", "1GB"], ["64KiB"], ["1GiB"]],
            "network": [[{"upload": "10Mbit"}, {}], [{"download": "8Mbit"}]]}  # fmt: skip
    shared["race"]["matrix"] = _some(draw, **axes)


BREAKS: list[Callable[[random.Random, dict[str, Any]], None]] = [
    _key("race.seeders", [0, 40, 50, -1, "1x", 2.5]),
    _key("race.swarmSize", [1, 2, 1001, 0, [4]]),
    _key("race.fileSize", [*ODD_SIZES, "8191.5TiB"]),
    _key("race.fileSize", ODD_SIZES),
    _key("race.seed", [2**53, -1, 1.5]),
    _key("race.order", ["random", 1]),
    _key("race.repetition", [3]),
    _key("race.timeouts.stallSeconds", [0, -1, "1m", 604_801]),
    _key("race.timeouts.stall", [1]),
    _key("race.network.upload", ODD_RATES),
    _key("race.network.lossPercent", [100, -1]),
    _key("race.network.queueMilliseconds", [9, 2001, "200ms"]),
    _key("race.acceptance", [[{"entrant": "nobody", "within": 1, "of": "codexx"}]]),
    _key("race.acceptance", [[{"entrant": "nobody", "of": "nobody"}], [{}], {}]),
    _key("peers.storage.size", ODD_SIZES),
    _key("peers.resources.limits.cpu", ["x", "1.5m", -1]),
    _key("peers.resource", [{}]),
    _key("peers.resources.limits.memory", [1, "5B"]),
    _key("peers.resources.requests.cpu", ["1m", 0.002]),
    _key("peers.spread.sameNodes", ["yes", 1]),
    _key("peers.burst", ["1.5B", 0]),
    _key("token.key", [""]),
    _key("codex.families.codex.environmentPrefix", ["codex"]),
    _key("image.digest", ["sha256:1", "x"]),
    _option("bittorrent", "pieceSize", ["20KiB", "1KiB", "64GiB", "16KiB", 16384, "1.5B", 0]),
    _option("bittorrent", "pieceSize", ["128MiB", "256MiB", 4 * 2**30]),
    _option("bittorrent", "utpp", [True]),
    _option("bittorrent", "protocol", ["v3"]),
    _option("codex", "blockSize", ["3KiB", "1MiB", "2KiB", "6KiB", "64KiB"]),
    _option("codex", "blockSize", ["64KiB"], family="codex"),
    _option("codex", "storageQuota", [1, "16KB", "100MB", 0]),
    _option("codex", "nodes", [["http://a:8080"], [f"http://{n}:8080" for n in range(40)]]),
    _option("codex", "nodes", [["http://a:8080", "http://a:8080"], ["a:8080"]]),
    _option("http", "readSize", [1, "1B", 1023, "1TB", 10**12]),
    _key("race.acceptance", [[{"entrant": "a", "within": 1, "of": "a"}]]),
    _key("race.acceptance", [[{"entrant": "a", "within": "furps", "of": "b", "margin": 2}]]),
    _key("codex.nodePercent", [0, "75", True, 2.5]),
    _option("synthetic", "recordSize", [1]),
    _option("torrent", "profile", ["stock"]),
    _key("entrants", [{}]),
    _key("entrants.Upper", [{"kind": "http"}]),
    _key("entrants.ends-", [{"kind": "http"}]),
    _seeder_link,
    _annotated,
    _matrix,
    _matrix,
]
