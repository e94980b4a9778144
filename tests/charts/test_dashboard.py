"""The dashboard as a document: it has what Grafana needs, and only metrics of docs/metrics.md."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from live_race import CHART, dashboard, rate_interval_seconds, rules, targets
from swarmrace.metrics.table import METRICS

NAMES = {metric.name: metric for metric in METRICS}
EXPRESSIONS = [(title, target["expr"]) for title, target in targets()]
EXPRESSIONS += [(rule["record"], rule["expr"]) for rule in rules()]


@pytest.mark.parametrize(("title", "expr"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_queries_use_metrics_and_labels_of_the_table(title, expr):
    used = set(re.findall(r"\b(?:swarmrace_\w+|(?:peer|run):swarmrace\w*:\w+)", expr))
    assert used
    assert used <= set(NAMES), used - set(NAMES)
    known = {label for name in used for label in NAMES[name].labels}
    grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expr)
    asked = {label.strip() for group in grouped for label in group.split(",")}
    asked |= set(re.findall(r"[{,](\w+)=", expr))
    assert asked <= known, asked - known
    assert "without" not in expr


@pytest.mark.parametrize(("title", "expr"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_scraped_and_pushed_series_count_once(title, expr):
    """Every selector is inside `max by`, or inside a `rate` or `last_over_time` that is."""
    for match in re.finditer(r"\bswarmrace_\w+", expr):
        before = expr[: match.start()]
        assert re.search(r"max by \([^)]*\) \(\s*((rate|last_over_time)\()?$", before), before[-60:]


def test_the_promised_panels_are_there():
    titles = " ".join(panel["title"] for panel in dashboard()["panels"]).lower()
    for word in ("progress", "heat map", "t50, t90, t100", "wire overhead", "stall", "cpu"):
        assert word in titles
    assert {"heatmap", "timeseries", "table"} <= {panel["type"] for panel in dashboard()["panels"]}


def test_panels_are_complete():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["instant"] != target["range"] for target in panel["targets"])


@pytest.mark.parametrize(("title", "target"), targets(), ids=[title for title, _ in targets()])
def test_curves_are_as_fine_as_the_scrapes(title, target):
    """Whatever scrape interval is set in Grafana's data source (15 s by default)."""
    if target["range"]:
        assert target["interval"] == target["panelInterval"] == "2s"
        assert rate_interval_seconds(target) == 4 * 2
    else:
        assert "$__rate_interval" not in target["expr"]
        assert "$__interval" not in target["expr"]


def test_panels_do_not_overlap():
    cells = [
        {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        for g in (panel["gridPos"] for panel in dashboard()["panels"])
    ]
    assert all(not a & b for a, b in itertools.combinations(cells, 2))
    assert all(x < 24 for cell in cells for x, _ in cell)


def test_every_variable_is_declared():
    text = (CHART / "files/dashboard.json").read_text(encoding="utf-8")
    declared = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range", "__all"}
    assert used == declared


def test_the_variables_ask_the_table():
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(
                r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"]["query"]
            ).groups()
            assert label in NAMES[metric].labels
            assert variable["definition"] == variable["query"]["query"]


RULE_CHECKS = ("promtool check rules", "vmalert -dryRun -rule")


def check_rules(program: str, text: str, folder: Path) -> None:
    """Check rules by `promtool` or `vmalert`."""
    name, *arguments = program.split()
    if shutil.which(name) is None:
        pytest.skip(f"{name} is absent (Debian: prometheus, victoria-metrics)")
    file = folder / "rules.yaml"
    file.write_text(text)
    named = [f"-rule={file}"] if arguments.pop() == "-rule" else ["rules", str(file)]
    done = subprocess.run([name, *arguments, *named], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", RULE_CHECKS)
def test_both_programs_accept_the_rules(program, tmp_path: Path):
    check_rules(program, (CHART / "files/rules.yaml").read_text(encoding="utf-8"), tmp_path)
