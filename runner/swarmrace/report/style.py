"""Colours and fonts of the report, light and dark.

Each entrant has a hue. Ratios go from blue over grey to orange, which is also clear to people who
can't distinguish red from green. Text has a contrast of at least 4.5 to its background.
"""

from __future__ import annotations

_LIGHT = {
    "surface": "#ffffff",
    "raised": "#f6f7f9",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "grid": "#e1e5ea",
    "rule": "#c9d0d8",
    "accent": "#1d5fa8",
    "good": "#11703c",
    "bad": "#b3261e",
    "open": "#7a5b00",
    "hatch": "rgba(20,30,40,.17)",
    "ref": "#6b7280",
    "e0": "#6a45d1",
    "e1": "#0a7a74",
    "e2": "#c0450f",
    "e3": "#1c6cb5",
    "e4": "#a21caf",
    "e5": "#4d7c0f",
    "s0": "#8a94a2",
    "s1": "#bda9ee",
    "s2": "#a3cbee",
    "s3": "#5a9bd3",
    "s4": "#22629f",
    "s5": "#b7c6a4",
}
_DARK = {
    "surface": "#15181c",
    "raised": "#1d2126",
    "ink": "#e7eaee",
    "muted": "#a0aab5",
    "grid": "#2b3138",
    "rule": "#414952",
    "accent": "#7ab8f5",
    "good": "#5fd08c",
    "bad": "#ff8a80",
    "open": "#e3b341",
    "hatch": "rgba(255,255,255,.2)",
    "ref": "#9aa3ae",
    "e0": "#a993ff",
    "e1": "#3fd0c2",
    "e2": "#ff9a5c",
    "e3": "#6db3f8",
    "e4": "#ea8bf5",
    "e5": "#a8d65a",
    "s0": "#77818d",
    "s1": "#9d86da",
    "s2": "#7fb2de",
    "s3": "#4486c2",
    "s4": "#2a5f96",
    "s5": "#8fa27a",
}
_HEAT_LIGHT = {
    -4: ("#2166ac", "#ffffff"),
    -3: ("#6aa6d8", "#10151a"),
    -2: ("#a9cdea", "#10151a"),
    -1: ("#dbe9f5", "#10151a"),
    0: ("#eff1f3", "#10151a"),
    1: ("#fbe7d5", "#10151a"),
    2: ("#f7c596", "#10151a"),
    3: ("#e9964f", "#10151a"),
    4: ("#a34f05", "#ffffff"),
}
_HEAT_DARK = {
    -4: ("#79b7f3", "#0b1015"),
    -3: ("#2f6cab", "#ffffff"),
    -2: ("#25496c", "#f0f3f6"),
    -1: ("#213447", "#e7eaee"),
    0: ("#282d33", "#e7eaee"),
    1: ("#40301f", "#f0ebe6"),
    2: ("#64431f", "#f7f0e8"),
    3: ("#94570f", "#ffffff"),
    4: ("#f0a14d", "#15100a"),
}
LEVELS = tuple(_HEAT_LIGHT)


def level_class(level: int) -> str:
    """Return the class of a square's level, -4 to 4."""
    return f"h{level + 4}"


def _variables(colours: dict[str, str], heat: dict[int, tuple[str, str]]) -> str:
    found = [f"--{name}:{value}" for name, value in colours.items()]
    for level, (back, ink) in heat.items():
        found += [f"--h{level + 4}:{back}", f"--i{level + 4}:{ink}"]
    return ";".join(found)


LIGHT = _variables(_LIGHT, _HEAT_LIGHT)
DARK = _variables(_DARK, _HEAT_DARK)

_HEAT_RULES = "".join(
    f".h{i}{{fill:var(--h{i})}}.i{i}{{fill:var(--i{i})}}" for i in range(len(LEVELS))
)
_ENTRANT_RULES = (
    "".join(f".l{i}{{stroke:var(--e{i})}}.d{i}{{fill:var(--e{i})}}" for i in range(6))
    + ".lr{stroke:var(--ref)}.dr{fill:var(--ref)}"
)
_SEGMENT_RULES = "".join(f".s{i}{{fill:var(--s{i})}}" for i in range(6))

FIGURE_RULES = (
    ".fig text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "fill:var(--ink)}"
    ".fig .m{fill:var(--muted);font-size:10px}.fig .b{font-weight:650}"
    ".fig .h{font-size:12.5px;font-weight:650}.fig .q{font-size:13px;font-weight:650}"
    ".fig .n{font-size:9.5px}"
    ".fig .g{stroke:var(--grid);stroke-width:1;fill:none}"
    ".fig .a{stroke:var(--rule);stroke-width:1;fill:none}"
    ".fig .c{fill:none;stroke-width:1.8;stroke-linejoin:round}"
    ".fig .w{fill:none;stroke-width:1;stroke-opacity:.55;stroke-linejoin:round}"
    ".fig .x{fill:none;stroke-width:1.6}"
    ".fig .u{fill:none;stroke:var(--muted);stroke-width:1.4;stroke-dasharray:2 3}"
    ".fig .k{stroke-dasharray:5 3}"
    ".fig .o{fill-opacity:.55}"
    ".fig .e{fill:none;stroke:var(--rule);stroke-dasharray:3 3}"
    ".fig .z{fill:none;stroke:var(--surface);stroke-width:1}"
    ".fig .y{stroke:var(--hatch);stroke-width:2}"
    ".fig .v{fill:var(--surface)}"
    ".fig a:focus-visible rect{stroke:var(--accent);stroke-width:3}"
    + _HEAT_RULES.replace(".i", ".fig .i").replace(".h", ".fig .h")
    + _ENTRANT_RULES.replace(".l", ".fig .l").replace(".d", ".fig .d")
    + _SEGMENT_RULES.replace(".s", ".fig .s")
)
"""Rules for the shapes of every figure."""

FIGURE_STYLE = (
    f"svg{{{LIGHT}}}@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}"
    "svg{background:var(--surface)}" + FIGURE_RULES
)
"""Style of a figure in its own file."""
