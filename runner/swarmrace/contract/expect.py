"""How a check fails: with what the contract expects and what was found."""

from __future__ import annotations

from typing import Any


class ContractError(AssertionError):
    """A system breaks the contract. An AssertionError, so that test runners report a failure."""


def expect(holds: object, what: str, found: Any = None) -> None:
    """Check one clause of the contract.

    Args:
        holds: whether the clause is met.
        what: what is expected.
        found: what was found.

    Raises:
        ContractError: the clause isn't met.
    """
    if not holds:
        raise ContractError(f"expected {what}, found {found!r}")
