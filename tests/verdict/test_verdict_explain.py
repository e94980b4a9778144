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
def test_every_figure_is_explained_by_name_and_by_label(name):
    assert f"{FIGURES[name].label}: {FIGURES[name].text}" in explain(name)
    assert f"{FIGURES[name].label}: {FIGURES[name].text}" in explain(FIGURES[name].label)


def test_a_part_of_a_label_gives_all_matches():
    lines = explain("stal").splitlines()
    assert lines[0].startswith("stall: ")
    assert sum(line.startswith("longest stall") for line in lines) >= 2


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match=r"found 'reslution' .did you mean 'resolution'.., expected"):
        explain("reslution")


def test_explaining_needs_no_folder(run_cli):
    for command in ("show", "run"):
        explained = run_cli(command, "--explain", "startLag")
        assert explained.exit_code == 0
        assert explained.stdout == f"{explain('startLag')}\n"
    refused = run_cli("show", "--explain", "nonsense")
    assert refused.exit_code == 2
    assert "expected one of publish" in refused.stderr
