"""YAML is read as Helm reads it or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmrace.errors import ScenarioError
from swarmrace.scenario import yaml_file


def value(text):
    document = yaml_file.parse(f"a: {text}")
    assert document.faults == []
    return document.data["a"]


def fault(text) -> str:
    (line,) = map(str, yaml_file.parse(text).faults)
    return line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10),
        ("-3", -3),
        ("1_000", 1000),
        ("4_", 4),
        ("-1__0", -10),
        ("1_.5", 1.5),
        ("0.5", 0.5),
        ("1e8", 1e8),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("yes", True),
        ("OFF", False),
        ("tRue", "tRue"),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("!!str 010", "010"),
        ("1:30:00", "1:30:00"),
        ("2020-13-45", "2020-13-45"),
        ("2020-01-02", "2020-01-02"),
        ("=", "="),
        ("1e400", "1e400"),
        ("100MB", "100MB"),
        ("[1, {b: c}]", [1, {"b": "c"}]),
    ],
)
def test_a_plain_value_is_read_as_helm_reads_it(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text", ["010", "08", "00", "-010", "0x1F", "0b11", "0o17", "y", "N", ".inf", "-.INF", ".nan"]
)
def test_a_value_on_which_parsers_disagree_is_refused(text):
    document = yaml_file.parse(f"a: {text}\nb: 1\n")
    (line,) = map(str, document.faults)
    assert line.startswith(f"a: found {text}, on which YAML parsers disagree; ")
    assert line.endswith("(line 1)")
    assert (document.data, document.unsound) == ({"b": 1}, {"a"})


@pytest.mark.parametrize("text", ["9" * 5000, "1." + "0" * 5000, "-" + "9" * 5000])
def test_a_number_of_thousands_of_digits_is_refused(text):
    assert f"found a number of {len(text)} digits" in fault(f"a: {text}")


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("on: 1", "on", "YAML reads this key as true: quote it"),
        ("No: 1", "No", "YAML reads this key as false: quote it"),
        ("~: 1", "~", "YAML reads this key as null: quote it"),
        ("1.5: 1", "1.5", "this key isn't a string: quote it"),
        ("y: 1", "y", "YAML parsers disagree on this key: quote it"),
        ("010: 1", "010", "YAML parsers disagree on this key: quote it"),
        ("? [a]\n: 1", "scenario", "found a key that is a map or a list"),
    ],
)
def test_a_key_that_is_not_a_string_is_reported_once(text, key, problem):
    assert fault(text).startswith(f"{key}: {problem}")


def test_a_whole_number_as_key_becomes_a_string():
    text = "a: {1: x, '2': z, 1__0: u, 4_: v}"
    assert yaml_file.parse(text).data == {"a": {"1": "x", "2": "z", "10": "u", "4": "v"}}


def test_a_repeated_key_is_reported_with_its_lines():
    document = yaml_file.parse("a:\n  b: 1\n  b: 2\n  c: 3\n'1': x\n1: y\n")
    assert [str(fault) for fault in document.faults] == [
        "a.b: found this key twice, in lines 2 and 3, expected it only once",
        "1: found this key twice, in lines 5 and 6, expected it only once",
    ]
    assert document.data == {"a": {"c": 3}}


def test_aliases_and_merge_keys_are_resolved():
    text = "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: {<<: [*a, {b: 9, z: 1}]}\nf: [*a, *a]\n"
    data = yaml_file.parse(text).data
    assert data["d"] == {"b": 1, "c": 3}
    assert data["e"] == {"b": 1, "c": 2, "z": 1}
    assert data["f"] == [{"b": 1, "c": 2}] * 2


def test_an_alias_that_contains_itself_is_refused():
    assert "contains itself" in fault("a: &a [*a]")


@pytest.mark.parametrize("tag", ["!!binary aGk=", "!!set {a}", "!x y", "!!int '08'", "!!map x"])
def test_tags_are_refused(tag):
    assert fault(f"a: {tag}").startswith("a: found ")


def test_a_list_with_a_faulty_item_is_left_out():
    document = yaml_file.parse("a: {b: [1, 010], c: 1}")
    assert document.data == {"a": {"c": 1}}
    assert document.unsound == {"a.b", "a.b.1"}


@pytest.mark.parametrize("text", ["a: [", "a: 1\n---\nb: 2\n", "a: *b", "\tx"])
def test_a_file_that_is_not_yaml_is_refused(text, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError, match="is not YAML: "):
        yaml_file.read(file)


def test_an_endless_file_is_refused():
    with pytest.raises(ScenarioError, match="found more than 1000000 bytes, expected a scenario"):
        yaml_file.read(Path("/dev/zero"))


def test_windows_line_ends_are_accepted(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"a: 1\r\nb: |\r\n  x\r\n  y\r\n")
    assert yaml_file.read(path).data == {"a": 1, "b": "x\ny\n"}
