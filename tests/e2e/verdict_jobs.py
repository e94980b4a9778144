"""When the verdict of each race was there: a watch of the verdicts' Jobs and pods, which helm
removes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import ended, seconds_of, states

LABEL = "app.kubernetes.io/component=verdict"


@dataclass(frozen=True)
class VerdictJob:
    """When the Job of a race's verdict was made, and when it was complete, in Unix seconds.

    A driver that looks at the pod can remove the Job before it is complete. Then `complete` is when
    the pod's container ended.
    """

    made: float
    complete: float


Found = Callable[[], dict[str, VerdictJob]]


@contextlib.contextmanager
def watched(namespace: str) -> Iterator[Found]:
    """Watch a namespace within the block; yield a function that returns the Jobs so far, by their
    race's release hash."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        outputs = [Path(folder) / kind for kind in ("jobs", "pods")]
        for output in outputs:
            stack.enter_context(_watch(namespace, output))
        yield lambda: _read([each for output in outputs for each in _documents(output.read_text())])


@contextlib.contextmanager
def _watch(namespace: str, output: Path) -> Iterator[None]:
    command = ["kubectl", "get", output.name, "-n", namespace, "-l", LABEL, "-o", "json", "--watch"]
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _read(seen: list[dict[str, Any]]) -> dict[str, VerdictJob]:
    made: dict[str, float] = {}
    complete: dict[str, float] = {}
    exited: dict[str, float] = {}
    for each in seen:
        head = each["metadata"]
        release_hash = head["labels"]["app.kubernetes.io/part-of"].removeprefix("swarmrace-")
        if each["kind"] == "Pod":
            for end in states([each], "terminated"):
                exited[release_hash] = seconds_of(end["finishedAt"])
            continue
        made.setdefault(release_hash, seconds_of(head["creationTimestamp"]))
        if how := ended(each):
            at = next(
                condition["lastTransitionTime"]
                for condition in each["status"]["conditions"]
                if condition["type"] == how
            )
            complete.setdefault(release_hash, seconds_of(at))
    return {
        release_hash: VerdictJob(made[release_hash], at)
        for release_hash, at in (exited | complete).items()
        if release_hash in made
    }


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
