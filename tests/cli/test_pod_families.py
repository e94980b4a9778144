"""A race by the pods' commands on whichever address families exist, with metrics and pushes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from families import in_network
from paths import ROOT
from swarmrace.results.folder import load as load_results
from swarmrace.scenario.loading import parse
from swarmrace.systems import load

OPTIONS: dict[str, dict[str, Any]] = {"transmission": {"utp": False}}
KINDS = {
    "IPv4 only": ("bittorrent", "http"),
    "IPv6 only": ("bittorrent", "http", "ipfs", "transmission"),
    "both": ("bittorrent", "http", "ipfs"),
}


def entrants(kinds: Iterable[str]) -> dict[str, Any]:
    """An entrant of each kind whose program is here."""
    found = {kind: {"kind": kind, **OPTIONS.get(kind, {})} for kind in kinds}
    options = parse({"global": {"entrants": found}}).entrants
    return {kind: found[kind] for kind in found if not load(kind).check(options[kind])}


@pytest.mark.parametrize("families", KINDS)
def test_a_race_on_whichever_families_exist(tmp_path: Path, families: str) -> None:
    """With both families, the peers' addresses are IPv6."""
    raced = entrants(KINDS[families])
    shape = {"swarmSize": 2, "fileSize": "1MB", "repetitions": 1}
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(yaml.safe_dump({"global": {"race": shape, "entrants": raced}}))
    prefix = "10.9.0." if families == "IPv4 only" else "fd00::"
    addresses = [f"{prefix}{number + 1}" for number in range(2 * len(raced))]
    mask = "32" if families == "IPv4 only" else "128 nodad"
    given = "\n".join(f"ip address add {each}/{mask} dev lo" for each in addresses)
    program = ROOT / "tests/support/pod_race.py"
    race = f"{sys.executable} {program} {tmp_path} {scenario} {' '.join(addresses)}"
    done = in_network(families, f"{given}\n{race}", tmp_path)
    logs = "\n".join(path.read_text()[-2000:] for path in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stderr + logs
    found = json.loads(done.stdout)
    assert set(found["ended"].values()) == {0}, logs
    assert len(found["scraped"]) == len(addresses) - 1
    assert min(found["scraped"].values()) > 5
    assert found["pushes"] >= len(addresses), "each peer pushes what it has recorded of its run"
    results = load_results(tmp_path / "data")
    assert len(results.runs) == len(raced)
    for record in results.runs:
        (leecher,) = record.leechers
        transfer = record.peers[leecher].transfer
        assert transfer is not None
        assert transfer.verified, logs
