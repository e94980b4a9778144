"""`swarmrace system check` prints every clause; its exit code shows whether all are kept."""

from __future__ import annotations

import sys

import pytest

from paths import ROOT
from swarmrace.contract.checks import CHECKS
from swarmrace.errors import Exit

COPY = [sys.executable, str(ROOT / "examples/systems/tcp_copy.py")]
UGLY = [sys.executable, str(ROOT / "tests/support/ugly_program.py")]


def check(run_cli, *arguments):
    result = run_cli("system", "check", *arguments)
    return result.exit_code, result.output.splitlines()


def test_a_program_that_keeps_the_contract(run_cli):
    code, lines = check(run_cli, "--set", "inOrder=true", "--content", "unnamed", *COPY)
    assert code == Exit.OK
    assert lines == [
        *(f"ok       {each.name}" for each in CHECKS),
        f"{len(CHECKS)} of {len(CHECKS)} clauses kept",
    ]


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("wrong bytes", "expected the payload's SHA-256"),
        ("keeps quiet", "expected arrival of every byte"),
        ("dies", "node died: fetch:"),
        ("rubbish", "refused: fetch: found the line 'Downloading 50%': not JSON"),
        ("changes the payload", "wrong bytes: expected"),
    ],
)
def test_a_program_that_breaks_the_contract_is_found(run_cli, habit, reason):
    code, lines = check(run_cli, "--only", "moves a file of odd size", "--", *UGLY, habit)
    assert code == Exit.CONTRACT_BROKEN == 15
    assert lines[0].startswith("BROKEN   a swarm moves a file of odd size: ")
    assert reason in lines[0]
    assert lines[1] == "0 of 1 clauses kept"


def test_words_after_the_command_are_the_programs(run_cli):
    code, lines = check(run_cli, "--only", "specification", "python3", "x.py", "--set", "-h")
    assert (code, len(lines)) == (Exit.OK, 2)


def test_an_installed_kind(run_cli):
    code, lines = check(run_cli, "--kind", "http", "--only", "single byte")
    assert (code, lines) == (0, ["ok       a swarm moves a single byte", "1 of 1 clauses kept"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), Exit.USAGE, "expected either a COMMAND or --kind, found neither"),
        (("--kind", "http", "python3"), Exit.USAGE, "either a COMMAND or --kind, found both"),
        (("--only", "nonsense", "python3"), Exit.USAGE, "expected part of a clause's name"),
        (("--set", "inOrder", "python3"), Exit.USAGE, "found 'inOrder', expected KEY=VALUE"),
        (("--set", "inOrder=[", "python3"), Exit.USAGE, "--set"),
        (("--set", "inOrdr=true", "x"), Exit.SCENARIO, "inOrdr: unknown key (did you mean"),
        (("--set", "observes=some", "x"), Exit.SCENARIO, "expected 'arrived', 'progress' or"),
        (
            ("--set", "inOrder=true", "--set", "observes=progress", "x"),
            Exit.SCENARIO,
            "inOrder: found true with observes: progress, expected observes: arrived",
        ),
        (("--kind", "gnutella"), Exit.SCENARIO, "kind: found 'gnutella', expected one of"),
    ],
)
def test_wrong_arguments_are_refused(run_cli, arguments, code, message):
    found, lines = check(run_cli, *arguments)
    assert found == code
    assert message in " ".join(" ".join(lines).split())
