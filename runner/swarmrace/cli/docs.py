"""Writes the tables in docs/cli.md: `python -m swarmrace.cli.docs docs/cli.md`.

The text between `<!-- NAME -->` and `<!-- end -->` is written from the commands and the exit codes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from swarmrace.cli.main import main
from swarmrace.errors import Exit

IN_PODS = ("answers", "archive", "begin", "judge", "peer", "shape", "tracker")
"""Commands that only the pods of a race run; people run the others."""

EXIT_CODES: dict[Exit, str] = {
    Exit.OK: (
        "done; every acceptance of the scenario is met, or, without one, every transfer completed"
    ),
    Exit.UNEXPECTED: "an unexpected error, or `schema --write charts --check` found a difference",
    Exit.USAGE: "the command line is wrong, or a folder or file that it names doesn't exist",
    Exit.SCENARIO: (
        "the scenario is wrong: all faults are listed, and after them what this machine lacks"
    ),
    Exit.UNAVAILABLE: (
        "this machine can't run the scenario: a program, disk, memory or a network condition is "
        "missing, a rate is too low to be measured or for a transfer to end in time, or a program "
        "failed its trial before the first run (its last words are printed; `show` exits with 4 "
        "too, unless an acceptance decides)"
    ),
    Exit.ACCEPTANCE_MISSED: "an acceptance is missed",
    Exit.ACCEPTANCE_UNDECIDED: (
        "an acceptance is undecided: the interval crosses the bound, or there is none"
    ),
    Exit.RACE: (
        "the race ended without a usable result: no run counts, or every run of an entrant is "
        "missing"
    ),
    Exit.RESULTS: "a results folder can't be read, or was edited after its race",
    Exit.RENDEZVOUS: "the rendezvous can't be reached, or refused the request",
    Exit.TRANSFERS_FAILED: "transfers failed, and the scenario sets no acceptance",
    Exit.INFRASTRUCTURE: (
        "the infrastructure stopped the race: a disk that other programs filled, or that is "
        "read-only or broken; a results folder that was removed; no more descriptors, memory or "
        "processes; the loopback interface. What was raced before is kept, and the status in "
        "`race.json` is `stopped`. Also if no run counts, or an entrant has none, because the "
        "infrastructure ended each of them"
    ),
    Exit.OUTPUT: (
        "standard output can't be written, for example to a full disk; what was measured is kept, "
        "and the verdict is in the results folder"
    ),
    Exit.SWEEP_INCOMPLETE: "the sweep stopped at `--budget` or `--disk` before all cells were done",
    Exit.SWEEP_REFUSED: (
        "the sweep can't be resumed: it began with another scenario or other versions, or another "
        "driver runs it"
    ),
    Exit.CONTRACT_BROKEN: "a system breaks the contract (`system check`)",
    Exit.INTERRUPTED: (
        "interrupted; what was measured is kept. If nothing was measured (no transfer had ended, "
        "and no run had failed by itself), no folder is left"
    ),
    Exit.BROKEN_PIPE: "the reader of the output has gone (`\\| head`)",
}
"""What each exit code means, in Markdown."""


def commands() -> str:
    """Return the tables of all commands, those for people first."""
    lines = []
    for title, in_pods in (("", False), ("The pods of a race run these:", True)):
        lines += [title, ""] if title else []
        lines += ["| command | what it does |", "| --- | --- |"]
        for name, command in _all_commands(main):
            if (name in IN_PODS) == in_pods:
                lines.append(f"| `{_usage(name, command)}` | {_help(command)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def options() -> str:
    """Return the options of all commands, a list for each."""
    lines = []
    for name, command in _all_commands(main):
        found = list(_options(command))
        if found:
            lines += [f"### `swarmrace {name}`", "", *found, ""]
    return "\n".join(lines).rstrip() + "\n"


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [f"| {int(code)} | {EXIT_CODES[code]} |" for code in Exit]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows]) + "\n"


SECTIONS = {"commands": commands, "options": options, "exit codes": exit_codes}
_MARKED = re.compile(r"(<!-- ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str) -> str:
    """Return docs/cli.md with every marked section written again."""

    def section(found: re.Match[str]) -> str:
        return f"{found[1]}\n{SECTIONS[found[2]]()}\n{found[3]}"

    return _MARKED.sub(section, page)


def _all_commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the names and commands of a group, those of its groups in place of the groups."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _all_commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _usage(name: str, command: click.Command) -> str:
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    shown = [(each.metavar or (each.name or "").upper()).strip("[]") for each in arguments]
    return " ".join([name, *shown])


def _help(command: click.Command) -> str:
    return _escaped(" ".join((command.help or "").split()))


def _options(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            names, text = record
            yield f"- `{names}`: {_escaped(' '.join(text.split()))}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(render(file.read_text(encoding="utf-8")), encoding="utf-8")
