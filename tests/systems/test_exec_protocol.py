"""The protocol of exec programs: its page, its schema, its examples, its reader."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import sys
import time

import jsonschema
import pytest
from pydantic import BaseModel

from paths import ROOT
from swarmrace.clock import SystemClock
from swarmrace.contract.checks import check_transfer
from swarmrace.contract.swarm import Subject
from swarmrace.errors import TransferError
from swarmrace.scenario.loading import load
from swarmrace.systems.exec import protocol
from swarmrace.systems.exec.lines import LineReader
from swarmrace.systems.exec.options import ExecOptions
from swarmrace.systems.exec.programs import fingerprint
from swarms import SUBJECTS

PAGE = (ROOT / "docs/exec.md").read_text()
SCHEMA = json.loads((ROOT / "docs/exec.schema.json").read_text())
MODELS = [
    each
    for each in vars(protocol).values()
    if isinstance(each, type)
    and issubclass(each, BaseModel)
    and each.__module__ == protocol.__name__
]


def test_the_schema_is_that_of_the_models():
    hint = "python -m swarmrace.systems.exec.protocol >docs/exec.schema.json"
    assert protocol.schema() == SCHEMA, hint


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_line_and_key_is_on_the_page_and_explained(model):
    (name,) = (f.default for n, f in model.model_fields.items() if n in ("verb", "event"))
    assert f"`{name}`" in PAGE
    for key, field in model.model_fields.items():
        if key not in ("verb", "event"):
            assert f"`{field.alias or key}`" in PAGE
            assert field.description


def test_every_option_is_on_the_page():
    for name, field in ExecOptions.model_fields.items():
        if name not in ("kind", "profile"):
            assert f"| `{field.alias or name}` | " in PAGE


def test_the_session_of_the_page_is_one():
    (session,) = re.findall(r"`>` marks requests\):\n\n```\n(.*?)```", PAGE, re.DOTALL)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    lines = [line for line in session.splitlines() if line != "…"]
    assert len(lines) == 9
    for line in lines:
        found = json.loads(line.removeprefix("> "))
        assert list(validator.iter_errors(found)) == []
        if not line.startswith(">"):
            protocol.parse(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        {"event": "arrived", "offset": -1, "length": 1},
        {"event": "arrived", "offset": 0},
        {"event": "progress", "bytes": 1.5},
        {"event": "progress", "bytes": 2**63},
        {"event": "done", "ref": {}},
        {"event": "failed"},
        {"event": "ready"},
        {"event": "note", "text": 1},
        {},
        [],
    ],
    ids=json.dumps,
)
def test_the_reader_and_the_schema_refuse_the_same(line):
    with pytest.raises(TransferError):
        protocol.parse(json.dumps(line).encode())
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(line))


@pytest.mark.parametrize("name", ["tcp_copy.py", "curl_http.py"])
def test_an_example_needs_nothing_but_python(name):
    tree = ast.parse((ROOT / "examples/systems" / name).read_text())
    names = [n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert name in PAGE


@pytest.mark.parametrize("subject", ["exec", "exec progress"])
@pytest.mark.parametrize("size_bytes", [1, 65_536, 100_000_000])
def test_the_examples_move_any_size(tmp_path, subject, size_bytes):
    check_transfer(SUBJECTS[subject], tmp_path, size_bytes)


def test_a_program_is_named_by_the_files_of_its_command(tmp_path):
    script = tmp_path / "a.py"
    script.write_text("1")
    first = fingerprint([sys.executable, str(script)])
    script.write_text("2")
    assert first.startswith(f"{sys.executable} {script} (sha256 ")
    assert fingerprint([sys.executable, str(script)]) != first
    assert fingerprint([str(tmp_path / "none")]) == ""


def test_the_example_scenario_is_sound():
    scenario = load(ROOT / "examples/systems/race.yaml")
    assert [options.kind for options in scenario.entrants.values()] == ["exec", "exec", "http"]


def test_how_long_lines_wait_is_measured_while_they_are_read():
    """A handler that takes its time makes the next lines wait, and that is seen."""
    slow_seconds, clock, seen, faults = 0.2, SystemClock(), [], []

    async def go():
        reading, writing = os.pipe()

        def handle(line, t_ns):
            seen.append((bytes(line), t_ns))
            if line == b"slow":
                time.sleep(slow_seconds)

        reader = LineReader(reading, clock, handle, faults.append)
        os.write(writing, b"quick\nhal")
        while len(seen) < 1:
            await asyncio.sleep(0.01)
        reader.restart_measurement()
        os.write(writing, b"f\n\n   \nslow\n")
        os.close(writing)
        await reader.ended.wait()
        await reader.close()
        return reader

    reader = asyncio.run(go())
    assert [line for line, _ in seen] == [b"quick", b"half", b"slow"]
    assert reader.lines == 3
    assert reader.behind_ns >= slow_seconds * 1e9
    assert faults == []


def test_an_entrant_of_a_command_is_one_of_exec():
    from swarmrace.systems import load as load_kind

    options = load_kind("exec").of_command(("a", "b"))
    assert options.command == ["a", "b"]
    assert not load_kind("exec").observes(options).upload
    taking = options.model_copy(update={"uploads": True})
    assert load_kind("exec").observes(taking).upload
    assert Subject("exec", {"command": ["a"]}).make_options(ROOT).command == ["a"]
