"""What a word of a verdict means: `--explain WORD`."""

from __future__ import annotations

from swarmrace.definitions import DEFINITIONS
from swarmrace.faults import nearest
from swarmrace.verdict.registry import FIGURES


def explain(word: str) -> str:
    """Return the definitions and figures that a word names, or whose names it is in, one a line.

    Raises:
        KeyError: there is none; its argument says what was expected.
    """
    wanted = " ".join(word.lower().split())
    known: list[tuple[tuple[str, ...], str, str]] = [
        ((key,), key, text) for key, text in DEFINITIONS.items()
    ]
    known += [((name, each.label), each.label, each.text) for name, each in FIGURES.items()]
    found = [
        f"{label}: {text}"
        for names, label, text in known
        if wanted in (name.lower() for name in names)
    ]
    found = found or [
        f"{label}: {text}" for _, label, text in known if wanted and wanted in label.lower()
    ]
    if not found:
        words = [*DEFINITIONS, *FIGURES]
        raise KeyError(
            f"found {word!r}{nearest(word, words)}, expected one of {', '.join(DEFINITIONS)}; or a "
            "figure's name"
        )
    return "\n".join(found)
