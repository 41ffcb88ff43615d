"""Where results go: the terminal, files, standard output; and the exit code that they deserve."""

import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TextIO

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text

from gradcheck.cli.app import Exit
from gradcheck.cli.typed import typed
from gradcheck.errors import OutputError
from gradcheck.foundation.wording import printable
from gradcheck.foundation.writing import write
from gradcheck.report import Report
from gradcheck.report.text import WIDTH, render
from gradcheck.verdict.findings import Verdict


def deliver(report: Report, json: Path | None, html: Path | None, reproduce: Path | None, fail_on: Iterable[str]) -> Exit:
    """Write the report where it is wanted, and return the exit code that it deserves."""
    report = msgspec.structs.replace(report, title=typed.text(report.title))
    show(render(report), for_people(json, html))
    write_out(json, lambda: report.to_json() + "\n")
    write_out(html, report.to_html)
    if reproduce is not None:
        report.reproducer(reproduce)
    return exit_code({finding.verdict for finding in report.findings} | {report.verdict}, fail_on)


def for_people(*paths: Path | None) -> TextIO:
    """The stream of a terminal to which nothing for machines is written."""
    return sys.stderr if "-" in map(str, paths) else sys.stdout


def write_out(path: Path | None, text: Callable[[], str]) -> None:
    """To a file, or to standard output where that is asked for; nothing is made where nothing is."""
    if path is None:
        return
    if str(path) != "-":
        write(path, text())
        return
    with _writing(sys.stdout):
        sys.stdout.write(text())


def show(what: RenderableType, stream: TextIO) -> None:
    """Render for the stream: in colour and as wide as it is for a terminal, plain and 110 columns wide elsewhere.

    A string is a line that may hold names of somebody else's: nothing in it is markup, and it stays one line.
    """
    console = Console(file=stream, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    with _writing(stream):
        with console.capture() as captured:
            console.print(Text(printable(typed.text(what))) if isinstance(what, str) else what)
        encoding = console.encoding
        stream.write(captured.get().encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def aside() -> Generator[None]:
    """Around code of somebody else's: what it prints goes to standard error, and what it does to the streams is undone.

    So is what it does to where modules are found: the report needs some more.
    """
    path, streams = sys.path[:], [(1, sys.stdout), (2, sys.stderr)]
    kept = [(descriptor, os.dup(descriptor)) for descriptor, _ in streams]
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = path
        for descriptor, copy in kept:
            with suppress(OSError):  # it may have closed the copy as well
                os.dup2(copy, descriptor)
                os.close(copy)
        sys.stdout, sys.stderr = (_open(stream, descriptor) for descriptor, stream in streams)


def _open(stream: TextIO, descriptor: int) -> TextIO:
    return open(descriptor, "w", closefd=False) if stream.closed else stream


@contextmanager
def _writing(stream: TextIO) -> Generator[None]:
    """Write at once, so that a full disk is an error here; that the reader of a pipe has gone is none."""
    try:
        yield
        stream.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is buffered still goes somewhere
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"{stream.name}: cannot be written: {error.strerror}") from None


def exit_code(verdicts: set[Verdict], fail_on: Iterable[str]) -> Exit:
    """1 for wrong or what is asked to fail, 3 for what could not be decided, else 0."""
    if verdicts & {Verdict.WRONG, *fail_on}:
        return Exit.WRONG
    return Exit.UNDECIDED if verdicts & {Verdict.UNRESOLVED, Verdict.NONSMOOTH} else Exit.GOOD
