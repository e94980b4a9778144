"""Output that is closed, full or in another encoding, and names that are too long: no defects."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from paths import ROOT
from swarmrace.errors import Exit
from swarmrace.host.output import printable, shortened

TOP = ROOT
QUICK = {
    "global": {
        "race": {"swarmSize": 2, "seeders": 1, "fileSize": 10_000, "repetitions": 1},
        "entrants": {"a": {"kind": "synthetic"}, "b": {"kind": "synthetic"}},
    }
}
COMMANDS = {
    "help": ["--help"],
    "help of a command": ["run", "--help"],
    "version": ["--version"],
    "plan": ["plan", "{scenario}"],
    "plan as JSON": ["plan", "{scenario}", "--format", "json"],
    "schema": ["schema"],
    "doctor": ["doctor"],
    "show": ["show", "{results}"],
    "show as JSON": ["show", "{results}", "--format", "json"],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A scenario and its results folder."""
    home = tmp_path_factory.mktemp("output")
    scenario = home / "quick.yaml"
    scenario.write_text(json.dumps(QUICK))
    done = swarmrace(["run", str(scenario), "--results", str(home / "results")])
    assert done.returncode == 0, done.stderr
    [folder] = (home / "results").iterdir()
    return {"scenario": str(scenario), "results": str(folder)}


def swarmrace(arguments, *, shell="", **environment):
    """Run the command; `shell` holds redirections in shell syntax."""
    command = [sys.executable, "-m", "swarmrace", *arguments]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    return subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        text=True,
        errors="replace",
    )


def of(places, name):
    return [part.format(**places) for part in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_standard_output_has_its_own_exit_code(places, name):
    done = swarmrace(of(places, name), shell="> /dev/full")
    assert done.stderr == "swarmrace: standard output can't be written: No space left on device\n"
    assert done.returncode == Exit.OUTPUT


@pytest.mark.parametrize(
    ("name", "shell"),
    [
        *(("show", shell) for shell in (">&-", "2>&-", ">&- 2>&- <&-", "2> /dev/full")),
        *((name, ">&- 2>&- <&-") for name in ("help", "plan as JSON", "doctor")),
    ],
)
def test_closed_output_and_a_full_standard_error_change_nothing(places, name, shell):
    expected = swarmrace(of(places, name))
    done = swarmrace(of(places, name), shell=shell)
    assert done.returncode == expected.returncode
    assert done.stderr == ""
    if ">&-" not in shell.split() and name != "doctor":  # its output holds measurements
        assert done.stdout == expected.stdout


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, "ascii") for name in COMMANDS),
        *(("show", encoding) for encoding in ("latin-1", "cp1252", "utf-16")),
    ],
)
def test_characters_that_an_encoding_lacks_become_plain_ones(places, name, encoding):
    done = swarmrace(of(places, name), PYTHONIOENCODING=encoding)
    assert "defect" not in done.stderr
    assert done.returncode == swarmrace(of(places, name)).returncode
    if name == "show" and encoding == "ascii":
        assert " x b" in done.stdout
        assert "?" not in done.stdout


@pytest.mark.parametrize(
    ("shell", "environment", "code"),
    [
        ("> /dev/full", {}, Exit.OUTPUT),
        ("> /dev/full 2> /dev/full", {}, Exit.OUTPUT),
        ("2> /dev/full", {}, Exit.OK),
        (">&- 2>&-", {}, Exit.OK),
        ("", {"PYTHONIOENCODING": "ascii"}, Exit.OK),
    ],
)
def test_results_are_kept_whatever_happens_to_the_output(
    tmp_path, places, shell, environment, code
):
    done = swarmrace(
        ["run", places["scenario"], "--results", str(tmp_path / "r")], shell=shell, **environment
    )
    assert done.returncode == code, done.stderr
    assert "defect" not in done.stderr
    [folder] = (tmp_path / "r").iterdir()
    assert json.loads((folder / "race.json").read_text())["status"] == "finished"
    assert json.loads((folder / "verdict.json").read_text())["headline"]
    assert len(list((folder / "runs").iterdir())) == 2


@pytest.mark.parametrize(
    "stem", ["s" * 240, "ü" * 110, b"odd-\xff-name".decode(errors="surrogateescape"), "a b'\"$(x)"]
)
def test_a_scenario_may_have_any_name_that_a_file_can_have(tmp_path, stem):
    scenario = tmp_path / f"{stem}.yaml"
    scenario.write_text(json.dumps(QUICK))
    done = swarmrace(["run", str(scenario), "--results", str(tmp_path / "r")])
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "r").iterdir()
    assert json.loads((folder / "race.json").read_text())["name"] == printable(stem)
    again = swarmrace(["show", str(folder)])
    assert again.returncode == 0, again.stderr
    wide = {**QUICK, "global": {**QUICK["global"], "race": {**QUICK["global"]["race"]}}}
    wide["global"]["race"]["matrix"] = {"swarmSize": [2, 3]}
    del wide["global"]["race"]["swarmSize"]
    scenario.write_text(json.dumps(wide))
    written = swarmrace(["plan", str(scenario), "--write", str(tmp_path / "cells")])
    assert written.returncode == 0, written.stderr
    assert len(list((tmp_path / "cells").iterdir())) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{scenario}", "--results", "{long}"],
        ["run", "{long}"],
        ["show", "{long}"],
        ["show", "{results}", "--svg", "{long}"],
        ["show", "{results}", "--svg", "/proc/none/x.svg"],
        ["plan", "{scenario}", "--write", "{long}"],
        ["plan", "/etc/passwd/x"],
        ["schema", "--write", "{long}"],
    ],
)
def test_an_impossible_path_is_named_and_no_defect(places, arguments):
    long = "/tmp/" + "x" * 300
    done = swarmrace([part.format(long=long, **places) for part in arguments])
    assert done.returncode not in (Exit.OK, Exit.UNEXPECTED)
    assert "defect" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_shortened_keeps_both_ends_and_the_length():
    assert shortened("short", 180) == "short"
    cut = shortened("a" * 100 + "ü" * 100 + "-end", 180)
    assert len(cut.encode()) <= 180
    assert cut.startswith("aaaa")
    assert cut.endswith("-end")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("two\nlines", "two\\x0alines"),
        ("n\udcff", "n\\xff"),
        ("a\x1b[31m\x7f\x85", "a\\x1b[31m\\x7f\\x85"),
        ("ü🎉 x", "ü🎉 x"),
    ],
)
def test_a_name_is_one_line_of_text(stem, name):
    assert printable(stem) == name
    assert name.isprintable()
