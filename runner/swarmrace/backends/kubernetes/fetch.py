"""Brings a race's results folder from a cluster, and waits for its verdict inside one.

From outside, plain `kubectl` access is enough: the tracker's pod writes the folder as a tar stream,
with a list of SHA-256 sums as its last member, so that a stream cut short shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

import tenacity

from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.clock import SystemClock
from swarmrace.errors import RaceError, RendezvousError, ResultsError, UnavailableError
from swarmrace.recording.payload import file_sha256
from swarmrace.rendezvous.client.client import RendezvousClient
from swarmrace.results import manifest, pod_facts
from swarmrace.systems import doubles

SUMS = "SHA256SUMS"
"""The archive's last member: a line `SHA256  PATH` for each file, as sha256sum(1) reads it."""

_PRIVATE = ("state.json", "sweep.lock")
_SAYS_LITTLE = re.compile(r"[EWIF]\d{4} |command terminated with exit code ")
_POLL_SECONDS = 2.0
_PATIENCE_SECONDS = 300.0


def races(folder: Path) -> list[dict[str, Any]]:
    """Return the heads of the races whose results lie beside `folder`, itself included.

    Each is `raceId`, `releaseHash`, `status`, `createdUtc` and `sizeBytes`, oldest first.
    """
    found = []
    for head in folder.parent.glob("*/race.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads(head.read_bytes())
            size = sum(path.stat().st_size for path in head.parent.rglob("*") if path.is_file())
            keys = ("raceId", "status", "createdUtc")
            facts = {key: told[key] for key in keys}
            facts["releaseHash"] = told.get("releaseHash", "")
            found.append({**facts, "sizeBytes": size})
    return sorted(found, key=lambda race: (race["createdUtc"], race["raceId"]))


def folder_of(folder: Path, wanted: str) -> Path:
    """Return the folder beside `folder` of a release hash, or the newest of a race id."""
    named = folder.with_name(wanted)
    if named.is_dir():
        return named
    for race in reversed(races(folder)):
        if race["raceId"] == wanted:
            return folder.with_name(race["releaseHash"] or wanted)
    return named


def archive(folder: Path, out: IO[bytes], *, head: str = "race.json") -> None:
    """Write a results folder, or a sweep's, as a tar stream.

    Args:
        folder: to be written.
        out: where.
        head: the file that makes it such a folder: `race.json` or `sweep.json`.

    Raises:
        ResultsError: `head` is not in the folder.
    """
    if not (folder / head).is_file():
        what = "results" if head == "race.json" else "sweep's"
        raise ResultsError(f"{folder}: expected a {what} folder, found no {head} in it")
    sums = []
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            if name in _PRIVATE or path.name.startswith("."):
                continue
            tar.add(path, arcname=name, recursive=False)
            sums.append(f"{file_sha256(path)}  {name}\n")
        data = "".join(sums).encode()
        member = tarfile.TarInfo(SUMS)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def unpack(source: IO[bytes], folder: Path, *, head: str = "race.json") -> None:
    """Unpack what `archive` wrote, into a folder that must not exist, and check every sum.

    Raises:
        ResultsError: the stream is cut short or damaged; nothing is left then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        whole = Path(temporary) / "results"
        whole.mkdir()
        try:
            with tarfile.open(fileobj=source, mode="r|") as tar:
                tar.extractall(whole, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ResultsError(f"{folder}: the archive is cut short or damaged: {error}") from error
        _check_sums(whole, folder, head)
        (whole / SUMS).unlink()
        if folder.exists():
            raise ResultsError(f"{folder}: exists already; remove it or name another with --output")
        whole.rename(folder)


def _check_sums(whole: Path, folder: Path, head: str) -> None:
    if not (whole / SUMS).is_file():
        raise ResultsError(f"{folder}: the archive is cut short: it has no {SUMS} at its end")
    listed = set()
    for line in (whole / SUMS).read_text().splitlines():
        expected, _, name = line.partition("  ")
        listed.add(name)
        path = whole / PurePosixPath(name)
        if not path.is_file() or file_sha256(path) != expected:
            raise ResultsError(f"{folder}: {name} did not arrive whole; fetch again")
    if head not in listed:
        raise ResultsError(f"{folder}: the archive holds no {head}")


class Cluster:
    """A Helm release's tracker, asked by `kubectl`.

    Args:
        release: the release's name.
        namespace: Kubernetes namespace; the context's own when absent.
        context: kubeconfig context; the current one when absent.

    All calls raise:
        UnavailableError: no kubectl, or no tracker of such a release.
    """

    def __init__(self, release: str, namespace: str | None, context: str | None) -> None:
        self._release = release
        self._tools = Tools(namespace, context, lambda line: None, helm=False)

    def races(self) -> list[dict[str, Any]]:
        """Return the heads of the races that the release still holds (`races`), oldest first."""
        races: list[dict[str, Any]] = json.loads(run(self._archive("--list")))
        return races

    def fetch(self, output: Path | None, race_id: str | None = None) -> Path:
        """Bring a results folder here and return its path.

        Args:
            output: the folder to make; `results/RELEASE-RACEID` when absent, with "(test double)"
                in the name where one was raced.
            race_id: an earlier race of the release; the one it races now when absent.

        Raises:
            ResultsError: what came is not a whole results folder.
        """
        if output is not None and output.exists():
            raise ResultsError(f"{output}: exists already; remove it or name another with --output")
        command = self._archive(*(["--race-id", race_id] if race_id else []))
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_attempt(3),
            retry=tenacity.retry_if_exception_type(ResultsError),
            reraise=True,
        ):
            with attempt, tempfile.TemporaryFile() as stream:
                run(command, stream)
                stream.seek(0)
                folder = output or Path("results") / _folder_name(self._release, stream)
                stream.seek(0)
                unpack(stream, folder)
        pod_facts.write(folder, self._pod_facts(folder))
        with contextlib.suppress(OSError, ValueError):
            manifest.extend(folder)  # so that an edited pods.json is noticed
        return folder

    def _pod_facts(self, folder: Path) -> pod_facts.PodsFile:
        """Return what the cluster says of the race's pods, or why it says nothing."""
        head = json.loads((folder / "race.json").read_bytes())
        release_hash = head.get("releaseHash") or head["raceId"]
        labels = f"app.kubernetes.io/part-of=swarmrace-{release_hash}"
        try:
            told = run(self._tools.kubectl_command("get", "pods", "-l", labels, "-o", "json"))
            return pod_facts.from_kubernetes(json.loads(told)["items"])
        except (UnavailableError, ValueError, KeyError) as error:
            return pod_facts.from_kubernetes([], f"kubectl get pods: {error}")

    def _archive(self, *options: str) -> list[str]:
        inside = ["exec", self._pod(), "-c", "tracker", "--", "swarmrace", "archive", *options]
        return self._tools.kubectl_command(*inside)

    def _pod(self) -> str:
        labels = f"app.kubernetes.io/instance={self._release},app.kubernetes.io/component=tracker"
        found = json.loads(
            run(self._tools.kubectl_command("get", "pods", "-l", labels, "-o", "json"))
        )
        for item in found["items"]:
            head = item["metadata"]
            if item["status"].get("phase") == "Running" and "deletionTimestamp" not in head:
                return str(head["name"])
        raise UnavailableError(
            f"release {self._release}: found no running tracker pod ({labels}); see "
            "`helm list --all-namespaces` and give --namespace"
        )


def unfinished(folder: Path) -> str:
    """Return why a fetched folder is not the whole race, or an empty string."""
    head = json.loads((folder / "race.json").read_bytes())
    if head.get("status") != "running":
        return ""
    return f"race {head['raceId']} goes on: these are the results so far; fetch again after its end"


def run(command: list[str], out: IO[bytes] | int = subprocess.PIPE) -> bytes:
    """Run kubectl once; return what it prints, or write it to `out`.

    Raises:
        UnavailableError: it fails; the line of its errors that says why is in it.
    """
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        text = _last_word(done.stderr.decode(errors="replace"))
        raise UnavailableError(f"{' '.join(command[:3])}…: exit code {done.returncode}: {text}")
    return done.stdout or b""


def _last_word(text: str) -> str:
    """Return the last line of kubectl's that says why: its log's lines and the exit code of what it
    ran say less."""
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not _SAYS_LITTLE.match(line)]
    return (telling or lines or [""])[-1].strip()


def _folder_name(release: str, stream: IO[bytes]) -> str:
    head = _head(stream)
    name = doubles.mark(release) if head.get("testDoubles") else release
    return f"{name}-{head['raceId']}"


def _head(stream: IO[bytes]) -> dict[str, Any]:
    """Return race.json of an archive."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                if member.name == "race.json":
                    file = tar.extractfile(member)
                    assert file is not None
                    head = json.load(file)
                    if isinstance(head, dict) and "raceId" in head:
                        return head
                    raise ValueError("race.json names no race")
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ResultsError(f"the archive can't be read: {error}") from error
    raise ResultsError("the archive holds no race.json")


async def wait_and_download(
    rendezvous: str,
    race_id: str,
    token: str | None,
    folder: Path,
    *,
    timeout_seconds: float,
    watch: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Wait until the race is over and download its results folder; return the last status.

    Raises:
        RaceError: it is not over within `timeout_seconds`.
        RendezvousError: the rendezvous is out of reach for long.
    """
    client = RendezvousClient(
        rendezvous,
        race_id,
        "verdict",
        0,
        SystemClock(),
        token=token,
        patience_seconds=_PATIENCE_SECONDS,
        first_patience_seconds=timeout_seconds,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            while not (status := await client.status())["over"]:
                watch(status)
                await asyncio.sleep(_POLL_SECONDS)
        watch(status)
        for file in await client.files():
            data = await client.download(file["path"])
            if hashlib.sha256(data).hexdigest() != file["sha256"]:
                raise RendezvousError(f"{file['path']}: did not arrive whole")
            path = folder / file["path"]
            if not path.resolve().is_relative_to(folder.resolve()):
                raise RendezvousError(f"{file['path']}: leads out of the results folder; refused")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return status
    except TimeoutError as error:
        raise RaceError(f"race {race_id}: not over within {timeout_seconds:g} s") from error
    finally:
        await client.aclose()


def write_archive(folder: Path, *, head: str = "race.json") -> None:
    """Write `folder` to standard output as a tar stream; see `archive`.

    Raises:
        ResultsError: `head` is not in the folder.
    """
    archive(folder, sys.stdout.buffer, head=head)
    sys.stdout.buffer.flush()
