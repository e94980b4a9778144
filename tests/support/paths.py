"""Paths of the repository's files, for tests in any folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SCENARIOS = ROOT / "scenarios"
CODEX_DOUBLE = ROOT / "images" / "codex-double"
