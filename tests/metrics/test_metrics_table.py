"""The table follows Prometheus' rules, and docs/metrics.md is written from it."""

from __future__ import annotations

import re

import pytest

from paths import ROOT
from swarmrace.metrics import docs, table
from swarmrace.metrics.table import METRICS, RUN_LABELS, Metric, Sample


def test_the_document_is_written_from_the_table():
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == docs.render(), (
        "run: python -m swarmrace.metrics.docs docs/metrics.md"
    )


def test_every_metric_of_the_module_is_in_the_table():
    found = {value for value in vars(table).values() if isinstance(value, Metric)}
    assert found == set(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_show_type_and_unit(metric):
    assert re.fullmatch(r"swarmrace_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    stem = metric.name.removesuffix("_total")
    if metric.unit in ("bytes", "seconds"):
        assert stem.endswith(f"_{metric.unit}")
    known = table.SWEEP_LABELS if metric.served == "sweep" else table.PEER_LABELS
    assert metric.labels[: len(known)] == known
    assert set(metric.labels) <= set(table.LABELS)
    assert metric.help.endswith(".")


def test_a_sample_keeps_its_labels_value_and_millisecond():
    labels = ('a "race"', "one\\two", "3", "000-one", "arrival", "50")
    t_ms = 1_763_921_447_123
    (family,) = table.families([Sample(table.MARK, labels, 0.1, t_ms)])
    (sample,) = family.samples
    assert sample.labels == dict(zip((*RUN_LABELS, "of", "percent"), labels, strict=True))
    assert (sample.name, sample.value) == (table.MARK.name, 0.1)
    assert int(float(sample.timestamp) * 1000) == t_ms


def test_every_label_is_used():
    assert set(table.LABELS) == {name for metric in METRICS for name in metric.labels}
