"""The details of a verdict: settings, conditions, machine and definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swarmrace import systems
from swarmrace.network.conditions import queue_bytes
from swarmrace.recording.records import Delay
from swarmrace.units import format_link_rate, format_seconds, format_size
from swarmrace.verdict.entries import entry
from swarmrace.verdict.flags import LOAD, comparable
from swarmrace.verdict.layout import Line, prose_table
from swarmrace.verdict.model import EntrantVerdict, Summary, Verdict, profile_label


def conditions(verdict: Verdict) -> Iterator[RenderableType]:
    """Yield settings, conditions, the systems' own counters, what they observe, and definitions."""
    yield from _section("Entrants: differences from each program's defaults")
    for entrant in verdict.entrants.values():
        yield Line(_entrant(entrant))
    yield from _section("Conditions")
    for line in _conditions(verdict):
        yield Line(line)
    counters = {name: e for name, e in verdict.entrants.items() if e.counters}
    if counters:
        yield from _section("The systems' own counters, not comparable between systems")
        yield Line(
            "summed over peers; of states such as connections and memory: the highest peer's"
        )
        for name, entrant in counters.items():
            listed = ", ".join(f"{k} {_own(k, v)}" for k, v in entrant.counters.items())
            yield Line(f"{name}: {listed}")
    yield from _section("What each system can observe, and when it counts as published and done")
    yield Padding(_observed(verdict), (0, 0, 0, 2))
    yield from _section("Definitions (docs/methodology.md)")
    table = prose_table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for word, meaning in verdict.definitions.items():
        table.add_row(word, Text(meaning))
    yield Padding(table, (0, 0, 0, 2))


def setting_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the differences from each program's defaults and the conditions, line by line."""
    for entrant in verdict.entrants.values():
        yield _entrant(entrant)
    yield from _conditions(verdict)


def _entrant(entrant: EntrantVerdict) -> str:
    settings = {k: v for k, v in entrant.settings.items() if k in entrant.reasons}
    settings = comparable(settings or entrant.settings)
    settings = {k: v for k, v in settings.items() if v != []}
    spec = systems.find(entrant.kind)
    use = spec.settings.ways_of_use if spec is not None else ()
    described = {k: v for k, v in _scalars(entrant.described).items() if k not in use}
    facts = {**entrant.options, **described}
    facts = {k: v for k, v in facts.items() if k not in ("kind", "profile")}
    profile = profile_label(entrant.profile, entrant.changed)
    parts = [f"{entrant.name}: {entrant.kind}, profile {profile}"]
    if "program" in entrant.versions:
        parts.append(entrant.versions["program"])
    if facts:
        parts.append(_pairs(facts))
    if settings:
        parts.append(f"settings {_pairs(settings)}")
    return "; ".join(parts)


def _conditions(verdict: Verdict) -> Iterator[str]:
    race, machine = verdict.race, verdict.machine
    yield (
        f"master seed {race['seed']}, attempt {race['attempt']}, seeders "
        f"{'rotate' if race['rotateSeeders'] else 'fixed'}, race {verdict.race_id} of "
        f"{verdict.created_utc}"
    )
    yield f"network: {_network(race['network'], verdict.backend)}"
    yield from verdict.pods
    if verdict.delay is not None:
        yield f"delay and loss: {_delay(verdict.delay)}"
    for name, entrant in verdict.entrants.items():
        if entrant.rates:
            measured = ", ".join(f"{k} {_rate(each)}" for k, each in entrant.rates.items())
            yield f"measured by the preflight, {name}: {measured}"
    offloads = {name: e.offload for name, e in verdict.entrants.items() if e.offload}
    for state in dict.fromkeys(_pairs(each) for each in offloads.values()):
        names = ", ".join(name for name, each in offloads.items() if _pairs(each) == state)
        yield f"offload of the interfaces, {names}: {state}"
    facts = [f"{machine[key]}" for key in ("cpu", "system", "kernel") if machine.get(key)]
    if machine.get("cpus"):
        facts.insert(0, f"{machine['cpus']} CPUs")
    if machine.get("memory_bytes"):
        facts.append(f"{format_size(machine['memory_bytes'])} memory")
    if machine.get(LOAD) is not None:
        facts.append(f"load average in the minute before the start {machine[LOAD]:g}")
    known = {"cpu", "system", "kernel", "cpus", "memory_bytes", "architecture", LOAD}
    rest = {k: v for k, v in _scalars(machine).items() if k not in known and v not in (None, "")}
    yield f"machine: {', '.join(facts) or 'not recorded'}"
    if rest:
        yield f"machine, further facts: {_pairs(rest)}"
    if verdict.nodes:
        yield f"nodes: {', '.join(verdict.nodes)}"
    versions = ", ".join(f"{name} {version}" for name, version in verdict.versions.items())
    yield f"versions: {versions or 'not recorded'}"
    timeouts = race["timeouts"]
    yield f"timeouts: {', '.join(f'{_words(k)} {v:g} s' for k, v in timeouts.items())}"


def _network(network: dict[str, Any], backend: str) -> str:
    rates = {
        f"{who}{direction}": link[direction]
        for who, link in (("", network), ("seeders' ", network.get("seeders") or {}))
        for direction in ("upload", "download")
        if link.get(direction)
    }
    parts = [f"{name} {format_link_rate(rate)}" for name, rate in rates.items()]
    if rates:
        parts.append(_queue(network["queueMilliseconds"], rates.values(), backend))
    if network.get("delayMilliseconds"):
        parts.append(f"delay {network['delayMilliseconds']:g} ms")
    if network.get("lossPercent"):
        parts.append(f"loss {network['lossPercent']:g} %")
    return ", ".join(parts) or "no conditions set"


def _queue(milliseconds: float, rates: Iterable[int], backend: str) -> str:
    """Return the length of the limiters' queues, and the rates at which it differs."""
    notes = []
    for rate in dict.fromkeys(rates):
        held = 1000 * queue_bytes(rate, milliseconds) / rate
        if abs(held - milliseconds) > 0.01 * milliseconds:
            notes.append(f"{held:.0f} ms at {format_link_rate(rate)}")
    if backend == "kubernetes":
        notes.append("if tc sets the rates; a policer has no queue")
    return f"queue {milliseconds:g} ms" + (f" ({'; '.join(notes)})" if notes else "")


_MEANS = {
    "netem": "by netem",
    "relay": "by a relay in user space, because the kernel has no netem",
}


def _delay(delay: Delay) -> str:
    parts = [_MEANS[delay.means]]
    if delay.one_way_seconds is not None:
        parts.append(f"measured {1000 * delay.one_way_seconds:.2f} ms one way before the race")
    carried = f"carried {format_link_rate(delay.carried_rate)}"
    if delay.needed_rate is None:
        parts.append(f"{carried} from one sender")
    else:
        parts.append(f"{carried}; the set rates add up to {format_link_rate(delay.needed_rate)}")
    return ", ".join(parts)


def _observed(verdict: Verdict) -> Table:
    table = prose_table(header=True)
    table.add_column("", style="dim", no_wrap=True)
    for entrant in verdict.entrants.values():
        table.add_column(entrant.name, overflow="fold")
    entrants = list(verdict.entrants.values())

    def row(label: str, *cells: str) -> None:
        table.add_row(label, *(Text(each) for each in cells))

    def meaning(name: str) -> Iterator[str]:
        return (entrant.meanings.get(name, "–") for entrant in entrants)

    row("leechers hold at the start", *meaning("holds"))
    row("published when", *meaning("published"))
    row("discovery ends when", *meaning("discovered"))
    row("arrival", *(_kind(e, "arrival", e.arrival) for e in entrants))
    row("written", *(_kind(e, "written", e.written) for e in entrants))
    row("delivery", *(_kind(e, "delivery", e.delivery) for e in entrants))
    row("in order", *("yes" if e.in_order else "no" for e in entrants))
    row("done when", *meaning("done"))
    row("one record is", *(e.unit or "–" for e in entrants))
    row("resolution", *(_resolution(e) for e in entrants))
    row("CPU and memory are of", *meaning("usage"))
    row("verified by", *meaning("verified"))
    return table


def _kind(entrant: EntrantVerdict, kind: str, observed: bool) -> str:
    return entrant.meanings.get(kind, "observed") if observed else "not observed"


def _resolution(entrant: EntrantVerdict) -> str:
    text = "the gap between samples" if entrant.sampled else "what one record takes"
    if entrant.poll_seconds and not entrant.sampled:
        text += f", and the poll interval of {format_seconds(entrant.poll_seconds)}"
    if entrant.resolution_seconds is not None:
        text += f"; of done: {format_seconds(entrant.resolution_seconds)}"
    return text


def _rate(found: Summary) -> str:
    return entry("downloadSpeed", found)


def _own(name: str, summary: Any) -> str:
    if name.endswith("_bytes") and isinstance(summary.value, float):
        return format_size(summary.value)
    return entry(name, summary.model_copy(update={"runs": 0}))


def _scalars(data: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if isinstance(v, str | int | float | bool)}


def _pairs(data: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_word(value)}" for key, value in data.items())


def _word(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(key: str) -> str:
    return key.removesuffix("Seconds")


def _section(title: str) -> Iterator[RenderableType]:
    yield ""
    yield Text(title, style="bold")
