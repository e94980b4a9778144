"""The double's image is locked to the project's versions."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from paths import ROOT


def blocks(path: Path) -> dict[str, str]:
    parts = re.split(r"^(?=[a-z])", path.read_text(), flags=re.MULTILINE)
    return {part.split("==")[0]: part.rstrip() for part in parts if "==" in part}


def test_requirements_are_a_subset_of_the_projects():
    ours = blocks(ROOT / "images/codex-double/requirements.txt")
    theirs = blocks(ROOT / "requirements/runtime.txt")
    assert {"starlette", "uvicorn"} <= set(ours)
    assert {name: theirs.get(name) for name in ours} == ours


def test_every_imported_package_is_in_the_requirements():
    """The double imports only the standard library and the packages that the image installs."""
    ours = blocks(ROOT / "images/codex-double/requirements.txt")
    package = ROOT / "images/codex-double/codex_double"
    imported = set()
    for path in package.glob("*.py"):
        imported |= set(re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    third_party = imported - {*sys.stdlib_module_names, "codex_double"}
    assert third_party
    assert third_party <= set(ours)
