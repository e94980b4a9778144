"""Two groups of runs are found if there are two, and rarely if there is one."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from click.testing import CliRunner

from made_results import HTTP, flat, updated, verdict_of
from paths import ROOT
from swarmrace.verdict.groups import FACTOR, LIMITS, separation, two_groups

PATH = ROOT / "benchmarks" / "two_groups.py"


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("swarmrace_two_groups_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ([33.2, 59.3, 60.7], (1, 2)),  # the race that had two groups, and nothing said so
        ([48.4, 28.0, 26.0, 28.5, 27.5, 24.3, 44.5, 46.7], (0, 6, 7)),
        ([24, 28, 46], None),  # too few to tell: 4 s lie within a group then
        ([33.2, 59.3], None),
        ([50, 51, 52, 60], None),  # a group apart, yet no other kind of run
        ([2.0, 2.0, 2.0], None),
        ([2.0, 2.0, 4.0, 4.0], (2, 3)),
    ],
)
def test_separate_groups_are_found(seconds, slow):
    found = two_groups(seconds)
    assert (found and found.slow) == slow
    if found:
        assert sorted(found.fast + found.slow) == list(range(len(seconds)))


def test_the_statistic_is_the_largest_over_all_cuts():
    logs = np.sort(np.random.default_rng(3).normal(size=(50, 7)))
    for row, ratio, cut in zip(logs, *separation(logs)[:2], strict=True):
        by_cut = []
        for at in range(1, 7):
            parts = row[:at], row[at:]
            within = sum(((part - part.mean()) ** 2).sum() for part in parts)
            by_cut.append((((row - row.mean()) ** 2).sum() - within) / within)
        assert ratio == pytest.approx(max(by_cut))
        assert by_cut.index(max(by_cut)) + 1 == cut


def test_false_alarms_are_as_rare_as_stated_and_two_groups_are_found(benchmark):
    ran = CliRunner().invoke(benchmark.main, ["--replicates", "4000"], catch_exceptions=False)
    lines = [json.loads(line) for line in ran.output.splitlines()]
    assert all(line["met"] is not False for line in lines), lines
    alarms = [line for line in lines if line["name"].startswith("false alarms")]
    assert {line["runs"] for line in alarms} == set(benchmark.RUNS)
    power = {line["name"]: line["value"] for line in lines if line["name"].startswith("power")}
    assert power["power, a third of the runs 1.8 times as long, CV 5 %, 10 runs"] > 0.9


def test_a_criterion_with_too_many_false_alarms_is_detected(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "in_two_groups", lambda logs: np.ones(len(logs), dtype=bool))
    ran = CliRunner().invoke(benchmark.main, ["--replicates", "500"], catch_exceptions=False)
    lines = [json.loads(line) for line in ran.output.splitlines()]
    assert not any(line["met"] for line in lines if line["name"].startswith("false alarms"))


def test_limits_fall_with_the_runs_and_more_runs_use_the_last():
    assert list(LIMITS[:3]) == sorted(LIMITS[:3], reverse=True)
    assert list(LIMITS[3:]) == sorted(LIMITS[3:], reverse=True)
    many = [10.0 + k / 50 for k in range(30)] + [10 * FACTOR * 1.3 + k / 50 for k in range(10)]
    assert two_groups(many).slow == tuple(range(30, 40))


def sent(record):
    """Make the leechers of slow runs serve each other little."""
    slow = record.repetition > 0
    leeches = record.role == "leecher"
    bytes_ = (1e6 if slow else 10e6) if leeches else (27e6 if slow else 10e6)
    return updated(counters={"payload_sent_bytes": bytes_})(record)


def test_the_verdict_flags_groups_with_what_leechers_served(tmp_path):
    found = verdict_of(tmp_path, {"x": flat(33.2, 59.3, 60.7)}, peer=sent)
    [text] = [flag.text for flag in found.flags if "two groups" in flag.text]
    assert text.startswith(
        "the runs fall into two groups by t100 of the median leecher: 1 at 33.2 s (leechers served "
        "75 % of the payload), and 2 at 59.3 s to 60.7 s (leechers served 10 % of the payload)"
    )


def test_failed_and_missing_runs_form_no_group(tmp_path):
    times = {"x": [[2, 2, 2], [2.1, 2.1, 2.1], [float("inf")] * 3, None]}
    found = verdict_of(tmp_path, times, entrants={"x": HTTP}, race={"repetitions": 4})
    assert not [flag for flag in found.flags if "two groups" in flag.text]
