"""No module outside `systems/` knows a kind: what differs between kinds is in `SystemSpec`."""

from __future__ import annotations

import ast
import re

import pytest

from paths import ROOT
from swarmrace import systems

PACKAGE = ROOT / "runner/swarmrace"
OUTSIDE = [
    path for path in sorted(PACKAGE.rglob("*.py")) if not path.is_relative_to(PACKAGE / "systems")
]
KINDS = tuple(systems.built_in())
KUBECTL = re.compile(r"""kubectl_command\("exec"|inside = \["exec\"""")
"""kubectl has a command of the name of a kind."""
QUOTED = re.compile(f"[\"']({'|'.join(KINDS)})[\"']")


def own_fields(kind):
    """Return the options that only this kind has."""
    found = systems.load(kind).options.model_fields
    return set(found) - set(systems.EntrantOptions.model_fields)


def mentions(source):
    """Yield (line, what) of each place in a module that knows a kind."""
    gauges = [gauge for kind in KINDS for gauge in systems.load(kind).gauges]
    for number, line in enumerate(source.splitlines(), 1):
        line = KUBECTL.sub("", line)
        if QUOTED.search(line) or any(gauge in line for gauge in gauges):
            yield number, line.strip()
    options = {name for kind in KINDS for name in own_fields(kind)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            module = getattr(node, "module", None) or node.names[0].name
            if re.match(rf"swarmrace\.systems\.({'|'.join(KINDS)})\b", module):
                yield node.lineno, f"imports {module}"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
            name = node.args[1]
            if isinstance(name, ast.Constant) and name.value in options:
                yield node.lineno, f"reads the option {name.value}"
        elif isinstance(node, ast.Attribute) and node.attr in options:
            holder = node.value
            if getattr(holder, "id", getattr(holder, "attr", "")) == "options":
                yield node.lineno, f"reads the option {node.attr}"


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_outside_systems_knows_a_kind(path):
    assert list(mentions(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        'if options.kind == "http": pass',
        "from swarmrace.systems.codex.options import CodexOptions",
        "import swarmrace.systems.codex.programs",
        'torrent = getattr(options, "reference", None)',
        "x = side.options.piece_size",
        'GAUGES = ("connections", "repostore_blocks")',
    ],
)
def test_every_form_of_knowing_a_kind_is_found(source):
    assert list(mentions(source))


@pytest.mark.parametrize(
    "source",
    ["from swarmrace.systems.spec import SystemSpec", "x = options.profile", 'u = "http://a"'],
)
def test_options_of_every_kind_may_be_read(source):
    assert not list(mentions(source))
