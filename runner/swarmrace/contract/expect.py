"""How a check fails: with what the contract expects and what the system did."""

from __future__ import annotations

from typing import Any


class ContractError(AssertionError):
    """A system breaks the contract. An AssertionError, so that test runners show it as one."""


def expect(holds: object, what: str, found: Any = None) -> None:
    """Check one clause of the contract.

    Args:
        holds: whether it is kept.
        what: what is expected.
        found: what was found.

    Raises:
        ContractError: it is not kept.
    """
    if not holds:
        raise ContractError(f"expected {what}, found {found!r}")
