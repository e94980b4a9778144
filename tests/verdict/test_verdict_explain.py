from __future__ import annotations

import pytest

from swarmrace.definitions import DEFINITIONS
from swarmrace.verdict.explain import explain
from swarmrace.verdict.registry import FIGURES


@pytest.mark.parametrize("word", DEFINITIONS)
def test_every_definition_is_explained(word):
    assert f"{word}: {DEFINITIONS[word]}" in explain(word).splitlines()
    assert explain(word.upper()) == explain(word)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_explained_by_its_name_and_by_what_the_table_calls_it(name):
    assert f"{FIGURES[name].label}: {FIGURES[name].text}" in explain(name)
    assert f"{FIGURES[name].label}: {FIGURES[name].text}" in explain(FIGURES[name].label)


def test_a_part_of_a_name_gives_all_that_have_it():
    lines = explain("stal").splitlines()
    assert lines[0].startswith("stall: ")
    assert sum(line.startswith("longest stall") for line in lines) >= 2


def test_an_unknown_word_is_refused_with_those_that_are_known():
    with pytest.raises(KeyError, match=r"found 'reslution' .did you mean 'resolution'.., expected"):
        explain("reslution")


def test_it_needs_no_folder(run_cli):
    for command in ("show", "run"):
        told = run_cli(command, "--explain", "startLag")
        assert told.exit_code == 0
        assert told.stdout == f"{explain('startLag')}\n"
    refused = run_cli("show", "--explain", "nonsense")
    assert refused.exit_code == 2
    assert "expected one of publish" in refused.stderr
