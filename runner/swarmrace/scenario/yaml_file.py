"""Read YAML as Helm does, and refuse values on which YAML parsers disagree.

YAML 1.1 and 1.2 disagree on `010` and `y`, and PyYAML reads `1:30:00` as 5400 where Helm reads a
string. The same file must be the same race on a laptop and on a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from swarmrace.errors import Fault, ScenarioError

_MAX_DIGITS = 100
"""More than any valid number has; Python refuses to parse thousands of digits."""
_PLAIN = "tag:yaml.org,2002:"
_MISLEADING = "!misleading"
_DROPPED = object()

_BOOLS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_INTEGER = re.compile(rf"[-+]?(?:0|[1-9][0-9_]{{0,{_MAX_DIGITS}}})")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_MISREAD = re.compile(r"[-+]?0[0-9_]+|[-+]?0[xXoObB][0-9a-fA-F_]+|[yYnN]|[-+]?\.(?i:inf|nan)")


@dataclass
class Document:
    """The content of a YAML file.

    Args:
        data: maps with string keys, lists, strings, numbers, booleans and null, without the faulty
            keys.
        faults: the faults, with their lines.
        unsound: the faulty keys, which `data` lacks.
    """

    data: Any = None
    faults: list[Fault] = field(default_factory=list)
    unsound: set[str] = field(default_factory=set)


class _Loader(yaml.SafeLoader):
    """Composes nodes and recognises numbers, booleans and null as Helm's parser does."""

    yaml_implicit_resolvers: dict[str, Any] = {}


def _resolve(tag: str, pattern: str | re.Pattern[str], first: str) -> None:
    text = pattern if isinstance(pattern, str) else pattern.pattern
    _Loader.add_implicit_resolver(tag, re.compile(rf"(?:{text})\Z"), list(first))


_resolve(_MISLEADING, _MISREAD, "-+.0yYnN")
_resolve(f"{_PLAIN}int", _INTEGER, "-+0123456789")
_resolve(f"{_PLAIN}float", _FLOAT, "-+.0123456789")
_words = "|".join(f"{w}|{w.capitalize()}|{w.upper()}" for w in _BOOLS)
_resolve(f"{_PLAIN}bool", _words, "yYnNtTfFoO")
_resolve(f"{_PLAIN}null", "~|null|Null|NULL|", "~nN\0")
_Loader.yaml_implicit_resolvers[""] = _Loader.yaml_implicit_resolvers.pop("\0")
_resolve(f"{_PLAIN}merge", "<<", "<")

MAX_BYTES = 1_000_000
"""Maximum size of a scenario file: /dev/zero never ends, and a large file takes a minute to
parse."""


def read(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ScenarioError: the file can't be read, is larger than any scenario, or isn't YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            text = f"found more than {MAX_BYTES} bytes, expected a scenario of a few thousand bytes"
            raise ScenarioError([Fault("", text)], str(path))
        return parse(data.decode("utf-8"))
    except OSError as error:
        raise ScenarioError([Fault("", f"can't be read: {error.strerror}")], str(path)) from error
    except RecursionError as error:
        raise ScenarioError([Fault("", "is nested too deeply")], str(path)) from error
    except (yaml.YAMLError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ScenarioError([Fault("", f"is not YAML: {why}")], str(path)) from error


def parse(text: str) -> Document:
    """Return the content of a YAML string.

    Raises:
        yaml.YAMLError: it isn't YAML, or has more than one document.
        RecursionError: it is nested too deeply.
    """
    document = Document()
    node = yaml.compose(text, _Loader)
    if node is not None:
        data = _Builder(document).build(node, ())
        document.data = None if data is _DROPPED else data
    return document


def _whole(text: str) -> int:
    return int(text.replace("_", ""))  # int() accepts only single underscores between digits


class _Builder:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        """Return a node's value, or `_DROPPED` after noting why it has none."""
        if id(node) in self._open:
            return self._note(node, path, "found an alias that contains itself, expected none")
        if id(node) not in self._built:  # a fault of an alias is reported only at its anchor
            self._open.add(id(node))
            self._built[id(node)] = self._value(node, path)
            self._open.remove(id(node))
        return self._built[id(node)]

    def _value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PLAIN}map":
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PLAIN}seq":
            items = [self.build(item, (*path, str(k))) for k, item in enumerate(node.value)]
            if any(item is _DROPPED for item in items):
                self._document.unsound.add(".".join(path))
                return _DROPPED
            return items
        kind = node.tag.removeprefix(_PLAIN)
        if isinstance(node, yaml.ScalarNode):
            if kind == "str" or kind == "merge":
                return node.value
            if kind == "null":
                return None
            if kind == "bool" and node.value.lower() in _BOOLS:
                return _BOOLS[node.value.lower()]
            if kind == "int" and _INTEGER.fullmatch(node.value):
                return _whole(node.value)
            if kind == "float" and _FLOAT.fullmatch(node.value):
                return self._float(node, path)
        if kind == _MISLEADING:
            return self._note(
                node,
                path,
                f"found {node.value}, on which YAML parsers disagree; write a plain number, true "
                "or false, or quote the string",
            )
        return self._note(node, path, f"found {node.tag}, expected a plain value or quoted string")

    def _float(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> Any:
        digits = len(node.value)
        if digits > _MAX_DIGITS:
            return self._note(
                node, path, f"found a number of {digits} digits, expected at most {_MAX_DIGITS}"
            )
        number = float(node.value.replace("_", ""))
        return node.value if number in (float("inf"), float("-inf")) else number

    def _map(self, node: yaml.MappingNode, path: tuple[str, ...]) -> Any:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in lines:
                twice = f"found this key twice, in lines {lines[key]} and {line}"
                self._note(None, (*path, key), f"{twice}, expected it only once")
                own.pop(key, None)
                continue
            lines[key] = line
            value = self.build(value_node, path if key == "<<" else (*path, key))
            if key_node.tag == f"{_PLAIN}merge":
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, dict):
                        merged = part | merged
                    elif part is not _DROPPED:
                        self._note(key_node, (*path, key), "expected an alias of a map")
            elif value is not _DROPPED:
                own[key] = value
        return merged | own

    def _key(self, node: yaml.Node, path: tuple[str, ...]) -> str | None:
        """Return a key as a string; None after noting a fault if it can't be one."""
        if isinstance(node, yaml.ScalarNode):
            kind = node.tag.removeprefix(_PLAIN)
            if kind in ("str", "merge"):
                return str(node.value)
            if kind == "int" and _INTEGER.fullmatch(node.value):
                return str(_whole(node.value))
            problems = {
                "bool": f"YAML reads this key as {str(_BOOLS.get(node.value.lower())).lower()}",
                "null": "YAML reads this key as null",
                _MISLEADING: "YAML parsers disagree on this key",
            }
            problem = problems.get(kind, "this key isn't a string")
            self._note(node, (*path, node.value), f"{problem}: quote it")
        else:
            self._note(node, path, "found a key that is a map or a list, expected a string")
        return None

    def _note(self, node: yaml.Node | None, path: tuple[str, ...], what: str) -> Any:
        key = ".".join(path) or "scenario"
        where = "" if node is None else f" (line {node.start_mark.line + 1})"
        self._document.faults.append(Fault(key, f"{what}{where}"))
        self._document.unsound.add(key)
        return _DROPPED
