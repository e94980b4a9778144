"""Checks of the values that a system returns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import psutil

from swarmrace.contract.expect import expect
from swarmrace.contract.swarm import Subject
from swarmrace.systems import load
from swarmrace.systems.abc import Counters, Observes, Published, Record, System
from swarmrace.systems.spec import SystemSpec

_SHORT_BYTES = 2000
_BIG_BYTES = 1000


def check_spec(subject: Subject, folder: Path) -> None:
    """Check the specification: what a verdict prints, and that the kind can be raced here."""
    spec, options = load(subject.kind), subject.make_options(folder)
    expect(spec.kind == subject.kind == options.kind, "one kind", (spec.kind, options.kind))
    expect(isinstance(options, spec.options), "options of the kind's model", options)
    missing = spec.check(options)
    expect(not missing, "nothing missing on this machine", missing)
    observes, means = spec.observes(options), spec.means(options)
    expect(observes.unit, "observes.unit", observes)
    expect(
        observes.arrival or observes.written or observes.delivery or observes.poll_seconds,
        "observed bytes, or the resolution of done",
        observes,
    )
    expect(means.published and means.done, "the meaning of published and done", means)
    expect(not any("\n" in text for text in astuple(means)), "meanings of one line each", means)
    for kind in ("arrival", "written", "delivery"):
        expect(getattr(means, kind) or not getattr(observes, kind), f"the meaning of {kind}", means)
    unknown = set(spec.settings.options) - set(spec.options.model_fields)
    expect(not unknown, "settings.options that the options model has", unknown)
    needs, standing = spec.needs(options), spec.standing(options)
    figures = [figure for figure in astuple(needs) if figure is not None]
    expect(all(figure >= 0 for figure in figures), "needs that are not negative", needs)
    expect(min(needs.rate, needs.pair_rate, needs.publish_rate) > 0, "speeds above 0", needs)
    expect(
        not (standing.metadata_given and standing.metadata_sought),
        "metadata that leechers either have or look up",
        standing,
    )
    spec.preload()


def check_published(published: Published, seconds: float) -> None:
    """Check what `publish` returned after `seconds`."""
    reference = json.dumps(dict(published.reference))
    expect(len(reference) < _SHORT_BYTES, "a short reference; the rest is looked up", reference)
    steps = dict(published.steps)
    expect(all(0 <= step <= seconds for step in steps.values()), f"steps of {seconds} s", steps)


def check_record(record: Record, start_ns: int, end_ns: int, observes: Observes) -> None:
    """Check what a fetch between two instants recorded."""
    logs = {
        "arrival": record.arrivals,
        "written": record.written,
        "delivery": record.deliverable,
    }
    for kind, log in logs.items():
        seen = getattr(observes, kind)
        expect((log is not None) == seen, f"{kind} recorded exactly if it is observed", log)
    expect(record.complete is not False, "no records lost", record.complete)
    discovered_ns, done_ns = record.discovered_ns, record.done_ns
    if discovered_ns is None or done_ns is None:
        expect(False, "discovered and done to be called", (discovered_ns, done_ns))
        return
    stamps = (start_ns, discovered_ns, done_ns, end_ns)
    expect(list(stamps) == sorted(stamps), "start, discovered, done, end in this order", stamps)
    for kind, log in logs.items():
        if log is None:
            continue
        curve = log.curve(start_ns, record.size_bytes)
        expect(curve.complete, f"{kind} of every byte", curve)
        first, last = (start_ns + (curve.time_to_percent(percent) or 0) for percent in (0, 100))
        expect(first >= discovered_ns, f"no {kind} before discovery", first - discovered_ns)
        expect(max(last, log.last_ns) <= done_ns, f"no {kind} after done", last - done_ns)
        sampled = observes.sampled and log is record.arrivals
        expect((curve.since_ns is not None) == sampled, f"{kind} sampled as observes says", kind)
        if log is record.deliverable:
            expect(curve.prefix().complete, "a prefix that reaches the end", curve)
    connections = record.connections_at_start
    expect(connections is None or connections >= 0, "connections of at least 0", connections)
    expect(record.retries >= 0, "retries of at least 0", record.retries)
    expect(all(isinstance(note, str) for note in record.notes), "notes as strings", record.notes)


def has_received(system: System, size_bytes: int) -> bool:
    """Return whether a system counts at least `size_bytes` received, or doesn't count them."""
    count = system.counters().received_bytes
    return count is None or count >= size_bytes


def check_counters(counters: Counters) -> None:
    """Check the system's own counters."""
    expect(isinstance(counters, Counters), "Counters", counters)
    figures = (counters.sent_bytes, counters.received_bytes, counters.connections)
    expect(all(each is None or each >= 0 for each in figures), "counters of at least 0", counters)
    again = json.loads(json.dumps(dict(counters.extra)))
    expect(again == dict(counters.extra), "further counters that JSON can hold", counters.extra)


def check_description(described: Mapping[str, Any]) -> None:
    """Check a system's description of itself."""
    again = json.loads(json.dumps(dict(described)))
    expect(again.get("version"), "a version", again)
    expect(isinstance(again.get("settings"), dict), "settings", again)
    effective = json.dumps({key: value for key, value in again.items() if key != "reasons"})
    for setting, why in again.get("reasons", {}).items():
        named = json.dumps(setting)[1:-1] in effective
        expect(named, f"a value for {setting}, which has a reason", again)
        expect(why, f"a reason for {setting}", why)


def check_processes(system: System, spec: SystemSpec) -> None:
    """Check the processes whose CPU and memory would be counted."""
    pids = system.processes()
    expect(pids and all(map(psutil.pid_exists, pids)), "running processes", pids)
    own = os.getpid() in pids
    expect(own != spec.isolates_process, "this process, unless isolates_process is set", pids)


def big_files(folder: Path) -> list[Path]:
    """Return the files below a folder that are big enough to hold payload."""
    return [
        path for path in folder.rglob("*") if path.is_file() and path.stat().st_size >= _BIG_BYTES
    ]
