"""Judges a release's values: what the model, the checks across keys and a cluster refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swarmrace.backends.kubernetes import pods
from swarmrace.errors import Fault, UnavailableError
from swarmrace.scenario.loading import examine

_NOT_OURS = ("enabled", "common")
"""Keys that Helm, or a chart that depends on ours, puts beside ours."""


def faults_of(values: Any) -> list[Fault]:
    """Return everything wrong with a release's values."""
    if isinstance(values, dict):
        values = {key: value for key, value in values.items() if key not in _NOT_OURS}
    try:
        reading = examine(values)
    except UnavailableError as error:
        return [Fault("global.entrants", str(error))]
    faults = list(reading.faults)
    if reading.scenario is not None and not reading.unsound:
        faults += pods.cluster_faults(reading.scenario)
    return faults


def read(path: Path) -> Any:
    """Return the values that the chart has put into a ConfigMap."""
    return json.loads(path.read_text(encoding="utf-8"))
