"""The double's image is locked to the versions the project has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from paths import ROOT


def blocks(path: Path) -> dict[str, str]:
    parts = re.split(r"^(?=[a-z])", path.read_text(), flags=re.MULTILINE)
    return {part.split("==")[0]: part.rstrip() for part in parts if "==" in part}


def test_requirements_are_a_part_of_the_projects():
    ours = blocks(ROOT / "images/codex-double/requirements.txt")
    theirs = blocks(ROOT / "requirements/runtime.txt")
    assert {"starlette", "uvicorn"} <= set(ours)
    assert {name: theirs.get(name) for name in ours} == ours


def test_requirements_name_all_that_is_imported():
    """Nothing beside the standard library and what the image installs."""
    ours = blocks(ROOT / "images/codex-double/requirements.txt")
    package = ROOT / "images/codex-double/codex_double"
    imported = set()
    for path in package.glob("*.py"):
        imported |= set(re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    third = imported - {*sys.stdlib_module_names, "codex_double"}
    assert third
    assert third <= set(ours)
