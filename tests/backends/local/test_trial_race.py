"""Before a race each program is started and joined once; one that can't start is refused."""

from __future__ import annotations

import json

import pytest
from codex_double.testing import program

import racing

HTTP = {"kind": "http", "profile": "tuned"}


def node(folder, body):
    """Return the options of a program that claims to be a Codex node and then runs `body`."""
    file = folder / "codex"
    file.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--help*|*--version*) echo "Codex version: v0.2.5"; exit 0;; esac\n' + body
    )
    file.chmod(0o755)
    return {"kind": "codex", "program": str(file)}


def refused(tmp_path, entrants, **race):
    """Race; return the output and the trials of a race that was refused before any run."""
    scenario = racing.scenario_file(tmp_path, entrants, repetitions=2, **race)
    with racing.race(tmp_path, scenario) as running:
        assert running.end() == 4, running.output()
        running.wait_until_nothing_is_left()
        info = json.loads((running.folder / "race.json").read_text())
        for run in (running.folder / "runs").iterdir():
            result = json.loads((run / "run.json").read_text())
            assert result["status"] == "not raced"
            assert result["failure"]["reason"] == "not run"
        return running.output(), info["trials"]


@pytest.mark.parametrize(
    ("body", "race", "words"),
    [
        ("echo 'addrs=@[/ip4/127.0.0.1/tcp/8070]' >&2\nexit 3\n", {}, "exited 3"),
        ("echo 'still thinking'\nexec sleep 600\n", {"prepareSeconds": 15}, "still thinking"),
    ],
    ids=["exits at once", "never answers"],
)
def test_a_node_that_can_not_start_is_refused_with_its_last_words(tmp_path, body, race, words):
    entrants = {"web": HTTP, "c": node(tmp_path, body)}
    output, trials = refused(tmp_path, entrants, timeouts=race)
    assert words in output
    assert "never started" in output
    assert trials["web"]["outcome"] == "started"
    assert trials["c"]["outcome"] == "never started"
    assert words in trials["c"]["failure"]["detail"]


def test_a_node_that_peers_can_not_join_is_refused(tmp_path):
    lonely = tmp_path / "codex"
    lonely.write_text(
        "#!/bin/sh\n"
        'for one in "$@"; do shift; case $one in --bootstrap-node*) ;; *) set -- "$@" "$one";; '
        "esac; done\n"
        f'exec {program(tmp_path / "node")} "$@"\n'
    )
    lonely.chmod(0o755)
    entrants = {"c": {"kind": "codex", "program": str(lonely)}}
    output, trials = refused(tmp_path, entrants, timeouts={"prepareSeconds": 20})
    assert "c: timeout in prepare: not within 20 s" in output
    assert trials["c"]["outcome"] == "never started"


def test_each_entrant_is_tried_once_however_many_cells_follow(tmp_path):
    entrants = {"a": HTTP, "b": HTTP, "c": {**HTTP, "readSize": "64KiB"}}
    scenario = racing.scenario_file(tmp_path, entrants, matrix={"fileSize": ["10kB", "20kB"]})
    with racing.race(tmp_path, scenario) as running:
        assert running.end() == 0, running.output()
        heads = [json.loads(file.read_text()) for file in running.results.rglob("race.json")]
    # The cell that was raced first tried each entrant.
    first, second = sorted(
        (head["trials"] for head in heads),
        key=lambda trials: -len({trial["tried"] for trial in trials.values()}),
    )
    assert {name: trial["tried"] for name, trial in first.items()} == {"a": "a", "b": "b", "c": "c"}
    # The second cell repeats these trials with identical times; a and b have the same program.
    assert second["a"] == second["b"]
    assert second["a"] in (first["a"], first["b"])
    assert second["c"] == first["c"]
    assert {trial["outcome"] for trial in first.values()} == {"started"}
