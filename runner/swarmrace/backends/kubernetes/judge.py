"""Judges a release's values by the model, the checks across keys and the limits of a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import pods
from swarmrace.errors import Fault, UnavailableError
from swarmrace.scenario.loading import examine
from swarmrace.scenario.schema import CHART_VALUES, LIBRARY

_NOT_OURS = ("enabled", LIBRARY)
"""Keys at the top that are Helm's, or belong to a chart that depends on ours."""
_NOT_THE_CHARTS = ("global", LIBRARY)
"""Keys that Helm adds to the values of each sub-chart."""


def faults_of(values: Any) -> list[Fault]:
    """Return everything wrong with a release's values, as Helm has them."""
    try:
        reading = examine(_ours(values))
    except UnavailableError as error:
        return [Fault("global.entrants", str(error))]
    faults = list(reading.faults)
    if reading.scenario is not None and not reading.unsound:
        faults += pods.cluster_faults(reading.scenario)
    return faults


def read(path: Path) -> Any:
    """Return the values that the chart stored in a ConfigMap."""
    return json.loads(path.read_text(encoding="utf-8"))


def _ours(values: Any) -> Any:
    """Return values without what Helm adds to them."""
    if not isinstance(values, dict):
        return values
    ours = {key: value for key, value in values.items() if key not in _NOT_OURS}
    for chart in CHART_VALUES.keys() & ours.keys():
        if isinstance(ours[chart], dict):
            ours[chart] = {k: v for k, v in ours[chart].items() if k not in _NOT_THE_CHARTS}
    return ours
