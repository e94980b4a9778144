"""docs/scenarios.md: its examples are valid scenarios, and it names every key and axis."""

from __future__ import annotations

import re

import yaml

from paths import ROOT
from swarmrace.plan.plan import expand
from swarmrace.scenario.loading import parse
from swarmrace.scenario.scenario import Matrix, Race

PAGE = (ROOT / "docs" / "scenarios.md").read_text()
ENTRANTS = {"bt": {"kind": "bittorrent"}}


def examples():
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)]


def test_the_examples_are_valid_and_have_the_stated_number_of_cells():
    first, sweep = examples()
    assert len(expand(parse(first))) == 1
    sweep["global"]["entrants"] = ENTRANTS
    assert len(expand(parse(sweep))) == 20
    assert "so 20 cells" in PAGE


def test_every_key_of_a_race_and_every_axis_is_documented():
    for name, field in Race.model_fields.items():
        assert f"`{field.alias or name}`" in PAGE or f"`global.race.{field.alias}`" in PAGE
    axes = re.findall(r"^\| `(\w+)` \| .+ \| `global\.race\.\w+` \|$", PAGE, re.MULTILINE)
    assert axes == [field.alias or name for name, field in Matrix.model_fields.items()]
