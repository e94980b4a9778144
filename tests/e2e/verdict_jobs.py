"""When the verdict of each race was there: a watch of the verdicts' Jobs, which helm removes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import ended, seconds_of

LABEL = "app.kubernetes.io/component=verdict"


@dataclass(frozen=True)
class VerdictJob:
    """When the Job of a race's verdict was made, and when it was complete, in Unix seconds."""

    made: float
    complete: float


Found = Callable[[], dict[str, VerdictJob]]


@contextlib.contextmanager
def watched(namespace: str) -> Iterator[Found]:
    """Watch a namespace within the block; yield a function that returns the Jobs so far, by their
    race's release hash."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "jobs.json"
        command = ["kubectl", "get", "jobs", "-n", namespace, "-l", LABEL, "-o", "json", "--watch"]
        with output.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        try:
            yield lambda: _read(output.read_text())
        finally:
            process.terminate()
            process.wait(10)


def _read(text: str) -> dict[str, VerdictJob]:
    found: dict[str, VerdictJob] = {}
    for job in _documents(text):
        head = job["metadata"]
        release_hash = head["labels"]["app.kubernetes.io/part-of"].removeprefix("swarmrace-")
        if (how := ended(job)) and release_hash not in found:
            at = next(
                each["lastTransitionTime"]
                for each in job["status"]["conditions"]
                if each["type"] == how
            )
            found[release_hash] = VerdictJob(seconds_of(head["creationTimestamp"]), seconds_of(at))
    return found


def _documents(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        try:
            document, at = decoder.raw_decode(text, at)
        except ValueError:
            return  # the end, or a document that is being written
        yield from document.get("items", [document])
