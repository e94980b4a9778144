"""Real sweeps from the command line, killed and resumed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from patience import PATIENCE_SECONDS, wait_for
from swarmrace.errors import Exit
from swarmrace.integrity import verify
from swarmrace.sweep import lock, state

CELLS = 4


@pytest.fixture
def matrix(tmp_path):
    file = tmp_path / "matrix.yaml"
    race = {
        "matrix": {"swarmSize": [2, 3], "seeders": [1], "fileSize": ["20kB", "1MB"]},
        "repetitions": 2,
    }
    entrants = {"web": {"kind": "http"}, "bt": {"kind": "bittorrent"}}
    file.write_text(yaml.safe_dump({"global": {"race": race, "entrants": entrants}}))
    return file


class Sweep:
    """The command in its own process, and its folders."""

    def __init__(self, matrix: Path) -> None:
        self.matrix, self.folder = matrix, matrix.parent / "sweep"
        self.work = matrix.parent / "work"
        self.work.mkdir()

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "swarmrace", "sweep", str(self.matrix)]
        command += ["--folder", str(self.folder), "--work-dir", str(self.work), *options]
        return subprocess.Popen(
            command,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # A sweep refuses another commit, and the checkout may change during the test.
            env={**os.environ, "SWARMRACE_COMMIT": "of the test"},
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        process = self.start(*options)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    def read_state(self) -> state.SweepState:
        return state.read(self.folder)

    def races(self) -> dict[str, str]:
        """Return the id of the race that counts, by cell."""
        return {
            cell.cell.name: cell.parts[0].counted.info.race_id
            for cell in self.read_state().cells
            if cell.done
        }

    def processes(self) -> list[psutil.Process]:
        """Return the processes whose command line names the sweep's work folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if process.pid != os.getpid() and any(str(self.work) in word for word in words):
                    found.append(process)
        return found


@pytest.fixture
def sweep(matrix):
    return Sweep(matrix)


def descendants(process):
    with contextlib.suppress(psutil.Error):
        return [*psutil.Process(process.pid).children(recursive=True)]
    return []


def wait_for_cleanup(sweep, seen):
    """Wait until nothing of a killed driver is left."""
    wait_for(lambda: lock.current_driver(sweep.folder) is None, "the lock to be free")
    wait_for(lambda: not any(p.is_running() for p in seen), "the race's processes to end")
    assert list(sweep.work.iterdir()) == []


def test_a_sweep_killed_three_times_is_complete_and_counts_nothing_twice(sweep):
    source, counted = random.Random(os.getpid()), {}
    for kills in range(3):
        process = sweep.start()
        # Kill it once it holds the lock, at a random moment of a cell or between two cells.
        wait_for(lambda: lock.current_driver(sweep.folder), "the sweep to begin")
        time.sleep(source.uniform(0.2, 5.0))
        seen = descendants(process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        wait_for_cleanup(sweep, seen)
        assert counted.items() <= sweep.races().items(), f"lost by kill {kills + 1}"
        counted = sweep.races()
    code, out, err = sweep.run()
    assert code == Exit.OK, err
    assert f"sweep matrix: {len(counted)} of {CELLS} cells done" in err, "printed at the start"
    assert f"{CELLS} of {CELLS} cells done" in out
    found = sweep.read_state()
    assert not found.missing
    assert not found.strays
    assert counted.items() <= sweep.races().items()
    assert len(set(sweep.races().values())) == CELLS
    for cell in found.cells:
        (part,) = cell.parts
        states = [attempt.state for attempt in part.attempts]
        assert states == ["ended"] * (len(states) - 1) + ["done"], "nothing done is raced again"
        assert [attempt.number for attempt in part.attempts] == list(range(1, len(states) + 1))
        assert verify.verify(part.counted.folder).sound
        assert all(run.result.status == "raced" for run in cell.results().runs)
    # The race.json of later cells repeats the trials of earlier ones, with identical times.
    trials = {
        (trial.program, trial.seconds)
        for cell in found.cells
        for part in cell.parts
        for attempt in part.attempts
        for trial in (attempt.info.trials.values() if attempt.info else ())
        if trial.outcome == "started"
    }
    assert len(trials) == 2, "each program is tried once, unless its trial was cut off"
    assert list(sweep.work.iterdir()) == []
    assert sweep.processes() == []
    again = sweep.run()
    assert again[0] == Exit.OK
    assert sweep.read_state().cells == found.cells, "nothing was raced"


def test_ctrl_c_ends_cleanly_and_the_next_start_races_the_rest(sweep):
    process = sweep.start("--seed", "5")
    wait_for(
        lambda: sweep.folder.exists() and any(sweep.folder.glob("cells/*/*/*/runs/*")), "a run"
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == Exit.INTERRUPTED
    assert "start the sweep again to resume it" in err
    assert "not running" in out
    wait_for(lambda: lock.current_driver(sweep.folder) is None, "the lock to be free")
    assert list(sweep.work.iterdir()) == []
    code, _, err = sweep.run()
    assert code == Exit.OK, err
    assert not sweep.read_state().missing
    # Further blocks of a cell are a separate race and are judged together with the first ones.
    cell = sweep.read_state().cells[0].cell
    code, _, err = sweep.run("--repetitions", "3", "--cell", cell.name)
    assert code == Exit.OK, err
    assert "blocks added, up to 3 each: 1 cells" in err
    merged = sweep.read_state().cells[0].results()
    assert [run.run.repetition for run in merged.runs] == [0, 0, 1, 1, 2, 2]
    assert all(run.result.status == "raced" for run in merged.runs)
    assert verify.verify(merged.parts[1].folder).sound
    assert not sweep.read_state().missing


def test_limits_stop_before_the_cell_that_would_exceed_them(sweep):
    code, _, err = sweep.run("--budget", "1s")
    assert code == Exit.SWEEP_INCOMPLETE
    assert "of the budget of 1 s is left" in err
    code, _, err = sweep.run("--disk", "10kB")
    assert code == Exit.SWEEP_INCOMPLETE
    assert "and --disk allows 10 kB" in err
    assert not (sweep.folder / "cells").exists()
    code, _, err = sweep.run("--cell", "2x1-20kB", "--budget", "10m", "--disk", "1GB")
    assert code == Exit.OK, err
    assert list(sweep.races()) == ["2x1-20kB"]


def test_an_attempt_that_the_infrastructure_ended_is_tried_again(sweep):
    """The results folder of the first attempt is moved away during its race."""
    long = sweep.matrix.read_text().replace("repetitions: 2", "repetitions: 12")
    sweep.matrix.write_text(long)  # the race isn't over before this test moves its folder
    process = sweep.start("--cell", "3x1-1MB", "--retries", "1")
    where = wait_for(
        lambda: next(sweep.folder.glob("cells/3x1-1MB-*/blocks-0-11/attempt-1/runs"), None),
        "the first attempt",
    )
    where.parent.rename(sweep.folder.parent / "moved away")
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == Exit.OK, err
    cell = next(each for each in sweep.read_state().cells if each.cell.name == "3x1-1MB")
    assert cell.done
    assert "ended by the infrastructure" in err or "nothing was recorded" in err


def test_status_reports_a_running_sweep_from_outside(sweep, run_cli):
    slow = {"kind": "synthetic", "curve": [[0, 0], [12, 1]]}
    made = yaml.safe_load(sweep.matrix.read_text())
    made["global"]["race"]["repetitions"] = 1
    made["global"]["entrants"] = {"slow": slow}
    sweep.matrix.write_text(yaml.safe_dump(made))
    process = sweep.start("--cell", "2x1-20kB")
    try:
        wait_for(
            lambda: (
                sweep.folder.exists()
                and (driver := lock.current_driver(sweep.folder))
                and driver.cell
            ),
            "a driver and its cell",
        )
        os.kill(process.pid, signal.SIGSTOP)  # so that nothing changes while it is looked at
        done = run_cli("sweep", "--status", str(sweep.folder), "--format", "json")
        status = json.loads(done.output)
        assert (status["cellsTotal"], status["cellsDone"]) == (CELLS, 0)
        assert status["currentCell"] == "2x1-20kB"
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=PATIENCE_SECONDS)
    done = run_cli("sweep", "--status", str(sweep.folder))
    assert "1 of 4 cells done; 3 to do" in done.output
    assert "not running" in done.output


def test_run_on_a_matrix_is_a_sweep(sweep, tmp_path):
    command = [sys.executable, "-m", "swarmrace", "run", str(sweep.matrix)]
    command += ["--results", str(tmp_path / "results"), "--work-dir", str(sweep.work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == Exit.OK, done.stderr
    assert "a matrix of 4 cells: raced as a sweep" in done.stderr
    assert "4 of 4 cells done" in done.stdout
    assert not state.read(tmp_path / "results" / "matrix-sweep").missing
