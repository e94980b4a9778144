"""Explain a word of a verdict: `--explain WORD`."""

from __future__ import annotations

from swarmrace.definitions import DEFINITIONS
from swarmrace.faults import nearest
from swarmrace.verdict.registry import FIGURES


def explain(word: str) -> str:
    """Return the definitions and figures whose name is `word`, otherwise those whose label contains
    it, one per line.

    Raises:
        KeyError: there are none; its argument is the message.
    """
    name = " ".join(word.lower().split())
    known: list[tuple[tuple[str, ...], str, str]] = [
        ((key,), key, text) for key, text in DEFINITIONS.items()
    ]
    known += [((name, each.label), each.label, each.text) for name, each in FIGURES.items()]
    found = [
        f"{label}: {text}"
        for names, label, text in known
        if name in (each.lower() for each in names)
    ]
    found = found or [
        f"{label}: {text}" for _, label, text in known if name and name in label.lower()
    ]
    if not found:
        words = [*DEFINITIONS, *FIGURES]
        raise KeyError(
            f"found {word!r}{nearest(word, words)}, expected one of {', '.join(DEFINITIONS)}, or a "
            "figure's name"
        )
    return "\n".join(found)
