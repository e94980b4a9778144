"""The kinds that the contract suite tests here: the built-in ones and those installed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from codex_double.testing import program as codex_program

from paths import ROOT
from swarmrace.contract.swarm import Subject
from swarmrace.network import namespaces
from swarmrace.systems import load, names
from swarmrace.systems.options import EntrantOptions


@dataclass(frozen=True)
class CodexDouble(Subject):
    """Codex with a test double as the node."""

    personality: str = "v0.2.5"

    def make_options(self, folder: Path) -> EntrantOptions:
        """Write the double's program to `folder`."""
        path = codex_program(folder / "bin", self.personality, discovery_bind="announced")
        return load(self.kind).options(**self.options, program=str(path))


LOG = ("codex.log",)
EXAMPLES = ROOT / "examples/systems"
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
    "exec": Subject(
        "exec",
        {"command": [sys.executable, str(EXAMPLES / "tcp_copy.py")], "in_order": True},
        names_content=False,
    ),
    "exec progress": Subject(
        "exec",
        {"command": [sys.executable, str(EXAMPLES / "curl_http.py")], "observes": "progress"},
        names_content=False,
    ),
    "transmission": Subject(
        "transmission", {"profile": "tuned"}, names_content=True, own_network=True
    ),
    "ipfs stream": Subject("ipfs", names_content=True, keeps=("ipfs.log",)),
    "ipfs background": Subject(
        "ipfs",
        {"profile": "tuned", "download": "background", "poll_seconds": 0.01},
        names_content=True,
        keeps=("ipfs.log",),
    ),
}
ONE_EACH = (
    "http",
    "synthetic",
    "bittorrent",
    "codex stream",
    "exec",
    "ipfs stream",
    "transmission",
)
"""Nodes are separate programs and slow to start: not every check is run with all options."""


def needs_program(name: str) -> pytest.MarkDecorator:
    """Skip tests of a program that this machine lacks; the reason says how to get it."""
    subject = SUBJECTS[name]
    options = load(subject.kind).options(**{"kind": subject.kind, **subject.options})
    missing = [] if isinstance(subject, CodexDouble) else load(subject.kind).check(options)
    if subject.own_network and not namespaces.permitted_here():
        missing = [*missing, "network namespaces are not permitted here"]
    return pytest.mark.skipif(bool(missing), reason=f"NOT TESTED: {'; '.join(missing)}")


OTHERS = tuple(set(names()) - {subject.kind for subject in SUBJECTS.values()})
"""Installed kinds of third parties: the suite tests them too."""
SUBJECTS |= {name: Subject(name) for name in OTHERS}
