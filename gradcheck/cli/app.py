"""The application: its exit codes, and every failure as one line."""

import math
import os
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum, StrEnum
from errno import EBADF, EIO, ENOSPC, EPIPE
from importlib import import_module

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from gradcheck.cli.commands import COMMANDS
from gradcheck.cli.typed import typed
from gradcheck.errors import GradcheckError, Interrupted
from gradcheck.foundation.calling import raised
from gradcheck.foundation.wording import printable


class Exit(IntEnum):
    """Exit codes."""

    GOOD = 0
    WRONG = 1
    USAGE = 2
    UNDECIDED = 3
    INTERNAL = 4
    INTERRUPTED = 130


class FailOn(StrEnum):
    """Verdicts that can be made to count as failure."""

    INEXACT = "inexact"
    UNRESOLVED = "unresolved"
    NONSMOOTH = "nonsmooth"
    UNSUPPORTED = "unsupported"


def not_negative(value: float) -> float:
    """For options; raises `BadParameter` where the value is negative, infinite or no number."""
    if not 0 <= value < math.inf:
        raise typer.BadParameter(f"expected a finite number >= 0, got {value}")
    return value


def positive(value: float | None) -> float | None:
    """For options, left out ones included; raises as `not_negative`."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"expected a finite number > 0, got {value}")
    return value


app = typer.Typer(
    help="Verify gradients without a tolerance.", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def _named_in_help() -> None:
    """In place of a command until its module is imported, which enters the command under the same name."""
    # Nothing that was not verified may look like a success.
    raise NotImplementedError("the module of this command was not imported")


for name, row in COMMANDS.items():
    app.command(name, help=row.help)(_named_in_help)


def main() -> None:
    """The command line in this very process: `gradcheck.cli.main` has another wait for it."""
    sys.exit(run())


def run() -> int:
    """Turn whatever happens into one line and an exit code."""
    try:
        typed.begin(os.getcwd())
    except OSError:
        return _fail("the working folder is gone: change to one that is there", Exit.USAGE)
    try:
        _import_command(sys.argv[1:])
        return _invoked(sys.argv[1:])
    except Interrupted as stopped:
        _say(str(stopped))
        return _fail("interrupted", Exit.INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted", Exit.INTERRUPTED)
    except GradcheckError as error:
        return _fail(str(error), Exit.USAGE)
    except MemoryError as error:
        return _fail(f"out of memory: {error}", Exit.USAGE)
    except TyperException as error:
        # format_message names the option; not every exception of typer's has it.
        return _fail(getattr(error, "format_message", error.__str__)(), Exit.USAGE)
    except Exception as error:
        if _unheard(error):
            is_gone = isinstance(error, BrokenPipeError)
            return Exit.GOOD if is_gone else _fail(f"<stdout>: cannot be written: {error}", Exit.USAGE)
        _say(traceback.format_exc())
        return _fail(f"internal error, please report it with the lines above: {error!r}", Exit.INTERNAL)
    except BaseException as error:  # of a library of tests: nobody runs any here
        return _fail(raised(error), Exit.USAGE)


def _invoked(words: list[str]) -> int:
    """The exit code of a command. Typer's own way to run one would end the process on an interrupt or the end of a file."""
    command = get_command(app)
    try:
        with command.make_context("gradcheck", words) as context:
            return int(command.invoke(context) or Exit.GOOD)
    except typer.Exit as done:
        return done.exit_code


def _import_command(words: Iterable[str]) -> None:
    """The one that is asked for, by the first word that is no option: none of the application's options has a value."""
    asked = next((word for word in words if not word.startswith("-")), "")
    if asked in COMMANDS:
        import_module(f"gradcheck.cli.{COMMANDS[asked].module}")


def _fail(sentence: str, code: Exit) -> Exit:
    _say(f"gradcheck: {typed.text(' '.join(sentence.split()))}")
    return code


def _unheard(error: Exception) -> bool:
    """Whether it is that of a stream to which Typer has written ``--help``: one that is about a file has its name."""
    return isinstance(error, OSError) and error.filename is None and error.errno in (EPIPE, ENOSPC, EIO, EBADF)


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # where nobody can hear it, the exit code still tells
        for line in text.splitlines():
            print(printable(line), file=sys.stderr, flush=True)
