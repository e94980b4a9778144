"""The command line: errors of one line, distinct exit codes, nothing started on bad input."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import click
import psutil
import pytest

from paths import ROOT
from patience import PATIENCE_SECONDS
from swarmrace.cli import docs
from swarmrace.cli.main import main
from swarmrace.errors import Exit

REPOSITORY = ROOT
BAD = """
global:
  race: {swarmSise: 4, fileSize: 10XB}
  entrants: {a: {kind: bitorrent}}
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_scenario_names_every_fault_and_exits_3(run_cli, bad, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_cli(command, str(bad))
    assert result.exit_code == Exit.SCENARIO == 3
    assert "3 faults" in result.stderr
    for text in ("swarmSise: unknown key (did you mean 'swarmSize'?)", "10XB", "'bittorrent'?"):
        assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("plan", "BAD"), Exit.SCENARIO),
        (("plan", "nowhere.yaml"), Exit.USAGE),
        (("show", "."), Exit.RESULTS),
        (("fetch", "x", "-o", "."), None),
        (("schema", "--check"), Exit.USAGE),
    ],
)
def test_debug_adds_the_traceback_and_keeps_the_code(
    run_cli, bad, arguments, code, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = [str(bad) if word == "BAD" else word for word in arguments]
    plain, debug = run_cli(*arguments), run_cli("--debug", *arguments)
    assert debug.exit_code == plain.exit_code != 0
    assert code in (None, plain.exit_code)
    assert "Traceback" not in plain.stderr
    assert ("Traceback" in debug.stderr) == (code is not Exit.USAGE)
    assert debug.stderr.splitlines()[-1] == plain.stderr.splitlines()[-1]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_debug_keeps_the_code_of_unexpected_errors(run_cli, bad, monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr("swarmrace.plan.checks.load", fail)
    codes = [run_cli(*debug, "plan", str(bad)).exit_code for debug in ((), ("--debug",))]
    wanted = Exit.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Exit.UNEXPECTED
    assert codes == [wanted, wanted]


def test_a_missing_program_is_reported_before_the_race(run_cli, tmp_path):
    path = tmp_path / "codex.yaml"
    path.write_text(
        "global: {race: {fileSize: 1MB}, entrants: {c: {kind: codex, program: /nowhere/codex}}}"
    )
    result = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert result.exit_code == Exit.UNAVAILABLE == 4
    assert "global.entrants.c" in result.stderr
    assert "/nowhere/codex" in result.stderr
    assert not (tmp_path / "results").exists()


def test_a_program_that_is_not_a_node_is_refused_before_the_race(run_cli, tmp_path):
    path = tmp_path / "codex.yaml"
    path.write_text(
        "global: {race: {fileSize: 1MB}, entrants: {c: {kind: codex, program: /bin/ls}}}"
    )
    result = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert result.exit_code == Exit.UNAVAILABLE
    assert "global.entrants.c: codex: /bin/ls: expected a Codex or Logos Storage" in result.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["schema"],
        ["--help"],
        ["plan", "{scenario}"],
        ["plan", "{scenario}", "--format", "json"],
        ["plan", "{scenario}", "--write", "{tmp}/cells"],
        ["doctor"],
    ],
)
def test_a_command_whose_reader_has_gone_ends_quietly(scenario, tmp_path, arguments):
    line = [each.format(scenario=scenario, tmp=tmp_path) for each in arguments]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "swarmrace", *line],
        stdout=writer, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (Exit.BROKEN_PIPE, "")


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "synthetic.yaml"
    path.write_text("global: {race: {swarmSize: 2}, entrants: {a: {kind: synthetic}}}")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schema", "--chart", "foo"], "found 'foo', expected one of swarmrace, tracker, "),
        (["schema", "--check"], "--check needs --write"),
        (["run", "{scenario}", "--results", "{scenario}/x"], "isn't one"),
        (["plan", "{scenario}", "--write", "{scenario}/x/y"], "isn't one"),
        (["plan", "{scenario}", "--write", "/proc/x/y"], "can't write to /proc"),
        (["archive", "--data-dir", "{tmp}", "--race-id", "a/b"], "expected 10 hex digits"),
        (["archive", "--data-dir", "{tmp}", "--race-id", ".."], "expected 10 hex digits"),
        (["fetch", "x", "--race-id", "0123ABCDEF"], "expected 10 hex digits"),
        (["show", "/nowhere"], "does not exist"),
        (
            ["tracker", "--scenario", "{scenario}", "--data-dir", "{tmp}/d", "--listen", "foo"],
            "found 'foo', expected HOST:PORT",
        ),
        (["tracker", "--scenario", "{scenario}", "--data-dir", "{scenario}/d"], "isn't one"),
        (["peer", "{peer}", "--entrant", "nosuch", "--peer", "0"], "found 'nosuch', expected one"),
        (["peer", "{peer}", "--entrant", "a", "--peer", "2"], "found 2, expected 0 to 1"),
        (["shape", "--scenario", "{scenario}", "--entrant", "b", "--peer", "0"], "found 'b'"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(
    run_cli, scenario, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.setattr("swarmrace.cli.pod_commands._TRACKER_FIRST_SECONDS", 0.0)
    peer = ["--rendezvous", "http://127.0.0.1:1", "--race-id", "x", "--scenario", scenario]
    peer += ["--address", "127.0.0.1", "--work-dir", str(tmp_path / "w")]
    line: list[str] = []
    for each in arguments:
        line += peer if each == "{peer}" else [each.format(scenario=scenario, tmp=tmp_path)]
    result = run_cli(*line)
    assert result.exit_code == Exit.USAGE == 2, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "bug" not in result.stderr


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_misspelt_setting_is_a_fault_of_the_scenario(run_cli, tmp_path, command):
    path = tmp_path / "x.yaml"
    path.write_text(
        "global: {entrants: {bt: {kind: bittorrent, settings: {conections_limit: 5}, utpp: 1}}}"
    )
    result = run_cli(command, str(path))
    assert result.exit_code == Exit.SCENARIO
    assert "global.entrants.bt.settings.conections_limit: not a setting of" in result.stderr
    assert "did you mean 'connections_limit'?" in result.stderr
    assert "global.entrants.bt.utpp: unknown key" in result.stderr


def test_what_the_machine_lacks_is_listed_with_the_faults(run_cli, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "global: {race: {fileSize: 1MB, sed: 3}, entrants: {c: {kind: codex, program: /nowhere}}}"
    )
    result = run_cli("run", str(path), "--results", str(tmp_path / "results"))
    assert result.exit_code == Exit.SCENARIO
    assert "global.race.sed: unknown key (did you mean 'seed'?)" in result.stderr
    assert "global.entrants.c: codex: expected a program at program: /nowhere" in result.stderr
    assert not (tmp_path / "results").exists()


def test_show_of_no_results_exits_8(run_cli, tmp_path):
    result = run_cli("show", str(tmp_path))
    assert result.exit_code == Exit.RESULTS == 8
    assert result.stderr.count("\n") == 1
    assert "race.json" in result.stderr


def test_plan_for_programs(run_cli):
    result = run_cli("plan", str(REPOSITORY / "scenarios" / "matrix.yaml"), "--format", "json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["cells"]) == 39


def test_schema_is_a_json_schema_that_accepts_the_scenarios(run_cli):
    import jsonschema
    import yaml

    schema = json.loads(run_cli("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    for path in sorted((REPOSITORY / "scenarios").glob("*.yaml")):
        validator.validate(yaml.safe_load(path.read_text()))
    assert list(validator.iter_errors(yaml.safe_load(BAD)))


def test_doctor_for_programs(run_cli):
    result = run_cli("doctor", "--format", "json")
    rows = json.loads(result.stdout)
    assert result.exit_code == (4 if any(r["state"] == "missing" for r in rows) else 0)
    assert {"name", "state", "found"} <= set(rows[0])


def test_the_document_is_written_from_the_commands_and_exit_codes():
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert docs.render(page) == page, "run: python -m swarmrace.cli.docs docs/cli.md"
    assert set(docs.EXIT_CODES) == set(Exit)
    for name in docs.SECTIONS:
        assert f"<!-- {name} -->" in page


def test_every_command_and_option_has_a_help_text():
    for name, command in main.commands.items():
        assert command.help, name
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert [each.name for each in options if not each.help] == [], name


def test_version(run_cli):
    from swarmrace import __version__

    assert __version__ in run_cli("--version").stdout


@pytest.mark.parametrize("command", ["verdict", "peer"])
def test_a_containers_first_process_ends_on_sigterm(command, tmp_path):
    """The kernel drops a signal to PID 1 that has no handler for it."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("NOT TESTED: PID namespaces aren't permitted here")
    url = "http://127.0.0.1:9"  # nothing listens there
    arguments = {
        "verdict": (),
        "peer": (
            *("--scenario", str(REPOSITORY / "scenarios" / "quick.yaml"), "--entrant", "http"),
            *("--peer", "0", "--address", "127.0.0.1", "--work-dir", str(tmp_path / "work")),
        ),
    }[command]
    process = subprocess.Popen(
        [*unshare, sys.executable, "-m", "swarmrace", command, "--rendezvous", url,
         "--race-id", "0123456789", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            for inside in _children(process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                    inside.send_signal(signal.SIGTERM)
            time.sleep(0.05)
        assert process.poll() == 143, process.poll()
        assert "Traceback" not in process.communicate()[0]
        assert not (tmp_path / "work").exists(), "it ended while it waited for the tracker"
    finally:
        process.kill()


def _children(pid):
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
