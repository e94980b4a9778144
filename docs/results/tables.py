"""Writes the tables of each page in this folder from the raw results beside it.

    python docs/results/tables.py          writes them
    python docs/results/tables.py --check  fails if a page says something else

A page is `*/README.md`; what stands between `<!-- NAME -->` and `<!-- end -->` is written here,
from `*/raw/` alone, by the code that `swarmrace show` judges and prints with.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from swarmrace.recording.records import PeerResult
from swarmrace.results import folder as results
from swarmrace.units import canonical_size, format_link_rate, format_size
from swarmrace.verdict import Verdict, compute
from swarmrace.verdict.entries import entry
from swarmrace.verdict.registry import FIGURES

HERE = Path(__file__).parent
MARKED = re.compile(r"(<!-- (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00")
"""When a file was written: that of the checkout, here."""


@cache
def races(raw: Path) -> dict[str, tuple[results.Results, Verdict]]:
    """Return each folder below `raw` with its verdict, smallest swarms first."""
    found = {folder.name: results.load(folder) for folder in sorted(raw.iterdir())}
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
    """Return one figure of every entrant in every race: median over runs (least–most)."""
    names = [n for n in _entrants(raw) if any(key in _of(raw, f, n) for f in races(raw))]

    def lines() -> Iterator[list[str]]:
        for folder in races(raw):
            cells = [entry(key, _of(raw, folder, name).get(key)) for name in names]
            if set(cells) != {"–"}:
                yield [f"`{folder}`", *cells]

    label = FIGURES[key].label.replace("the same", "payload sent by leechers,")
    return table([label, *names], lines())


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
    """Transfers completed of started."""
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
    """The sentences of each verdict."""
    lines = []
    for folder, (_, verdict) in races(raw).items():
        lines += [f"- `{folder}`", *(f"  - {text}" for text in verdict.headline)]
    return "\n".join(lines) + "\n"


def flags(raw: Path) -> str:
    """What each verdict says must be read before believing it."""
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


def _leechers(record: results.RunRecord) -> list[PeerResult]:
    return [record.peers[peer] for peer in record.leechers]


SECTIONS = {
    "raced": raced,
    "completed": completed,
    "headlines": headlines,
    "flags": flags,
    "silence": silence,
    "standing-still": standing_still,
}


def section(name: str, raw: Path) -> str:
    """Return a section: one of `SECTIONS`, or the table of the figure of that name."""
    return SECTIONS[name](raw) if name in SECTIONS else _figure(raw, name)


def written(page: Path) -> str:
    """Return a page with every section made anew."""
    raw = page.parent / "raw"
    return MARKED.sub(
        lambda found: f"{found[1]}\n{section(found[2], raw)}\n{found[3]}", page.read_text()
    )


def main(*arguments: str) -> int:
    """Write all pages, or compare them with what is written there; return the exit code."""
    other = []
    for page in sorted(HERE.glob("*/README.md")):
        text = written(page)
        if "--check" in arguments:
            other += [page] * (text != page.read_text())
        else:
            page.write_text(text)
    for page in other:
        print(f"{page}: not what its raw results give; run `make results`", file=sys.stderr)
    return int(bool(other))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
