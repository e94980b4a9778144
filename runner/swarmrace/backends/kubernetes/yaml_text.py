"""YAML that every reader parses to the same values: strings that one might take for another type
are quoted."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

_WORD = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]+")
"""Strings that the dumper may leave bare; it quotes `null`, `yes` and the like itself."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    node = yaml.SafeDumper.represent_str(dumper, text)
    node.style = node.style or (None if _WORD.fullmatch(text) else '"')
    return node


_Dumper.add_representer(str, _represent)


def document(data: Any) -> str:
    """Return the data as a YAML document."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def scalar(text: str) -> str:
    """Return a string as a YAML scalar in one line."""
    options: dict[str, Any] = {"default_flow_style": True, "allow_unicode": True}
    listed: str = yaml.dump([text], Dumper=_Dumper, width=math.inf, **options)
    return listed[1:-2]
