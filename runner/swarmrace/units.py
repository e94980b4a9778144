"""Sizes and rates with units: kB/MB/GB are powers of 1000, KiB/MiB/GiB of 1024, everywhere.

Sizes are bytes (`100MB`, `100MiB`, a bare number; `100Mi`, as Kubernetes writes it). Rates are bits
per second when the unit says `bit` (`100Mbit`) and bytes per second when it says `B` (`12.5MB`);
both parse to **bytes per second**. The grammar is deliberately small, because the Helm library
chart parses it too: up to 16 digits, an optional decimal fraction of up to 6 digits, an optional
unit. Units are case-sensitive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema

from swarmrace.model import in_yaml

_SCALE = {
    "": 1,
    "k": 1000,
    "M": 1000**2,
    "G": 1000**3,
    "T": 1000**4,
    "Ki": 1024,
    "Mi": 1024**2,
    "Gi": 1024**3,
    "Ti": 1024**4,
}
_NUMBER = r"([0-9]{1,16}(?:\.[0-9]{1,6})?)"
_SIZE = re.compile(_NUMBER + r" ?(?:([kMGT]|[KMGT]i)?B|([KMGT]i))?")
_RATE = re.compile(_NUMBER + r" ?(?:([kMGT]|[KMGT]i)?(B|bit)(?:/s)?)?")

SIZE_PATTERN = f"^{_SIZE.pattern}$"
RATE_PATTERN = f"^{_RATE.pattern}$"

MAX_EXACT = 2**53 - 1
"""The largest size, rate or seed: JSON numbers, and so Helm's, are exact up to here."""


def parse_size(value: object) -> int:
    """Return `value` in bytes.

    Args:
        value: an int (bytes) or a string such as `100MB`, `1.5GiB`, `512`.

    Raises:
        ValueError: not a size, negative, or not a whole number of bytes.
    """
    return _parse(value, _SIZE, "a size such as 100MB (10^8 bytes), 100MiB or a number of bytes")


def parse_rate(value: object) -> int:
    """Return `value` in bytes per second; `100Mbit` is 12,500,000.

    Raises:
        ValueError: not a rate, negative, or not a whole number of bytes per second.
    """
    return _parse(value, _RATE, "a rate such as 100Mbit, 12.5MB or a number of bytes per second")


def _parse(value: object, pattern: re.Pattern[str], expected: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # YAML and JSON write 1e8 and 100000000.0 for whole numbers
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"found {value}, expected {expected}; it can't be negative")
        return value
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        suggestion = _suggestion(value, pattern) if isinstance(value, str) else ""
        hint = f" (did you mean {suggestion}?)" if suggestion else ""
        raise ValueError(f"found {in_yaml(value)}, expected {expected}{hint}")
    number, scale, last = match.groups()
    kubernetes = last if last in _SCALE else None
    amount = Decimal(number) * _SCALE[scale or kubernetes or ""]
    if last == "bit":
        amount /= 8
    if amount != amount.to_integral_value():
        raise ValueError(f"found {value!r}, expected a whole number of bytes")
    return int(amount)


_WORDS = {"kilo": "k", "mega": "M", "giga": "G", "tera": "T"}
_WORDS |= {"kibi": "Ki", "mebi": "Mi", "gibi": "Gi", "tebi": "Ti"}
_PREFIXES = {scale.lower(): scale for scale in _SCALE} | _WORDS
_MISSPELT = re.compile(
    r"\s*\+?(?P<number>[0-9]+(?:[.,][0-9]+)?)\s*"
    rf"(?P<prefix>{'|'.join(sorted(filter(None, _PREFIXES), key=len, reverse=True))})?"
    r"(?P<last>bytes?|bits?|b|o)?(?P<second>\s*(?:/\s*s(?:ec(?:ond)?)?|ps|per\s+second))?\s*",
    re.IGNORECASE,
)


def _suggestion(text: str, pattern: re.Pattern[str]) -> str:
    """Return the spelling that `pattern` accepts for a misspelt size or rate (`10mb`, `1 KB`,
    `5 Mbps`, `1,5 MB`): one, two if it is ambiguous, or an empty string."""
    found = _MISSPELT.fullmatch(text)
    if found is None:
        return ""
    number, prefix, last = found["number"], found["prefix"] or "", found["last"] or ""
    _, comma, fraction = number.partition(",")
    if comma and len(fraction) == 3:
        return ""  # 1,500 is fifteen hundred to some readers, and one and a half to others
    scale, kind = _PREFIXES[prefix.lower()], last.lower().rstrip("s")
    if kind == "bit" or (last == "b" and found["second"] and "p" in found["second"].lower()):
        lasts = ["bit"]
    elif kind in ("byte", "o") or last == "B":
        lasts = ["B"]
    elif last:  # `Mb` is a megabit by convention, but many write it for a megabyte
        lasts = ["B", "bit"] if prefix[:1].isupper() else ["B"]
    else:
        lasts = ["B", "bit"] if scale else [""]
    if scale.endswith("i") and not last:
        lasts = ["", *lasts]
    spellings = [f"{number.replace(',', '.')}{scale}{each}" for each in lasts]
    spellings = [each for each in spellings if pattern.fullmatch(each)]
    return " or ".join(spellings[:1] if scale.endswith("i") and not last else spellings)


def format_link_rate(bytes_per_second: float) -> str:
    """Return a link's rate, human-readable, in bits and in bytes: `20 Mbit/s (2.5 MB/s)`."""
    bits = format_size(bytes_per_second * 8).replace("B", "bit")
    return f"{bits}/s ({format_rate(bytes_per_second)})"


def format_size(size_bytes: float) -> str:
    """Return a size, human-readable, decimal units, three significant digits: `1.05 GB`."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size_bytes) >= scale * 0.9995:
            amount = size_bytes / scale
            return f"{amount:.0f} {unit}" if abs(amount) >= 999.5 else f"{amount:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def format_rate(bytes_per_second: float) -> str:
    """Return a rate, human-readable: `125 MB/s`."""
    return f"{format_size(bytes_per_second)}/s"


def format_seconds(seconds: float) -> str:
    """Return a duration, in three significant digits: `4.2 ms`, `1.25 s`, `3 min 5 s`."""
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    if abs(seconds) >= 0.9995:
        return f"{seconds:.3g} s"
    if abs(seconds) >= 0.0009995:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def canonical_size(size_bytes: int) -> str:
    """Return the shortest exact spelling of a size: `100MB`, `256KiB`, `1025`."""
    if size_bytes == 0:
        return "0"
    for unit in ("Ti", "T", "Gi", "G", "Mi", "M", "Ki", "k"):
        if size_bytes % _SCALE[unit] == 0:
            return f"{size_bytes // _SCALE[unit]}{unit}B"
    return str(size_bytes)


@dataclass(frozen=True)
class Spelled:
    """In JSON Schema: a number within the type's bounds, or a string that matches a pattern.

    A pattern can't check the bounds of a string's value; only the model does.
    """

    pattern: str
    description: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number = {_BOUNDS.get(key, key): value for key, value in handler(core_schema).items()}
        return {
            "anyOf": [number, {"type": "string", "pattern": self.pattern}],
            "description": self.description,
        }


_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""JSON Schema's names for the bounds that pydantic leaves in its own words behind a validator."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0, le=MAX_EXACT),
    PlainSerializer(lambda v: v, return_type=int),
    Spelled(SIZE_PATTERN, "bytes, or 100MB (10^8), 100MiB or 100Mi (104,857,600)"),
]
"""A size in bytes; input may carry a unit."""

Rate = Annotated[
    int,
    BeforeValidator(parse_rate),
    Field(gt=0, le=MAX_EXACT),
    PlainSerializer(lambda v: v, return_type=int),
    Spelled(RATE_PATTERN, "bytes per second, or 100Mbit, 12.5MB"),
]
"""A rate in bytes per second; input may carry a unit."""
