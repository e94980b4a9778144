"""The versions that must not change during a sweep."""

from __future__ import annotations

import pytest

from made_sweeps import PINS, attempt, begin, scenario
from swarmrace import __version__, definitions
from swarmrace.errors import SweepError
from swarmrace.results import folder as results
from swarmrace.sweep import pins, state
from swarmrace.sweep.driver import Versions, refuse_mixed_versions, refuse_other_pins


def test_this_machines_versions_are_named():
    found = pins.local(scenario())
    assert found.swarmrace.startswith(f"{__version__} (commit ")
    assert found.definitions == definitions.version()
    assert found.backend == "local"
    assert found.programs["bt"].startswith("libtorrent 2.")
    assert found.programs["web"] == ""
    assert pins.differences(found, pins.local(scenario())) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"swarmrace": "0.2.0 (commit 9)"}, "began with 0.1.0 (commit 123), found 0.2.0"),
        ({"definitions": "ff"}, "definitions: began with 0123456789, found ff"),
        ({"backend": "kubernetes"}, "backend: began with local, found kubernetes"),
        (
            {"programs": {"bt": "libtorrent 2.1.2"}},
            "entrant bt: began with libtorrent 2.1.1, found libtorrent 2.1.2",
        ),
    ],
)
def test_other_versions_are_refused_and_both_are_named(tmp_path, change, line):
    begin(tmp_path)
    found = state.read(tmp_path)
    with pytest.raises(SweepError) as caught:
        refuse_other_pins(tmp_path, found, PINS.model_copy(update=change))
    assert line in str(caught.value)
    refuse_other_pins(tmp_path, found, PINS)


def test_an_unknown_version_never_differs():
    unknown = PINS.model_copy(update={"programs": {"bt": ""}})
    assert pins.differences(PINS, unknown) == []
    assert pins.differences(unknown, PINS) == []


def test_a_programs_file_is_pinned_by_its_bytes(tmp_path):
    """A rebuilt node has the same version, but is another program."""
    from swarmrace.systems import load

    program = tmp_path / "codex"
    script = "#!/bin/sh\necho 'version: v0.2.5'; echo 'revision: bd360322'; echo '--data-dir'\n"
    program.write_text(script)
    program.chmod(0o755)
    spec = load("codex")
    options = spec.options(kind="codex", program=str(program))
    first = spec.identity.program(options)
    assert first.startswith("codex v0.2.5 (revision bd360322, sha256 ")
    program.write_text(script + "# built again\n")
    assert spec.identity.program(options) != first
    assert spec.identity.program(spec.options(kind="codex", program=str(tmp_path / "none"))) == ""


def test_cells_that_were_raced_with_several_versions_are_refused(tmp_path):
    begin(tmp_path)
    attempt(tmp_path, "2x1-1kB", versions={"bt": "2.1.1"})
    attempt(tmp_path, "2x1-2kB", versions={"bt": "2.1.1"})
    known: Versions = {}
    refuse_mixed_versions(state.read(tmp_path), known)
    attempt(tmp_path, "3x1-1kB", versions={"bt": "2.1.2"})
    for versions in (known, None):
        with pytest.raises(SweepError, match=r"found bt at 2\.1\.\d in cell .* and at 2\.1\.\d in"):
            refuse_mixed_versions(state.read(tmp_path), versions)


def test_each_attempts_versions_are_read_once(tmp_path, monkeypatch):
    """In a sweep of 39 cells, reading all of them again before each cell took seconds."""
    begin(tmp_path)
    loaded, load = [], results.load

    def count(folder, **options):
        loaded.append(folder)
        return load(folder, **options)

    monkeypatch.setattr(results, "load", count)
    known: Versions = {}
    for cell in ("2x1-1kB", "2x1-2kB", "3x1-1kB"):
        attempt(tmp_path, cell)
        refuse_mixed_versions(state.read(tmp_path), known)
    assert len(loaded) == 3
