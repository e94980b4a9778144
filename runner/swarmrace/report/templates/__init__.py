"""The report's templates (Jinja2)."""

from __future__ import annotations

from typing import Any

from swarmrace.errors import UnavailableError

EXTRA = 'pip install "swarmrace[report]"'


def environment(*, html: bool) -> Any:
    """Return the Jinja2 environment of the templates; for HTML it escapes every text.

    Raises:
        UnavailableError: Jinja2 isn't installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise UnavailableError(
            f"a report needs Jinja2, which isn't installed here: {EXTRA}"
        ) from error
    return Environment(
        loader=PackageLoader("swarmrace.report", "templates"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
