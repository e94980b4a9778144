"""The contract suite over every installed kind, and over systems that break the contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmrace import systems
from swarmrace.contract.checks import CHECKS, run_contract
from swarmrace.contract.swarm import Subject
from swarmrace.systems import names
from swarmrace.systems.abc import Counters, Digest
from swarmrace.systems.synthetic.system import SyntheticSystem
from swarms import ONE_EACH, OTHERS, SUBJECTS, needs_program

CANCELLED = ("codex background", "exec progress", "ipfs background")
PAIRS = [
    (name, check)
    for check in CHECKS
    for name in SUBJECTS
    if check.quick
    or name in (*ONE_EACH, *OTHERS)
    or ("cancellation" in check.name and name in CANCELLED)
]


def test_every_installed_kind_is_under_contract():
    assert {subject.kind for subject in SUBJECTS.values()} == set(names())
    built_in = {"bittorrent", "codex", "exec", "http", "ipfs", "synthetic", "transmission"}
    assert built_in <= set(names()) - set(OTHERS)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, marks=needs_program(name), id=f"{name}-{check.name}")
        for name, check in PAIRS
    ],
)
def test_a_kind_keeps_the_contract(name, check, tmp_path):
    check.run(SUBJECTS[name], tmp_path)


class LateDiscovery(SyntheticSystem):
    async def fetch(self, references, record):
        await super().fetch(references, record)
        record.discovered_ns = record.done_ns + 1


class WrongContent(SyntheticSystem):
    async def digest(self):
        return Digest((await super().digest()).size_bytes, "0" * 64)


class KeepsPayload(SyntheticSystem):
    async def fetch(self, references, record):
        await super().fetch(references, record)
        (self.context.work_dir / "kept").write_bytes(bytes(record.size_bytes))


class NegativeCounters(SyntheticSystem):
    def counters(self):
        return Counters(sent_bytes=-1)


class AcceptsAnything(SyntheticSystem):
    async def publish(self, file, first):
        return await super().publish(file, None)


@pytest.mark.parametrize(
    ("broken", "check", "line"),
    [
        (LateDiscovery, "moves a file of odd size", "start, discovered, done, end in this order"),
        (WrongContent, "moves a file of odd size", "the payload's SHA-256"),
        (KeepsPayload, "moves a file of odd size", "no payload at leechers after remove"),
        (NegativeCounters, "closes when it is created", "counters of at least 0"),
        (AcceptsAnything, "other content is refused", "other content to be refused"),
    ],
)
def test_a_system_that_breaks_the_contract_is_found(monkeypatch, tmp_path, broken, check, line):
    spec = replace(systems.load("synthetic"), create=broken)
    monkeypatch.setattr("swarmrace.contract.swarm.load", lambda kind: spec)
    wrong = run_contract(SUBJECTS["synthetic"], tmp_path)
    assert [text for name, text in wrong.items() if check in name and line in text], wrong


def test_run_contract_finds_nothing_wrong_with_a_sound_kind(tmp_path):
    assert run_contract(Subject("http", names_content=False), tmp_path) == {}
