"""The pytest plugin: a fixture whose checks assert, and at the end of the run what all of them found.

Every pytest run loads this wherever gradcheck is installed, so it imports pytest and the standard library and, before the
first check, nothing else. Findings travel as user properties of their test: they reach the process that prints, whichever
process ran the test.
"""

import argparse
import errno
import inspect
import json
import os
import tempfile
import textwrap
from collections import ChainMap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import gradcheck
from gradcheck.errors import GradientMismatch, OutputError
from gradcheck.foundation.validation import accuracy_of, seed_of
from gradcheck.foundation.wording import printable

if TYPE_CHECKING:
    from gradcheck.adapters.pytorch.suites import DropIn
    from gradcheck.report import Report

FORMAT = 1
PROPERTY, OPENING = "gradcheck", '{"verdict": '  # a property of this name that somebody else wrote is left alone
PASSING = frozenset({"correct", "inexact", "unsupported"})  # the last is of one build: the verdict rests on the others
ACCEPTABLE = ("nonsmooth", "unresolved", "inexact")
MARKER = "gradcheck(accept, reason): pass on these verdicts (nonsmooth, unresolved, inexact) too, and say why in the summary"
FOLDED = 30  # more correct checks than this, about a page of a terminal, are one line of the summary; not measured
COLOURS = {"correct": "green", "wrong": "red"}
LEGEND = "error: of the worst entry, in units of its bound; above 1 is beyond rounding"
INDENT = 12 * " "


RUNNING = pytest.StashKey[pytest.Item]()


class Check(NamedTuple):
    """One check of a test. ``error`` is text, for the summary: ``report`` is JSON, and has no infinity."""

    test: str
    verdict: str
    accepted: str | None
    error: str
    report: dict[str, Any]


def _asserting(name: str) -> Callable[..., "Report"]:
    """A method that does what the function of this name does, and asserts."""

    def method(self: "GradcheckFixture", *args: Any, **options: Any) -> "Report":
        __tracebackhide__ = True
        return _run(self.item, name, args, options)

    method.__doc__ = f"As `gradcheck.{name}`."
    return method


class GradcheckFixture:
    """Checks that assert. Each is called as the function that it is named after, and returns the report.

    ``seed`` and ``accuracy`` are those of the call, else of ``--gradcheck-seed`` and ``--gradcheck-accuracy``, else the
    function's own.

    Raises
    ------
    GradientMismatch
        With the whole report, unless the verdict is correct, inexact, or accepted by ``@pytest.mark.gradcheck``.
    """

    __call__ = _asserting("check")
    torch = _asserting("check_torch")
    jax = _asserting("check_jax")
    autograd = _asserting("check_autograd")
    scipy = _asserting("check_scipy")
    vjp = _asserting("check_vjp")
    jvp = _asserting("check_jvp")
    adjoint = _asserting("check_adjoint")
    hvp = _asserting("check_hvp")
    jacobian = _asserting("check_jacobian")
    objective = _asserting("check_objective")
    compare = _asserting("compare")
    verify = _asserting("verify")

    def __init__(self, item: pytest.Item) -> None:
        self.item = item


@pytest.fixture(name="gradcheck")
def gradcheck_fixture(request: pytest.FixtureRequest) -> GradcheckFixture:
    """Check gradients: `gradcheck(loss, ...)`, and .torch .jax .autograd .scipy .jacobian .objective .vjp .jvp .adjoint .hvp
    .compare .verify."""
    return GradcheckFixture(request.node)


def _run(item: pytest.Item, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> "Report":
    """Check, record, and only then assert: what fails is in the summary too."""
    __tracebackhide__ = True
    function = getattr(gradcheck, name)
    report = function(*args, **{**_defaults(function, item.config), **options})
    # Of each block too: the report's own verdict is the worst one, and accepting it does not accept what it hides.
    verdicts = {str(report.verdict), *(str(finding.verdict) for finding in report.findings)}
    reasons = _accepted(item)
    failing = sorted(verdicts - PASSING - reasons.keys())
    said = dict.fromkeys(reason for verdict, reason in reasons.items() if verdict in verdicts)
    item.user_properties.append((PROPERTY, _encoded(report, None if failing else "; ".join(said) or None)))
    if failing:
        _fail(report, failing if reasons else [])
    return report


def _defaults(function: Callable[..., Any], config: pytest.Config) -> dict[str, Any]:
    """What the command line gives, of what the function takes: the dot-product test has no accuracy."""
    given = {name: config.getoption(f"gradcheck_{name}") for name in ("seed", "accuracy")}
    takes = inspect.signature(function).parameters
    return {name: value for name, value in given.items() if value is not None and name in takes}


def _encoded(report: "Report", accepted: str | None) -> str:
    """One check as a line of ASCII, which is valid text for any transport and for XML."""
    measured = [finding.ratio for finding in report.findings if finding.error or finding.worst_index is not None]
    error = f"{max(measured):.2g}" if measured else "-"
    verdict = str(report.verdict)
    return json.dumps({"verdict": verdict, "accepted": accepted, "error": error, "report": json.loads(report.to_json())})


def _fail(report: "Report", unaccepted: list[str]) -> None:
    """As `Report.require`, whose own frame is not hidden: the last one shown is to be the user's line."""
    __tracebackhide__ = True
    try:
        report.require()
    except GradientMismatch as mismatch:
        if unaccepted:
            mismatch.add_note(f"not accepted by the marker of this test: {', '.join(unaccepted)}")
        raise mismatch.with_traceback(None) from None


def _accepted(item: pytest.Item) -> dict[str, str]:
    """Reasons by accepted verdict. Where two markers accept the same, the one nearest to the test speaks."""
    return dict(ChainMap(*(_read(mark, item.nodeid) for mark in item.iter_markers("gradcheck"))))


def _read(mark: pytest.Mark, test: str) -> dict[str, str]:
    accept: Any = mark.kwargs.get("accept", ())
    reason: Any = mark.kwargs.get("reason", "")
    names: tuple[Any, ...] = (accept,) if isinstance(accept, str) or not hasattr(accept, "__iter__") else tuple(accept)
    wrong = ""
    if mark.args or mark.kwargs.keys() - {"accept", "reason"}:
        wrong = "expected the arguments accept=... and reason=... and no other"
    elif not names or any(name not in ACCEPTABLE for name in names):
        wrong = f"accept: expected one or several of {', '.join(ACCEPTABLE)}, got {accept!r}"
    elif not isinstance(reason, str) or not reason.strip():
        wrong = f"reason: expected why this is accepted, in words, got {reason!r}"
    if wrong:
        pytest.fail(f"{test}: pytest.mark.gradcheck: {wrong}", pytrace=False)
    return dict.fromkeys(map(str, names), " ".join(reason.split()))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "gradient checks")
    seed = _parsed(lambda text: seed_of(int(text)), "int >= 0")
    accuracy = _parsed(lambda text: accuracy_of(float(text)), "a finite float >= 0")
    group.addoption("--gradcheck-seed", metavar="N", type=seed, help="seed of the checks that are given none")
    group.addoption("--gradcheck-accuracy", metavar="X", type=accuracy, help="accuracy of the checks that are given none")
    group.addoption("--gradcheck-report", metavar="PATH", help="write the reports of all checks as JSON")
    group.addoption(
        "--gradcheck-drop-in", action="store_true", help="ask gradcheck.check_torch for torch.autograd.gradcheck"
    )


def _parsed(read: Callable[[str], float], expected: str) -> Callable[[str], float]:
    def parsed(text: str) -> float:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}") from None

    return parsed


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if not hasattr(config, "workerinput"):  # set in the workers of pytest-xdist, which neither print nor write
        config.pluginmanager.register(Collector(_target(config)), "gradcheck-collector")
    if config.getoption("gradcheck_drop_in"):
        config.add_cleanup(_dropped_in(config).undo)


def pytest_runtest_setup(item: pytest.Item) -> None:
    _accepted(item)  # a wrong marker is an error even where nothing is checked
    item.config.stash[RUNNING] = item


def _dropped_in(config: pytest.Config) -> "DropIn":
    """In force from before the first test module is imported; what it finds is recorded with the test that asks."""

    def told(report: "Report") -> None:
        if item := config.stash.get(RUNNING, None):
            item.user_properties.append((PROPERTY, _encoded(report, None)))

    return gradcheck.drop_in(told=told, **_defaults(gradcheck.drop_in, config))


def _target(config: pytest.Config) -> Path | None:
    """Where the JSON goes. That nothing can be written there is known before the tests run."""
    given: str | None = config.getoption("gradcheck_report")
    if given is None or config.getoption("collectonly"):
        return None
    path = Path(given)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if path.is_file() or not path.exists():  # a pipe or a device needs no room beside it
            tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent).close()
    except OSError as error:
        raise pytest.UsageError(f"--gradcheck-report: {printable(given)}: cannot be written: {error.strerror}") from None
    return path


class Collector:
    """All checks of a run, in the one process that prints and writes."""

    def __init__(self, target: Path | None) -> None:
        self.checks: list[Check] = []
        self.target = target
        self.trouble = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Each phase repeats the properties of those before it: the last has every check once, those of fixtures too.
        for name, value in report.user_properties if report.when == "teardown" else ():
            if name == PROPERTY and str(value).startswith(OPENING):
                self.checks.append(Check(report.nodeid, **json.loads(str(value))))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.checks.sort(key=lambda check: check.test)  # stable, and the same however the tests were distributed
        if self.target is None:
            return
        from gradcheck.foundation.writing import write

        try:
            write(self.target, to_json(self.checks))
        except OutputError as error:
            self.trouble = str(error)
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
        if self.checks or self.trouble:
            terminalreporter.write_sep("=", "gradient checks")
        for line, colour in summary(self.checks, everything=config.get_verbosity() > 0):
            terminalreporter.write_line(line, **{colour: True})
        if self.trouble:
            terminalreporter.write_line(f"ERROR: --gradcheck-report: {printable(self.trouble)}", red=True)


def to_json(checks: list[Check]) -> str:
    """The file of ``--gradcheck-report``; infinite numbers are ``null``."""
    rows = [{"test": c.test, "verdict": c.verdict, "accepted": c.accepted, "report": c.report} for c in checks]
    return json.dumps({"format": FORMAT, "checks": rows}, indent=2) + "\n"


def summary(checks: list[Check], *, everything: bool) -> Iterator[tuple[str, str]]:
    """Lines and their markup: one for each check, but one for all correct ones where these are many."""
    correct = [check for check in checks if check.verdict == "correct"]
    fold = len(correct) > FOLDED and not everything
    shown = [check for check in checks if check.verdict != "correct"] if fold else checks
    if shown:
        yield f"{'verdict':<10}  {'blocks':>6}  {'error':>7}  {'evaluations':>11}  test", "bold"
    for check in shown:
        yield _row(check), COLOURS.get(check.verdict, "yellow")
        if check.accepted:
            accepted = f"accepted: {printable(check.accepted)}"
            for line in textwrap.wrap(accepted, 80, initial_indent=INDENT, subsequent_indent=INDENT):
                yield line, "light"
    if shown:
        yield LEGEND, "light"
    if fold:
        yield f"{len(correct)} {'more' if shown else 'checks'}: correct", "green"


def _row(check: Check) -> str:
    blocks = {finding["name"] for finding in check.report["findings"]} - {"loss"}  # the loss is no block of a gradient
    evaluations = check.report["evaluations"]
    return f"{check.verdict:<10}  {len(blocks):>6}  {check.error:>7}  {evaluations:>11}  {printable(check.test)}"
