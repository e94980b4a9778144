"""The kinds that the contract suite is run over here: the built-in ones and what is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codex_double.testing import program as codex_program

from swarmrace.contract.swarm import Subject
from swarmrace.systems import load, names
from swarmrace.systems.options import EntrantOptions


@dataclass(frozen=True)
class CodexDouble(Subject):
    """Codex with a double in the node's place."""

    personality: str = "v0.2.5"

    def make_options(self, folder: Path) -> EntrantOptions:
        """Write the double's program to `folder`."""
        path = codex_program(folder / "bin", self.personality, discovery_bind="announced")
        return load(self.kind).options(**self.options, program=str(path))


LOG = ("codex.log",)
SUBJECTS = {
    "http": Subject("http", names_content=False),
    "synthetic": Subject(
        "synthetic",
        {"curve": [(0.0, 0.0), (0.1, 1.0)], "publish_seconds": 0.01},
        names_content=True,
    ),
    "bittorrent": Subject("bittorrent", {"profile": "tuned"}, names_content=True),
    "bittorrent v2 sequential": Subject(
        "bittorrent",
        {"profile": "tuned", "protocol": "v2", "piece_order": "sequential"},
        names_content=True,
    ),
    "codex stream": CodexDouble("codex", {"download": "stream"}, names_content=True, keeps=LOG),
    "codex background": CodexDouble(
        "codex",
        {"download": "background", "poll_seconds": 0.01},
        names_content=True,
        keeps=LOG,
        personality="storage-2026",
    ),
}
ONE_EACH = ("http", "synthetic", "bittorrent", "codex stream")
"""Nodes are programs of their own and slow to start: not every check takes all options."""

OTHERS = tuple(set(names()) - {subject.kind for subject in SUBJECTS.values()})
"""Kinds of third parties that are installed: the suite is theirs too."""
SUBJECTS |= {name: Subject(name) for name in OTHERS}
