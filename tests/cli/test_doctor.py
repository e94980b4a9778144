"""`swarmrace doctor`: its checks and their results."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from swarmrace import systems
from swarmrace.cli import doctor
from swarmrace.clock import SystemClock, VirtualClock
from swarmrace.errors import Exit
from swarmrace.host import leftovers, machine
from swarmrace.network import conditions, namespaces
from swarmrace.systems.parts import Identity


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, doctor.Row]:
    folder = tmp_path_factory.mktemp("work")
    return {row.name: row for row in doctor.examine(work_dir=folder)}


def test_everything_is_checked(rows):
    assert set(rows) >= {
        "python",
        "system bittorrent",
        "system codex",
        "system http",
        "processors",
        "memory",
        "disk",
        "open files",
        "network namespaces",
        "delay and loss",
        "tc tbf",
        "tc netem",
        "tc ifb",
        "clock source",
        "start lag",
        "helm",
        "kubectl",
        "leftovers",
    }


def test_every_problem_has_a_fix(rows):
    for row in rows.values():
        assert row.found
        assert row.state == "ok" or row.fix, row


def test_versions_are_shown(rows):
    assert rows["system bittorrent"].found.startswith("libtorrent 2.1")
    assert "3." in rows["python"].found


@pytest.mark.parametrize(("package", "state"), [("not-a-package", "missing"), ("numpy", "warn")])
def test_a_package_that_is_missing_is_a_broken_installation(monkeypatch, package, state):
    known = systems.load
    lacking = replace(
        known("http"),
        check=lambda options: ["nothing to race with; get it"],
        identity=Identity(packages=(package,)),
    )
    monkeypatch.setattr(systems, "load", lambda kind: lacking if kind == "http" else known(kind))
    found = {row.name: row for row in doctor._systems()}
    assert (found["system http"].state, found["system http"].fix) == (
        state,
        "nothing to race with; get it",
    )


def test_a_table_holds_every_row(rows):
    with Console(width=160, record=True) as console:
        console.print(doctor.render(list(rows.values())))
    shown = console.export_text()
    assert all(name in shown for name in rows)


def test_a_table_interprets_no_markup():
    row = doctor.Row(name="x", state="warn", found="[libtorrent:48]", fix="see [/etc/x]")
    with Console(width=160, record=True) as console:
        console.print(doctor.render([row]))
    shown = console.export_text()
    assert row.found in shown
    assert row.fix in shown


def test_a_missing_codex_is_only_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {row.name: row for row in doctor._systems()}
    assert found["system codex"].state == "warn"
    assert "build it" in found["system codex"].fix
    assert {row.state for row in doctor._cluster_tools()} == {"warn"}


def test_a_codex_program_is_asked_for_its_version(monkeypatch, tmp_path):
    program = tmp_path / "codex"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '  --version) echo "Codex version:  v0.2.5"; echo "Codex revision: bd360322";;\n'
        '  *) echo " --data-dir=DIR --api-port=N --nat=any";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {row.name: row for row in doctor._systems()}
    assert found["system codex"].found == f"{program} v0.2.5"


def test_namespaces_that_are_not_permitted_are_a_warning(monkeypatch):
    monkeypatch.setattr(namespaces, "refusals", lambda: ["network namespaces: not permitted"])
    found = list(doctor._network())
    assert {row.state for row in found} == {"warn"}
    assert found[0].fix == "network namespaces: not permitted"


@pytest.mark.parametrize(("ifb", "state"), [("", "ok"), ("needs CONFIG_IFB", "warn")])
def test_policing_is_only_needed_without_ifb(monkeypatch, ifb, state):
    can = dict.fromkeys(("tbf", "netem", "relay"), "")
    can |= {"ifb": ifb, "police": "needs CONFIG_NET_ACT_POLICE"}
    monkeypatch.setattr(namespaces, "refusals", list)
    monkeypatch.setattr(conditions, "probe", lambda: can)
    assert {row.name: row.state for row in doctor._network()}["tc police"] == state


@pytest.mark.parametrize(
    ("netem", "relay", "found"),
    [("", "", "by netem"), ("lacks", "", "by a relay in user space"), ("a", "b", "not possible")],
)
def test_the_means_of_delay_and_loss_is_shown(netem, relay, found):
    row = doctor._delay({"netem": netem, "relay": relay})
    assert row.found == found
    assert row.state == ("warn" if netem and relay else "ok")
    assert row.fix == ("a; b" if netem and relay else "")


def test_a_work_folder_in_memory_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "filesystem_of", lambda _: "tmpfs")
    disk = {row.name: row for row in doctor._room(tmp_path)}["disk"]
    assert disk.state == "warn"
    assert "--work-dir" in disk.fix


class LateClock(VirtualClock):
    """A clock whose sleeps end late, by the given lags in turn."""

    def __init__(self, lags_ns: list[int]) -> None:
        super().__init__(start_ns=7)
        self._lags_ns = iter(lags_ns)

    async def sleep_until(self, instant_ns: int) -> None:
        await super().sleep_until(instant_ns + next(self._lags_ns))


@pytest.mark.parametrize(
    ("lags_ns", "seconds"),
    [
        ([1_000_000 * lag for lag in (*range(100, 200), *range(100))], 0.198),
        ([5_000, 2_000_000, 1_000], 0.002),
        ([0, 0, 0], 0.0),
    ],
)
def test_the_start_lag_is_the_99th_percentile_of_the_wakes(lags_ns, seconds):
    assert doctor.wake_lag_seconds(len(lags_ns), LateClock(lags_ns)) == seconds


def test_no_wake_is_early():
    """The clock of a race never returns before the instant."""

    async def wake() -> None:
        clock = SystemClock()
        for ahead_ns in (0, 100_000, 1_400_000, 1_600_000, 3_000_000):
            instant_ns = clock.now_ns() + ahead_ns
            await clock.sleep_until(instant_ns)
            assert clock.now_ns() >= instant_ns

    asyncio.run(wake())


def test_leftovers_are_shown_and_removed_with_fix(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"swarmrace-{ended.pid}-abc"
    left.mkdir()
    (row,) = doctor._leftovers(tmp_path, fix=False)
    assert (row.state, "--fix" in row.fix) == ("warn", True)
    assert left.exists()
    (row,) = doctor._leftovers(tmp_path, fix=True)
    assert row.state == "ok"
    assert "removed" in row.found
    assert not left.exists()


def test_leftovers_that_can_not_be_removed_are_a_warning(tmp_path, monkeypatch):
    left = leftovers.Leftover(tmp_path / "swarmrace-1-x", (), 0)
    monkeypatch.setattr(leftovers, "find", lambda _: [left])
    monkeypatch.setattr(leftovers, "remove", lambda _: False)
    (row,) = doctor._leftovers(tmp_path, fix=True)
    assert row.state == "warn"


@pytest.mark.parametrize(
    ("state", "code"), [("warn", Exit.OK), ("ok", Exit.OK), ("missing", Exit.UNAVAILABLE)]
)
def test_the_command_fails_only_if_no_race_can_run(run_cli, monkeypatch, state, code):
    row = doctor.Row(name="python", state=state, found="x", fix="y")
    monkeypatch.setattr(doctor, "examine", lambda **_: [row])
    done = run_cli("doctor", "--format", "json")
    assert done.exit_code == code
    assert json.loads(done.output) == [{"name": "python", "state": state, "found": "x", "fix": "y"}]
