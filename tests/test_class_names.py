"""Names of classes: each is unique in the package, so that a name says which class is meant."""

from __future__ import annotations

import ast
from collections import defaultdict

from paths import ROOT

SOURCE = ROOT / "runner" / "swarmrace"


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.relative_to(SOURCE)}:{node.lineno}")
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
