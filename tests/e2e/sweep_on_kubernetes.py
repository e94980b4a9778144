"""`make e2e-sweep-on-kubernetes`: a matrix that `swarmrace sweep --on kubernetes` races from here.

Four small cells of BitTorrent and HTTP. The sweep is interrupted by Ctrl-C in the first cell and by
kill -9 in the second; each time it is started again and continues.
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cluster
import pauses
import pytest
import verdict_jobs
import yaml
from cluster import ROOT, SWARMRACE, get, say, until
from release import image_values

from swarmrace.integrity import verify
from swarmrace.sweep import state

pytestmark = [pytest.mark.timeout(4800), pytest.mark.usefixtures("image")]

CELL_SECONDS = 900
SCENARIO = {
    "global": {
        "race": {
            # Long enough that a race isn't over when it is seen to have begun.
            "repetitions": 6,
            "timeouts": {"assembleSeconds": 120, "settleSeconds": 5},
            "matrix": {"swarmSize": [2], "fileSize": ["1MB", "2MB", "3MB", "4MB"], "seeders": [1]},
        },
        "entrants": {
            "bittorrent": {"kind": "bittorrent", "profile": "tuned"},
            "http": {"kind": "http", "profile": "tuned"},
        },
    }
}


@dataclass
class Lab:
    """A namespace, a scenario and the sweep's folder."""

    namespace: str
    folder: Path
    verdicts: dict[str, verdict_jobs.VerdictJob] = field(default_factory=dict)

    @property
    def sweep(self) -> Path:
        return self.folder / "sweep"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the sweep, or continue it; its output goes to `output.txt`."""
        command = [SWARMRACE, "sweep", "pair.yaml", "--on", "kubernetes", "-n", self.namespace]
        command += ["--chart", ROOT / "charts/swarmrace", "--values", "image.yaml"]
        command += ["--folder", self.sweep]
        with (self.folder / "output.txt").open("ab") as out:
            return subprocess.Popen(
                [str(part) for part in command], cwd=self.folder, stdout=out, stderr=out
            )

    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def is_racing(self, process: subprocess.Popen[bytes], since: float) -> bool:
        """Return whether all peers of a release that was installed after `since` run."""
        assert process.poll() is None, self.output()
        if max(cluster.helm_releases(self.namespace).values(), default=0.0) < since:
            return False
        label = "app.kubernetes.io/component=peer"
        pods = get("pods", "-n", self.namespace, "-l", label)
        return len(pods) == 4 and all(pod["status"]["phase"] == "Running" for pod in pods)

    def await_racing(self, process: subprocess.Popen[bytes], what: str, since: float) -> None:
        until(what, CELL_SECONDS, lambda: self.is_racing(process, since), 0.5)

    def await_end(self, process: subprocess.Popen[bytes]) -> int:
        return process.wait(CELL_SECONDS * 4)

    def left(self) -> list[str]:
        """Return what is left in the namespace, with helm's releases and the sweep's lease."""
        leases = get("leases", "-n", self.namespace)
        return cluster.left_behind(self.namespace) + [each["metadata"]["name"] for each in leases]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    cluster.need("kubectl", "helm")
    folder = tmp_path_factory.mktemp("pair")
    (folder / "pair.yaml").write_text(yaml.safe_dump(SCENARIO))
    (folder / "image.yaml").write_text(yaml.safe_dump({"global": {"image": image_values()}}))
    with cluster.namespace(f"swarmrace-pair-{os.getpid()}") as namespace:
        made = Lab(namespace, folder)
        try:
            yield made
        except BaseException:
            print(made.output())
            raise


def test_ctrl_c_leaves_nothing_and_the_next_start_continues(lab: Lab) -> None:
    process = lab.start()
    try:
        lab.await_racing(process, "the first cell is raced", 0.0)
        process.send_signal(signal.SIGINT)
        assert lab.await_end(process) == 130, lab.output()
    finally:
        _end(process)
    until("nothing left", 300, lambda: not lab.left())
    found = state.read(lab.sweep)
    assert not any(cell.done for cell in found.cells)


def test_kill_9_is_followed_by_a_start_that_removes_what_it_left(lab: Lab) -> None:
    process = lab.start()
    try:
        until("the first cell is done", CELL_SECONDS, lambda: _done(lab) == 1 or process.poll(), 1)
        assert process.poll() is None, lab.output()
        lab.await_racing(process, "the second cell is raced", _since(lab))
        process.send_signal(signal.SIGKILL)
        process.wait(120)
    finally:
        _end(process)
    assert lab.left(), "its release is still there"
    began = time.monotonic()
    with verdict_jobs.watched(lab.namespace) as jobs:
        process = lab.start()
        try:
            assert lab.await_end(process) == 0, lab.output()
        finally:
            _end(process)
        lab.verdicts |= jobs()
    say(f"after kill -9: the other cells were raced within {time.monotonic() - began:.0f} s")
    until("nothing left", 300, lambda: not lab.left())


def test_every_cell_is_there_once(lab: Lab) -> None:
    found = state.read(lab.sweep)
    assert not found.missing
    for cell in found.cells:
        (part,) = cell.parts
        assert part.counted is not None
        assert verify.verify(part.counted.folder).sound
        peers = [peer for run in cell.results().runs for peer in run.peers.values()]
        assert {peer.outcome for peer in peers} == {"completed"}
    raced = sorted((cell.results() for cell in found.cells), key=pauses.last_end)
    seconds = []
    for before, after in itertools.pairwise(raced[1:]):  # after the kill
        verdict, following = (lab.verdicts[each.info.release_hash] for each in (before, after))
        seconds.append(pauses.first_transfer(after) - verdict.complete)
        say(pauses.describe(pauses.between(verdict, following, after)))
    say(
        f"from a cell's verdict to the next first transfer: {statistics.median(seconds):.0f} s "
        f"(median of {', '.join(f'{each:.0f}' for each in seconds)})"
    )


def _done(lab: Lab) -> int:
    return sum(cell.done for cell in state.read(lab.sweep).cells)


def _since(lab: Lab) -> float:
    """Return when the only finished cell's race began; the next one's release is younger."""
    (done,) = (cell for cell in state.read(lab.sweep).cells if cell.done)
    return cluster.seconds_of(done.results().info.created_utc)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(120)
