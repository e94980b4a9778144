"""Transmission's daemon as it really is: what it is given, what it says, how it fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import ExitStack, contextmanager

import pytest

from paths import ROOT
from serving import until
from supervising import ended, start_supervisor
from swarmrace.errors import Reason, TransferError
from swarmrace.scenario.loading import load as load_scenario
from swarmrace.systems import load
from swarmrace.systems.parts import RaceShape
from swarmrace.systems.sidecar import Sidecar
from swarmrace.systems.transmission.daemon import LocalDaemon, SidecarDaemon
from swarmrace.systems.transmission.options import TransmissionOptions
from swarmrace.systems.transmission.profiles import NEEDED, OWNED, TUNED, table
from swarmrace.systems.transmission.programs import defaults, environment, find_program
from swarms import needs_program
from transmission_swarms import in_swarm

real = needs_program("transmission")
PAGE = (ROOT / "docs/transmission.md").read_text()
SPEC = load("transmission")


def test_every_option_and_tuned_entry_is_on_the_page():
    for name, field in TransmissionOptions.model_fields.items():
        if name != "kind":
            assert f"| `{field.alias or name}` | " in PAGE
    assert all(entry.why for entry in (*NEEDED.values(), *TUNED.values()))


def test_profiles_differ_by_what_the_table_says():
    stock, tuned = (table(TransmissionOptions(profile=p)) for p in ("stock", "tuned"))
    assert set(tuned) - set(stock) == set(TUNED)
    assert "utp-enabled" not in stock
    assert table(TransmissionOptions(utp=False))["utp-enabled"].value is False
    own = TransmissionOptions(profile="tuned", settings={"cache-size-mb": 8})
    assert table(own)["cache-size-mb"].why == "the scenario's `settings`"
    assert not set(OWNED) & set(tuned)


def test_what_only_swarmrace_sets_is_refused():
    found = SPEC.faults(TransmissionOptions(settings={"rpc-port": 1, "cache-size-mb": 1}))
    assert [fault.key for fault in found] == ["settings.rpc-port"]


@real
def test_a_setting_that_the_daemon_would_ignore_is_refused():
    """It says nothing of an entry that it doesn't know."""
    wrong = {"cache-size": 1, "cache-size-mb": True, "encryption": 2}
    found = [str(fault) for fault in SPEC.faults(TransmissionOptions(settings=wrong))]
    assert found == [
        "settings.cache-size: not a setting of this transmission-daemon (did you mean "
        "'cache-size-mb'?)",
        "settings.cache-size-mb: found True, expected int like 4",
    ]


@real
def test_what_is_set_differs_from_the_daemons_own_defaults():
    own = defaults(find_program(TransmissionOptions()))
    for name, entry in {**NEEDED, **TUNED}.items():
        assert type(entry.value) is type(own[name])
        assert entry.value != own[name]
    assert set(OWNED) - {"watch-dir", "watch-dir-enabled"} <= set(own)


@pytest.mark.parametrize(
    ("piece", "said"),
    [(10_000, "a power of two"), (2**25, "a power of two"), (2**20, "at most the file size")],
)
def test_a_piece_size_that_cannot_be_is_refused(piece, said):
    shape = RaceShape(file_sizes=(1_000_000,), swarm_sizes=(2,), cold_start=True)
    (fault,) = SPEC.cross_faults(TransmissionOptions(piece_size=piece), shape)
    assert said in fault.fault.text
    assert SPEC.cross_faults(TransmissionOptions(piece_size=2**14), shape) == []


def test_no_proxy_and_no_option_reaches_the_daemon(monkeypatch):
    for name in ("HTTP_PROXY", "https_proxy", "TRANSMISSION_HOME", "TR_CURL_VERBOSE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    given = environment()
    assert given["PATH"] == os.environ["PATH"]
    assert not [name for name in given if "proxy" in name.lower() or name.startswith("TR")]


def test_a_verdict_warns_of_its_timers():
    (caveat,) = SPEC.caveats({}, True)
    assert "timers" in caveat


def test_a_race_with_it_gets_namespaces():
    assert "loopback" in SPEC.network.own_source_address(TransmissionOptions())


def test_a_program_that_is_missing_is_named(tmp_path):
    options = TransmissionOptions(program=str(tmp_path / "none"))
    (missing,) = SPEC.check(options)
    assert str(tmp_path / "none") in missing
    assert "apt-get install transmission-daemon" in missing
    assert SPEC.identity.version(options) == ""


@real
def test_the_program_is_named_by_version_and_hash():
    options = TransmissionOptions()
    assert SPEC.identity.version(options).startswith("Transmission ")
    assert "sha256" in SPEC.identity.program(options)


@real
def test_a_transfer_has_fine_samples_and_a_profile_of_its_own(tmp_path):
    size = 8_000_003

    async def body(swarm):
        run = swarm.run()
        file, sha256 = swarm.file(run)
        await swarm.prepare(run)
        (published,) = await swarm.publish(run, file)
        profile = swarm.work_dirs[1] / "profile"
        settings = json.loads((profile / "settings.json").read_text())
        record = swarm.record()
        record.start_ns = swarm.clock.now_ns()
        await swarm.systems[1].fetch([published.reference], record)
        await swarm.systems[1].refresh()
        assert (await swarm.systems[1].digest()).sha256 == sha256
        counters = [system.counters() for system in swarm.systems]
        described = swarm.systems[1].describe()
        await swarm.remove()
        assert not profile.exists()
        return published, settings, record, counters, described

    published, settings, record, counters, described = in_swarm(body, tmp_path, size)
    assert set(published.steps) == {"hash", "check", "announce"}
    assert published.reference["magnet"].startswith("magnet:?xt=urn:btih:")
    assert settings["bind-address-ipv4"] == settings["rpc-bind-address"]
    assert settings["bind-address-ipv4"].startswith("10.")
    for name in ("dht-enabled", "lpd-enabled", "pex-enabled", "port-forwarding-enabled"):
        assert settings[name] is False
    curve = record.arrivals.curve(record.start_ns, size)
    assert curve.complete
    t_ns, unknown_ns = curve.mark(100)
    assert 0 < unknown_ns < t_ns
    assert counters[1].payload_received_bytes >= size
    assert described["version"].startswith("Transmission ")
    assert set(described["reasons"]) == set(NEEDED)


@real
def test_a_daemon_that_is_killed_is_a_result(tmp_path):
    """The leecher's, in its fetch; then the seeder's, which is found when it is removed."""

    async def body(swarm):
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        (published,) = await swarm.publish(run, file)
        seeder, leecher = swarm.systems
        (of_leecher,), (of_seeder,) = leecher.processes(), seeder.processes()
        os.kill(of_seeder, signal.SIGSTOP)  # so that the fetch can't end first
        fetch = asyncio.ensure_future(leecher.fetch([published.reference], swarm.record()))
        await asyncio.sleep(0.5)
        os.kill(of_leecher, signal.SIGKILL)
        os.kill(of_seeder, signal.SIGKILL)
        with pytest.raises(TransferError) as in_fetch:
            await fetch
        with pytest.raises(TransferError) as in_remove:
            await seeder.remove()
        return in_fetch.value, in_remove.value

    for error in in_swarm(body, tmp_path):
        assert error.reason is Reason.NODE_DIED
        assert "transmission-daemon" in error.detail
        assert "ended by signal 9" in error.detail


@real
def test_a_content_that_nobody_has_is_waited_for_and_given_up(tmp_path):
    async def body(swarm):
        await swarm.prepare(swarm.run())
        announce = swarm.systems[1].context.announce_url
        nobody = "0" * 39 + "1"
        reference = {"magnet": f"magnet:?xt=urn:btih:{nobody}&tr={announce}", "infoHash": nobody}
        record = swarm.record()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await swarm.systems[1].fetch([reference], record)
        again = swarm.systems[1].counters()
        await swarm.remove()
        return record, again

    record, counters = in_swarm(body, tmp_path)
    assert record.discovered_ns is None
    assert record.progress_bytes == 0
    assert counters.payload_received_bytes in (0, None)


@real
def test_a_tracker_that_is_away_is_named_when_the_publish_times_out(tmp_path):
    async def body(swarm):
        run = swarm.run()
        file, _ = swarm.file(run)
        await swarm.prepare(run)
        seeder = swarm.systems[0]
        object.__setattr__(seeder.context, "announce_url", "http://10.255.255.1:1/announce")
        publishing = asyncio.ensure_future(seeder.publish(file, None))
        await until(lambda: seeder.trouble.startswith("tracker: "))
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        assert seeder.trouble.startswith("tracker: ")

    in_swarm(body, tmp_path)


@real
def test_a_daemon_that_cannot_start_says_why(tmp_path):
    program = tmp_path / "transmission-daemon"
    program.write_text("#!/bin/sh\necho cannot load libcurl >&2\nexit 127\n")
    program.chmod(0o755)

    async def body(swarm):
        await swarm.systems[0].prepare(swarm.run())

    with pytest.raises(TransferError, match="cannot load libcurl") as caught:
        in_swarm(body, tmp_path / "swarm", program=str(program))
    assert caught.value.reason is Reason.REFUSED


@real
def test_a_daemon_in_a_pods_sidecar(tmp_path):
    """Under the real supervisor: started cold on a profile that the runner wrote, and removed."""

    async def body(swarm):
        with ExitStack() as stack:
            for peer, system in enumerate(swarm.systems):
                control = stack.enter_context(supervised(tmp_path / f"pod{peer}"))
                beside = Sidecar(f"http://127.0.0.1:{9091 + peer}", control, None)
                system._daemon = SidecarDaemon(beside, system.context, system.options)
            run = swarm.run()
            file, sha256 = swarm.file(run)
            await swarm.prepare(run)
            assert all(len(system.processes()) == 1 for system in swarm.systems)
            (published,) = await swarm.publish(run, file)
            await swarm.systems[1].fetch([published.reference], swarm.record())
            assert (await swarm.systems[1].digest()).sha256 == sha256
            await swarm.remove()
            assert not any((each / "profile").exists() for each in swarm.work_dirs)

    in_swarm(body, tmp_path / "swarm")


@contextmanager
def supervised(folder):
    """Run the supervisor of one pod; yield its control folder."""
    with ended(start_supervisor(folder, ["transmission-daemon"])):
        yield folder / "control"


@pytest.mark.parametrize(("name", "more"), [("altruistic", set()), ("altruistic-small", {"exec"})])
def test_the_scenarios_of_all_systems_are_sound(name, more):
    scenario = load_scenario(ROOT / f"scenarios/{name}.yaml")
    kinds = {options.kind for options in scenario.entrants.values()}
    assert kinds == {"bittorrent", "transmission", "ipfs", "http"} | more
    assert scenario.race.baseline == "bittorrent"
    assert f"scenarios/{name}.yaml" in (ROOT / ".ci/run").read_text() or name == "altruistic"


def test_utp_at_a_private_ipv6_address_is_refused_with_the_reason(make_context):
    """Seen with version 3.00 at fd00::/8: no metadata within 60 s; without uTP it races."""
    context = make_context(address="fd00::7")
    for options in ({}, {"utp": True}, {"profile": "tuned", "utp": True}):
        daemon = LocalDaemon(context, TransmissionOptions(**options))
        with pytest.raises(TransferError, match="found uTP at fd00::7, expected utp: false") as no:
            daemon._write_profile("::1", 9091, 51413)
        assert no.value.reason is Reason.REFUSED
    for options in ({"utp": False}, {"profile": "tuned"}):
        daemon = LocalDaemon(context, TransmissionOptions(**options))
        daemon._write_profile("::1", 9091, 51413)
        assert daemon.settings["bind-address-ipv6"] == "fd00::7"
        assert daemon.settings["bind-address-ipv4"] == "0.0.0.0"
