from __future__ import annotations

import asyncio
import platform

import libtorrent as lt
import pytest

from bittorrent_swarms import peers
from swarmrace.systems import load
from swarmrace.systems.bittorrent import memory, profiles
from swarmrace.systems.bittorrent.options import BitTorrentOptions


@pytest.mark.parametrize("profile", ["stock", "tuned"])
def test_every_difference_from_the_defaults_is_described_with_its_reason(tmp_path, profile):
    async def go():
        options = {"profile": profile, "settings": {"connections_limit": 77}, "utp": False}
        async with peers(tmp_path, seeders=0, **options) as swarm:
            await swarm.prepare()
            leecher = swarm.leechers[0]
            return leecher.describe(), leecher._session.handle.get_settings()

    described, effective = asyncio.run(go())
    defaults = lt.default_settings()
    changed = {n: v for n, v in effective.items() if v != defaults.get(n, "")}
    settings = dict(described["settings"])
    local = settings.pop(profiles.CHOKE_LOCAL_NAME, None)
    assert local is (False if profile == "stock" else None)
    assert {name: settings.pop(name) for name in memory.settings()} == memory.settings()
    assert settings == changed
    assert set(described["reasons"]) == set(described["settings"])
    assert all(why and why != "unexplained" for why in described["reasons"].values())
    assert settings["connections_limit"] == 77
    assert settings["enable_outgoing_utp"] is False
    assert ("tick_interval" in settings) == (profile == "tuned")
    assert described["utp"] is False
    assert described["version"] == f"libtorrent {lt.__version__}"


def test_stock_changes_only_what_recording_and_isolation_need():
    table = profiles.table(BitTorrentOptions(record_writes=True))
    assert table == {**profiles.NEEDED, **profiles.RECORDED_WRITES}
    # A limit of what is in flight limits the speed over latency.
    assert not [
        name for name in table if "queue" in name or "buffer" in name or "watermark" in name
    ]
    for setting in table.values():
        assert setting.why.startswith(("recordWrites: ", "isolated network: ", "clearing up "))


def test_by_default_nothing_is_set_for_recording():
    assert profiles.table(BitTorrentOptions()) == dict(profiles.NEEDED)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"conections_limit": 5}, "did you mean 'connections_limit'?"),
        ({"connections_limit": "many"}, "expected int"),
        ({"enable_dht": 1}, "expected bool"),
        ({"alert_mask": 0}, "remove it"),
        ({"listen_interfaces": "0.0.0.0:0"}, "remove it"),
    ],
)
def test_invalid_settings_are_refused(settings, words):
    (fault,) = load("bittorrent").faults(BitTorrentOptions(settings=settings))
    assert fault.key == f"settings.{next(iter(settings))}"
    assert words in fault.text


def test_valid_settings_are_accepted():
    options = BitTorrentOptions(settings={"tick_interval": 50, "announce_ip": "1.2.3.4"})
    assert load("bittorrent").check(options) == []


@pytest.mark.parametrize("profile", ["stock", "tuned"])
def test_setting_a_profiles_own_value_changes_nothing(profile):
    plain = BitTorrentOptions(profile=profile)

    def effective(options):
        chosen = {name: setting.value for name, setting in profiles.table(options).items()}
        return {**lt.default_settings(), **chosen}

    for name, value in load("bittorrent").settings.of_profile(plain).items():
        assert effective(plain.model_copy(update={name: value})) == effective(plain)
        assert effective(plain.model_copy(update={name: not value})) != effective(plain)


def test_piece_order_and_arenas_are_listed_as_differences(tmp_path):
    async def go():
        async with peers(tmp_path, seeders=0, pieceOrder="sequential") as swarm:
            return swarm.leechers[0].describe()

    described = asyncio.run(go())
    assert described["settings"]["pieceOrder"] == "sequential"
    if platform.libc_ver()[0] == "glibc":
        assert described["settings"]["M_ARENA_MAX"] == 2
    assert all(described["reasons"].values())
