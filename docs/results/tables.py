"""Writes the tables of each page in this folder from the raw results beside it.

    python docs/results/tables.py            writes them
    python docs/results/tables.py --reports  writes them, and the report beside each page
    python docs/results/tables.py --check    fails if a page has other tables

A page is `*/README.md`. The text between `<!-- NAME -->` and `<!-- end -->` is written from
`*/raw/` or `*/raw.tar.xz`, with the code that `swarmrace show` uses, and so is the report.
"""

from __future__ import annotations

import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import median

from swarmrace.export.folders import find_results, group_parts
from swarmrace.recording.records import PeerResult
from swarmrace.report import command
from swarmrace.results import folder as results
from swarmrace.results.parts import merge
from swarmrace.units import canonical_size, format_link_rate, format_size
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.entries import entry
from swarmrace.verdict.model import Summary
from swarmrace.verdict.registry import FIGURES

HERE = Path(__file__).parent
MARKED = re.compile(r"(<!-- (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00")
"""Time at which a file was written. In a checkout it is the time of the checkout."""


@cache
def races(raw: Path) -> dict[str, tuple[results.Results, Verdict]]:
    """Return each race below `raw`, its parts joined, with its verdict, smallest swarms first. A
    race is named by its folder in `raw`, in a sweep by its cell."""
    found = {}
    for parts in group_parts(find_results([raw])):
        below = parts[0].relative_to(raw.resolve()).parts
        found[below[0] if len(below) == 1 else below[-3]] = merge(
            [results.load(part) for part in parts]
        )
    order = sorted(
        found, key=lambda n: (found[n].scenario.race.swarm_size, found[n].scenario.race.seeders, n)
    )
    return {name: (found[name], compute(found[name])) for name in order}


def table(head: Sequence[str], lines: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table."""
    ruler = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *lines)) + "\n"


def _entrants(raw: Path) -> list[str]:
    return list(dict.fromkeys(name for _, found in races(raw).values() for name in found.entrants))


def _figure(raw: Path, key: str) -> str:
    """Return one figure of every entrant in every race: median over runs (min–max)."""
    names = [n for n in _entrants(raw) if any(key in _of(raw, f, n) for f in races(raw))]

    def lines() -> Iterator[list[str]]:
        for folder in races(raw):
            cells = [entry(key, _of(raw, folder, name).get(key)) for name in names]
            if set(cells) != {"–"}:
                yield [f"`{folder}`", *cells]

    return table([_label(key), *names], lines())


def _label(key: str) -> str:
    return FIGURES[key].label.replace("the same", "payload sent by leechers,")


def _of(raw: Path, folder: str, name: str) -> dict:
    entrant = races(raw)[folder][1].entrants.get(name)
    return entrant.figures if entrant else {}


def raced(raw: Path) -> str:
    """What was raced."""

    def lines() -> Iterator[list[str]]:
        for folder, (loaded, verdict) in races(raw).items():
            race = loaded.scenario.race
            rate = race.network.upload
            counted = sum(run.status != "missing" for run in verdict.runs)
            yield [
                f"`{folder}`",
                f"{race.swarm_size}, {race.seeders}",
                canonical_size(race.file_size),
                f"{format_link_rate(rate)} each way" if rate else "unlimited",
                f"{counted} of {len(verdict.runs)}",
                ", ".join(verdict.entrants),
            ]

    return table(["folder", "peers, seeders", "file", "links", "runs", "entrants"], lines())


def completed(raw: Path) -> str:
    """Transfers completed and started."""
    names = _entrants(raw)

    def lines() -> Iterator[list[str]]:
        for folder, (_, verdict) in races(raw).items():
            cells = []
            for name in names:
                entrant = verdict.entrants.get(name)
                found = entrant.reliability if entrant else None
                whole = found and f"{found.transfers_completed} of {found.transfers_started}"
                cells.append(whole or "–")
            yield [f"`{folder}`", *cells]

    return table(["transfers completed", *names], lines())


def headlines(raw: Path) -> str:
    """The headline sentences of each verdict."""
    lines = []
    for folder, (_, verdict) in races(raw).items():
        lines += [f"- `{folder}`", *(f"  - {text}" for text in verdict.headline)]
    return "\n".join(lines) + "\n"


def flags(raw: Path) -> str:
    """The flags of each verdict."""
    lines = []
    for folder, (_, verdict) in races(raw).items():
        lines.append(f"- `{folder}`")
        for flag in verdict.flags:
            whose = f"{flag.entrant}: " if flag.entrant else ""
            lines.append(f"  - {whose}{STAMP.sub('it was cut off', flag.text)}")
    return "\n".join(lines) + "\n"


def silence(raw: Path) -> str:
    """Delivery of the Codex stream: median leecher, median over runs."""
    marks = [f"delivery{percent}" for percent in (0, 1, 10, 50, 90, 100)]

    def lines() -> Iterator[list[str]]:
        for folder in races(raw):
            figures = _of(raw, folder, "codex")
            yield [f"`{folder}`", *(entry(mark, figures.get(mark)) for mark in marks)]

    return table(["delivery of codex", *(FIGURES[m].label.split(", ")[1] for m in marks)], lines())


def standing_still(raw: Path) -> str:
    """The runs of the folder in which most transfers failed."""
    folder = "matrix-16x1-100MB"
    loaded, _ = races(raw)[folder]

    def span(values: Sequence[float]) -> str:
        return f"{format_size(round(min(values)))} to {format_size(round(max(values)))}"

    def lines() -> Iterator[list[str]]:
        for record in loaded.runs:
            if record.run.entrant != "codex":
                continue
            failed = [p for p in _leechers(record) if p.outcome != "completed"]
            yield [
                record.run.id,
                f"{len(record.leechers) - len(failed)} of {len(record.leechers)}",
                span([p.transfer.received_bytes for p in failed if p.transfer]),
                span([p.wire.received_bytes for p in failed if p.wire]),
                f"{sum(p.usage.cpu_seconds for p in record.peers.values() if p.usage):.0f} s",
            ]

    head = ["run", "completed", "read from the stream by those that failed"]
    return table([*head, "received on their wire", "CPU, all peers"], lines())


SUMMARY = (
    "t100",
    "last",
    "discovery",
    "arrival0",
    "arrival10",
    "arrival50",
    "arrival90",
    "publish",
    "longestStall",
    "wireReceived",
    "leechersShareOfWire",
    "minimumMultiple",
    "cpuAll",
    "runnerCpu",
    "peakMemory",
)


def summary(raw: Path) -> str:
    """The main figures of a page's only race, a row each: median over runs (min–max)."""
    ((folder, (_, verdict)),) = races(raw).items()

    def lines() -> Iterator[list[str]]:
        for key in SUMMARY:
            cells = [entry(key, _of(raw, folder, name).get(key)) for name in verdict.entrants]
            yield [_label(key), *cells]

    return table(["", *verdict.entrants], lines())


def between_marks(raw: Path) -> str:
    """Time from 10 to 90 % of arrival: without what comes before the first byte, and the end."""

    def lines() -> Iterator[list[str]]:
        for folder, (loaded, verdict) in races(raw).items():
            cells = []
            for name in verdict.entrants:
                found = [_between(r) for r in loaded.runs if r.run.entrant == name]
                times = [seconds for seconds in found if seconds is not None]
                summary = times and Summary(
                    value=median(times), least=min(times), most=max(times), runs=len(times)
                )
                cells.append(entry("t100", summary or None))
            yield [f"`{folder}`", *cells]

    return table(["arrival, t10 to t90", *_entrants(raw)], lines())


def _between(record: results.RunRecord) -> float | None:
    """Return a run's median leecher's time from 10 to 90 % of arrival, if all have both marks."""
    times = []
    for peer in _leechers(record):
        marks = {m.percent: m.seconds for m in peer.transfer.arrival} if peer.transfer else {}
        if not {10, 90} <= marks.keys():
            return None
        times.append(marks[90] - marks[10])
    return median(times) if times else None


def _leechers(record: results.RunRecord) -> list[PeerResult]:
    return [record.peers[peer] for peer in record.leechers]


SECTIONS = {
    "raced": raced,
    "completed": completed,
    "headlines": headlines,
    "flags": flags,
    "silence": silence,
    "standing-still": standing_still,
    "between-marks": between_marks,
    "summary": summary,
}


def section(name: str, raw: Path) -> str:
    """Return a section: one of `SECTIONS`, or the table of a figure."""
    return SECTIONS[name](raw) if name in SECTIONS else _figure(raw, name)


def written(page: Path) -> str:
    """Return a page with every section written again."""
    text = page.read_text()
    if MARKED.search(text) is None:
        return text
    with raw_results(page) as raw:
        return MARKED.sub(lambda found: f"{found[1]}\n{section(found[2], raw)}\n{found[3]}", text)


def title(page: Path) -> str:
    """Return a page's title, which is its report's too."""
    return page.read_text().splitlines()[0].removeprefix("# ")


@contextmanager
def raw_results(page: Path) -> Iterator[Path]:
    """Yield the folder with a page's raw results: `raw`, or what `raw.tar.xz` holds."""
    packed = page.with_name("raw.tar.xz")
    if not packed.exists():
        yield page.with_name("raw")
        return
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(packed) as archive:
            archive.extractall(unpacked)
        (folder,) = Path(unpacked).iterdir()
        yield folder


def write_report(page: Path) -> None:
    """Write the report beside a page, as `swarmrace report` does."""
    report = page.with_name("report")
    with raw_results(page) as raw:
        print(command.report([raw], report, title=title(page), warn=print))
    if page.with_name("raw.tar.xz").exists():  # a packed sweep's marks would be too large
        for path in (report / "data").glob("marks.*"):
            path.unlink()


def main(*arguments: str) -> int:
    """Write all pages, or compare them with the stored ones; return the exit code."""
    other = []
    for page in sorted(HERE.glob("*/README.md")):
        text = written(page)
        if "--check" in arguments:
            other += [page] * (text != page.read_text())
        else:
            page.write_text(text)
        if "--reports" in arguments:
            write_report(page)
    for page in other:
        print(f"{page}: differs from its raw results; run `make results`", file=sys.stderr)
    return int(bool(other))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
