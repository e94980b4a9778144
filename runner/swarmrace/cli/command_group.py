"""The group of all commands: turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import os
import select
import sys
import traceback
from typing import Any

import click

from swarmrace.errors import Exit, OutputError, SwarmraceError
from swarmrace.host import infrastructure, output

MACHINE_ERRORS = frozenset(
    {
        *infrastructure.FULL,
        *infrastructure.BROKEN,
        *infrastructure.SCARCE,
        *(errno.EACCES, errno.EPERM),
        *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
    }
)
"""Error numbers with which the machine refuses something: never a bug of swarmrace."""


class Commands(click.Group):
    """Turns errors into one line and an exit code. A traceback appears only with --debug."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line; also handle output errors of `--help`."""
        output.prepare()
        try:
            context = super().make_context(*args, **kwargs)  # this prints --help
            sys.stdout.flush()
            return context
        except OutputError as error:
            click.echo(f"swarmrace: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from None
        except BrokenPipeError:
            if _is_reader_gone():
                raise click.exceptions.Exit(Exit.BROKEN_PIPE) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and exit with the code of its error, if any."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except SwarmraceError as error:
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            click.echo(f"swarmrace: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("swarmrace: interrupted", err=True)
            ctx.exit(Exit.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_reader_gone():
                ctx.exit(Exit.BROKEN_PIPE)
            if ctx.params.get("debug"):
                traceback.print_exception(error)
            if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
                where = f"{output.printable(str(error.filename))}: " if error.filename else ""
                click.echo(f"swarmrace: {where}{error.strerror}", err=True)
                ctx.exit(Exit.UNAVAILABLE)
            click.echo(
                f"swarmrace: {type(error).__name__}: {error} (this is a bug: please report it with "
                "the output of --debug)",
                err=True,
            )
            ctx.exit(Exit.UNEXPECTED)


def _is_reader_gone() -> bool:
    """Return whether the reader of standard output closed it (`| head`); if so, discard output."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    is_closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if is_closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return is_closed
