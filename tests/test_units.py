"""Sizes and rates: what is read, what is refused, and what people are shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from swarmrace.units import (
    RATE_PATTERN,
    SIZE_PATTERN,
    Rate,
    Size,
    canonical_size,
    format_link_rate,
    format_rate,
    format_seconds,
    format_size,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        (0, 0),
        (17, 17),
        (1e8, 100_000_000),
        ("17", 17),
        ("17B", 17),
        ("100kB", 100_000),
        ("100MB", 100_000_000),
        ("100MiB", 104_857_600),
        ("1.5GiB", 1_610_612_736),
        ("5 GB", 5_000_000_000),
        ("1TB", 10**12),
        ("0.5KiB", 512),
        ("2Gi", 2_147_483_648),
        ("1.5 Ki", 1536),
    ],
)
def test_sizes(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        ("100Mbit", 12_500_000),
        ("100Mbit/s", 12_500_000),
        ("12.5MB", 12_500_000),
        ("12.5 MB/s", 12_500_000),
        ("1Gbit", 125_000_000),
        ("1Gibit", 134_217_728),
        ("8bit", 1),
        (1000, 1000),
    ],
)
def test_rates(text, bytes_per_second):
    assert parse_rate(text) == bytes_per_second


@pytest.mark.parametrize(
    "text",
    [
        *("", "MB", "-1", "-1MB", "100mb", "100Mb", "100 MB ", " 1", "100  MB", "1,5MB", "1e8"),
        *(".5MB", "1.MB", "100MBit", "١MB", "1MB\n", "nan", "100Mbit", "0.3B", "0.0001kB"),
        *("2G", "2M", "2k", "2ki", "2GiBB", "2Gi/s"),
        *(True, None, 1.5, float("nan"), float("inf"), [], -1),
    ],
)
def test_an_error_names_what_is_not_a_size(text):
    with pytest.raises(ValueError, match=r"found .*"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1bit", "100Mb", "100Mbps", "1Mbit/h", "-1Mbit", "12bit", "1Gi"])
def test_an_error_names_what_is_not_a_rate(text):
    with pytest.raises(ValueError, match=r"found .*"):
        parse_rate(text)


def number(value):
    try:
        return parse_size(value)
    except ValueError as error:
        return "not whole" if "expected a whole number" in str(error) else None


@given(
    st.from_regex(SIZE_PATTERN)
    | st.text("0123456789.kKMGTiB bt/s", max_size=9)
    | st.from_regex(r"\A[0-9]{1,4}(\.[0-9]{1,3})? ?[kMGT]i?B\Z")
)
def test_the_published_pattern_of_sizes_accepts_exactly_what_is_parsed(text):
    """The JSON Schema, and so Helm, must agree with the runner (ECMA's $ is Python's \\Z)."""
    pattern = re.compile(SIZE_PATTERN.replace("$", r"\Z"))
    assert (pattern.search(text) is not None) == (number(text) is not None)


@given(st.text("0123456789.kKMGTiBbits/ ", max_size=10) | st.from_regex(RATE_PATTERN))
def test_the_published_pattern_of_rates_accepts_exactly_what_is_parsed(text):
    pattern = re.compile(RATE_PATTERN.replace("$", r"\Z"))
    try:
        parse_rate(text)
        parsed = True
    except ValueError as error:
        parsed = "expected a whole number" in str(error)
    assert (pattern.search(text) is not None) == parsed


@given(st.integers(0, 2**53 - 1))
def test_the_canonical_spelling_is_the_same_size(size_bytes):
    assert parse_size(canonical_size(size_bytes)) == size_bytes
    assert len(canonical_size(size_bytes)) <= max(2, len(str(size_bytes)))


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(100_000_000, "100MB"), (104_857_600, "100MiB"), (16_384, "16KiB"), (1025, "1025"), (0, "0")],
)
def test_canonical_sizes(size_bytes, text):
    assert canonical_size(size_bytes) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (16_384, "16.4 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_048_576, "1.05 MB"),
        (5_000_000_000, "5 GB"),
        (2_345_000_000_000_000, "2345 TB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_sizes_for_people(size_bytes, text):
    assert format_size(size_bytes) == text
    assert format_rate(size_bytes) == f"{text}/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.000_012_34, "12.3 µs"),
        (0.0042, "4.2 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.2549, "1.25 s"),
        (119.6, "120 s"),
        (185, "3 min 5 s"),
        (185.6, "3 min 6 s"),
        (179.7, "3 min 0 s"),
        (-0.0042, "-4.2 ms"),
    ],
)
def test_durations_for_people(seconds, text):
    assert format_seconds(seconds) == text


def test_models_read_units_and_write_numbers():
    size, rate = TypeAdapter(Size), TypeAdapter(Rate)
    assert size.validate_python("1MiB") == 1_048_576
    assert size.dump_json(size.validate_python("1MiB")) == b"1048576"
    assert rate.validate_python("8Mbit") == 1_000_000
    with pytest.raises(ValidationError):
        rate.validate_python(0)
    with pytest.raises(ValidationError):
        size.validate_python(2**53)


@pytest.mark.parametrize(
    ("parse", "text", "suggestion"),
    [
        (parse_size, "10mb", "10MB"),
        (parse_size, "1KB", "1kB"),
        (parse_size, "5 GIB", "5GiB"),
        (parse_rate, "50mbit", "50Mbit"),
        (parse_rate, "50Mbps", "50Mbit"),
        (parse_rate, "1.5mb/s", "1.5MB"),
        (parse_rate, "10 mb/s", "10MB"),
        (parse_rate, "1GBit", "1Gbit"),
        (parse_rate, "10 MBps", "10MB"),
        (parse_rate, "5 Mb/s", "5MB or 5Mbit"),
        (parse_rate, "100M", "100MB or 100Mbit"),
        (parse_rate, "1,5 megabit per second", "1.5Mbit"),
        (parse_rate, "10MB/sec", "10MB"),
        (parse_rate, "2 gibibytes/s", "2GiB"),
        (parse_size, "1G", "1GB"),
        (parse_size, "+5MB", "5MB"),
        (parse_size, "5mi", "5Mi"),
        (parse_size, "100 MB/s", "100MB"),
        (parse_size, "1,5 GB", "1.5GB"),
        (parse_size, " 7 ", "7"),
    ],
)
def test_a_misspelt_unit_is_refused_with_a_suggestion(parse, text, suggestion):
    with pytest.raises(ValueError, match=rf"did you mean {re.escape(suggestion)}\?\)$"):
        parse(text)
    for each in suggestion.split(" or "):
        assert parse(each)


@pytest.mark.parametrize(
    "text", ["10xb", "ten", "1.2.3mb", "mb", "10mbx", "1,500MB", "1GBit", "-1MB"]
)
def test_no_suggestion_without_a_likely_meaning(text):
    with pytest.raises(ValueError, match="expected a size") as caught:
        parse_size(text)
    assert "did you mean" not in str(caught.value)


def test_a_link_is_shown_in_bits_and_bytes():
    assert format_link_rate(parse_rate("50Mbit")) == "50 Mbit/s (6.25 MB/s)"
    assert format_link_rate(125) == "1 kbit/s (125 B/s)"
