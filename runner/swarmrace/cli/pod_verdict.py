"""The verdict's pod: waits for the race to end, prints the verdict, and can store the results."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from swarmrace.backends.kubernetes import download
from swarmrace.backends.kubernetes.pod_api import PodApi
from swarmrace.cli import verdict_command as command
from swarmrace.cli.display import Guarded, Lines, make_console
from swarmrace.cli.pod_options import read_token
from swarmrace.errors import Exit, InfrastructureError, SwarmraceError, UnavailableError
from swarmrace.integrity.verify import require
from swarmrace.results import folder as results
from swarmrace.results import pod_facts
from swarmrace.scenario.loading import load
from swarmrace.sweep import keeping, lock, state
from swarmrace.sweep.state import Attempt
from swarmrace.verdict import render
from swarmrace.verdict.compute import compute
from swarmrace.verdict.model import Verdict

LABEL = "swarmrace/verdict"
"""Label of the verdict's Job, set once its results are stored."""
_LOCK_PATIENCE_SECONDS = 120.0
"""How long to wait for the sweep's lock, which the previous cell's pod may still hold."""


@dataclass(frozen=True)
class AwaitedRace:
    """The race whose end the pod waits for."""

    rendezvous: str
    race_id: str
    token_file: Path | None
    timeout_seconds: float

    def download(self, folder: Path) -> dict[str, Any]:
        """Wait for the race to end, download its results to `folder`; return its last status.

        Raises:
            SwarmraceError: the race didn't end in time, its rendezvous doesn't answer, or the
                results are damaged.
        """
        status = asyncio.run(
            download.wait_and_download(
                self.rendezvous,
                self.race_id,
                read_token(self.token_file),
                folder,
                timeout_seconds=self.timeout_seconds,
                watch=Guarded(Lines(make_console(stderr=True))).update,
            )
        )
        require(folder)
        return status


def show(race: AwaitedRace) -> int:
    """Wait for a race to end, print its verdict and return the verdict's exit code.

    Raises:
        InfrastructureError: the race was stopped.
        SwarmraceError: see `Race.download`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        status = race.download(folder)
        code = command.show(folder, full=True, console=make_console())
        if status.get("stopped"):  # a full disk may have kept this out of the folder
            raise InfrastructureError(f"the race was stopped: {status['stopped']}")
        return code


class CellObjects:
    """The objects of a cell's release that its verdict's pod changes.

    A failure to change one is only printed: the results matter more.

    Args:
        job: the pod's own Job, which gets the label `swarmrace/verdict`.
        tracker: the tracker's Deployment.
        api: the cluster's API; the pod's own by default.
    """

    def __init__(self, job: str | None, tracker: str | None, api: PodApi | None = None) -> None:
        self._job, self._tracker, self._api = job, tracker, api
        self._print = make_console(stderr=True).print
        if api is None and (job or tracker):
            with self._print_failure("the cluster's API"):
                self._api = PodApi()

    @property
    def is_stored(self) -> bool:
        """Whether an earlier pod of the Job has stored the results."""
        with self._print_failure(f"job {self._job}"):
            if self._api is not None and self._job:
                return LABEL in self._api.labels_of_job(self._job)
        return False

    def label(self, word: str) -> None:
        """Label the Job with how the race ended."""
        with self._print_failure(f"job {self._job}"):
            if self._api is not None and self._job:
                self._api.label_job(self._job, {LABEL: word})

    def end_tracker(self) -> None:
        """End the tracker's pod, so that nothing of a finished cell runs beside the next one."""
        with self._print_failure(f"deployment {self._tracker}"):
            if self._api is not None and self._tracker:
                self._api.scale(self._tracker, 0)

    def pods(self, release_hash: str) -> pod_facts.PodsFile | None:
        """Return the cluster's facts about the race's pods; None without access to its API."""
        if self._api is None:
            return None
        try:
            items, trouble = self._api.pods(pod_facts.selector(release_hash)), ""
        except UnavailableError as error:
            items, trouble = [], str(error)
        return pod_facts.from_kubernetes(items, trouble, pod_facts.BY_VERDICT)

    @contextlib.contextmanager
    def _print_failure(self, what: str) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            self._print(f"! {what}: {error}", soft_wrap=True)


def keep(race: AwaitedRace, scenario: Path, sweep: Path, cell: CellObjects) -> int:
    """Wait for a race to end, store its results in a sweep's folder, print its verdict; return 0.

    It returns 0 whatever the verdict is, and also if the infrastructure ended the race: this is
    recorded in the folder and in the Job's label, and the next cell can race. Meanwhile it holds
    the sweep's lock.

    Args:
        race: the race to wait for.
        scenario: the race's scenario file.
        sweep: the sweep's folder.
        cell: the release's objects.

    Raises:
        SweepError: the race isn't part of the sweep, or another driver holds the sweep's lock.
        OSError: the results can't be written, so the sweep must not continue.
    """
    if cell.is_stored:
        cell.end_tracker()
        return Exit.OK
    place = keeping.place(sweep, load(scenario))
    console = make_console()
    temporary = Path(tempfile.gettempdir())
    with lock.held(sweep, "argocd", temporary, _LOCK_PATIENCE_SECONDS) as (held, _):
        held.note(place.cell.name, place.number)
        with place.incoming() as folder:
            failure, verdict = _download(race, folder, cell)
            if failure and not (folder / "race.json").exists():
                state.record_reason(folder, failure)
            attempt = place.keep(folder)
        held.note()
    word = _word(attempt, verdict)
    if verdict is not None:
        render.show(verdict, console)
    _print_attempt(console, place, attempt, word, failure)
    cell.label(word)
    cell.end_tracker()
    return Exit.OK


def _download(race: AwaitedRace, folder: Path, cell: CellObjects) -> tuple[str, Verdict | None]:
    """Download the results and add the pods' facts and the verdict; return the failure, if any, and
    the verdict."""
    try:
        race.download(folder)
        loaded = results.load(folder)
        if (facts := cell.pods(loaded.info.release_hash)) is not None:
            pod_facts.write(folder, facts)
        verdict = compute(loaded)
        command.store(folder, verdict)
    except (SwarmraceError, ValueError) as error:
        return " ".join(str(error).split()), None
    return "", verdict


def _word(attempt: Attempt, verdict: Verdict | None) -> str:
    """Return how a race ended as one word for a label."""
    if attempt.state != "done" or verdict is None:
        return "infrastructure"
    words = {
        Exit.OK: "met" if verdict.acceptance else "complete",
        Exit.ACCEPTANCE_MISSED: "missed",
        Exit.ACCEPTANCE_UNDECIDED: "undecided",
        Exit.UNAVAILABLE: "never-started",
        Exit.INFRASTRUCTURE: "infrastructure",
    }
    return words.get(verdict.exit, "failed")


def _print_attempt(
    console: Console, place: keeping.Place, attempt: Attempt, word: str, failure: str
) -> None:
    reason = f": {attempt.why or failure}" if word == "infrastructure" else ""
    console.print(f"cell {place.cell.name}: {word}{reason}", soft_wrap=True)
    console.print(f"stored in {attempt.folder.relative_to(place.sweep.parent)}", soft_wrap=True)
