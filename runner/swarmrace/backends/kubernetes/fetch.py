"""Fetches a race's results folder from a cluster.

From outside only `kubectl` access is needed: the tracker's pod writes the folder as a tar stream.
Its last member is a list of SHA-256 sums, so an incomplete stream is noticed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

import tenacity

from swarmrace.backends.kubernetes.tools import Tools
from swarmrace.errors import ResultsError, UnavailableError
from swarmrace.recording.payload import file_sha256
from swarmrace.results import manifest, pod_facts

SUMS = "SHA256SUMS"
"""The archive's last member: a line `SHA256  PATH` for each file, in the format of sha256sum(1)."""

_PRIVATE = ("state.json", "sweep.lock")
_UNINFORMATIVE = re.compile(r"[EWIF]\d{4} |command terminated with exit code ")


def races(folder: Path) -> list[dict[str, Any]]:
    """Return summaries of the races whose results are in `folder` and beside it, oldest first.

    Each summary has `raceId`, `releaseHash`, `status`, `createdUtc` and `sizeBytes`.
    """
    found = []
    for head in folder.parent.glob("*/race.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            data = json.loads(head.read_bytes())
            size = sum(path.stat().st_size for path in head.parent.rglob("*") if path.is_file())
            summary = {key: data[key] for key in ("raceId", "status", "createdUtc")}
            summary["releaseHash"] = data.get("releaseHash", "")
            found.append({**summary, "sizeBytes": size})
    return sorted(found, key=lambda race: (race["createdUtc"], race["raceId"]))


def folder_of(folder: Path, wanted: str) -> Path:
    """Return the folder beside `folder` that belongs to a release hash, or the newest one that
    belongs to a race id."""
    named = folder.with_name(wanted)
    if named.is_dir():
        return named
    for race in reversed(races(folder)):
        if race["raceId"] == wanted:
            return folder.with_name(race["releaseHash"] or wanted)
    return named


def archive(folder: Path, out: IO[bytes], *, head: str = "race.json") -> None:
    """Write a results folder, or a sweep's folder, as a tar stream.

    Args:
        folder: the folder to write.
        out: the stream to write to.
        head: the file by which such a folder is recognized: `race.json` or `sweep.json`.

    Raises:
        ResultsError: `head` is not in the folder.
    """
    if not (folder / head).is_file():
        what = "results" if head == "race.json" else "sweep's"
        raise ResultsError(f"{folder}: expected a {what} folder, found no {head} in it")
    sums = []
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            relative = path.relative_to(folder)
            name = relative.as_posix()
            if name in _PRIVATE or any(part.startswith(".") for part in relative.parts):
                continue
            tar.add(path, arcname=name, recursive=False)
            sums.append(f"{file_sha256(path)}  {name}\n")
        data = "".join(sums).encode()
        member = tarfile.TarInfo(SUMS)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def unpack(source: IO[bytes], folder: Path, *, head: str = "race.json") -> None:
    """Unpack a stream from `archive` to a folder, which must not exist, and check every sum.

    Raises:
        ResultsError: the stream is incomplete or damaged, or the folder exists. Nothing is left
            behind then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        unpacked = Path(temporary) / "results"
        unpacked.mkdir()
        try:
            with tarfile.open(fileobj=source, mode="r|") as tar:
                for member in tar:
                    _extract(tar, member, unpacked)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ResultsError(
                f"{folder}: the archive is incomplete or damaged: {error}"
            ) from error
        _check_sums(unpacked, folder, head)
        (unpacked / SUMS).unlink()
        if folder.exists():
            raise ResultsError(f"{folder}: already exists; remove it or name another with --output")
        unpacked.rename(folder)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a member's bytes to its place in `folder`. Before 3.11.4, Python's tarfile has no
    filter that refuses links and places outside the folder.

    Raises:
        tarfile.TarError: it is neither a file nor a folder, or its place is outside.
    """
    place = (folder / member.name).resolve()
    if not (member.isfile() or member.isdir()) or not place.is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"found {member.name}, expected files inside the results folder")
    if member.isfile():
        place.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        assert source is not None
        with place.open("wb") as file:
            shutil.copyfileobj(source, file)
        os.utime(place, (member.mtime, member.mtime))


def _check_sums(unpacked: Path, folder: Path, head: str) -> None:
    if not (unpacked / SUMS).is_file():
        raise ResultsError(f"{folder}: the archive is incomplete: it has no {SUMS} at its end")
    listed = set()
    for line in (unpacked / SUMS).read_text().splitlines():
        expected, _, name = line.partition("  ")
        listed.add(name)
        path = unpacked / PurePosixPath(name)
        if not path.is_file() or file_sha256(path) != expected:
            raise ResultsError(f"{folder}: {name} is incomplete; fetch again")
    if head not in listed:
        raise ResultsError(f"{folder}: the archive holds no {head}")


class Cluster:
    """A Helm release's tracker, accessed with `kubectl`.

    Args:
        release: the release's name.
        namespace: Kubernetes namespace; None for the context's own.
        context: kubeconfig context; None for the current one.

    All methods raise:
        UnavailableError: kubectl is missing, or the release has no tracker.
    """

    def __init__(self, release: str, namespace: str | None, context: str | None) -> None:
        self._release = release
        self._tools = Tools(namespace, context, lambda line: None, helm=False)

    def races(self) -> list[dict[str, Any]]:
        """Return summaries of the races that the release still holds (`races`), oldest first."""
        races: list[dict[str, Any]] = json.loads(run(self._archive("--list")))
        return races

    def fetch(self, output: Path | None, race_id: str | None = None) -> Path:
        """Fetch a results folder; return its path.

        Args:
            output: the folder to create; None for `results/RELEASE-RACEID`, with "(test double)" in
                the name if one was raced.
            race_id: an earlier race of the release; None for the current one.

        Raises:
            ResultsError: the fetched folder is incomplete, or `output` exists.
        """
        if output is not None and output.exists():
            raise ResultsError(f"{output}: already exists; remove it or name another with --output")
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
        """Return what the cluster reports about the race's pods, or why it can't be read."""
        head = json.loads((folder / "race.json").read_bytes())
        labels = pod_facts.selector(head.get("releaseHash") or head["raceId"])
        try:
            pods = run(self._tools.kubectl_command("get", "pods", "-l", labels, "-o", "json"))
            return pod_facts.from_kubernetes(json.loads(pods)["items"])
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
    """Return why a fetched folder doesn't hold the whole race, or an empty string."""
    head = json.loads((folder / "race.json").read_bytes())
    if head.get("status") != "running":
        return ""
    return (
        f"race {head['raceId']} is still running: these are the results so far; fetch again after "
        "its end"
    )


def run(command: list[str], out: IO[bytes] | int = subprocess.PIPE) -> bytes:
    """Run kubectl once; return its output, or write it to `out`.

    Raises:
        UnavailableError: kubectl failed; the message has the line with the reason.
    """
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        text = _error_line(done.stderr.decode(errors="replace"))
        raise UnavailableError(f"{' '.join(command[:3])}…: exit code {done.returncode}: {text}")
    return done.stdout or b""


def _error_line(text: str) -> str:
    """Return the last line of kubectl's errors with a reason, not a line of its log nor the
    exit code of the command that it ran."""
    lines = [line for line in text.splitlines() if line.strip()]
    informative = [line for line in lines if not _UNINFORMATIVE.match(line)]
    return (informative or lines or [""])[-1].strip()


def _folder_name(release: str, stream: IO[bytes]) -> str:
    from swarmrace.systems import doubles  # its package would slow down `archive` in the pod

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


def write_archive(folder: Path, *, head: str = "race.json") -> None:
    """Write `folder` to standard output as a tar stream; see `archive`.

    Raises:
        ResultsError: `head` is not in the folder.
    """
    archive(folder, sys.stdout.buffer, head=head)
    sys.stdout.buffer.flush()
