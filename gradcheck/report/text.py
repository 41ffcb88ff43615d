"""A report for people, as a rich table."""

import io
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gradcheck.verdict.causes import Diagnosis
from gradcheck.verdict.findings import Finding, Verdict

if TYPE_CHECKING:
    from gradcheck.report.report import Report

STYLES = {
    Verdict.CORRECT: "green",
    Verdict.INEXACT: "yellow",
    Verdict.WRONG: "bold red",
    Verdict.UNRESOLVED: "magenta",
    Verdict.NONSMOOTH: "cyan",
}
LEGEND = (
    "error: of the worst entry, in units of its bound (above 1 is beyond rounding); "
    "resolution: the smallest relative error of one entry that this check would have flagged"
)
WIDTH = 110
CAUSES = {
    "sign": "the sign is wrong",
    "missing-mean": "larger by exactly n = {n}: the loss is a mean, this gradient is a sum",
    "extra-mean": "smaller by exactly n = {n}: the loss is a sum, this gradient is a mean",
    "factor": "off by the constant factor {factor:.10g}",
    "zero": "the gradient is zero everywhere, and should not be",
    "transposed": "the gradient is transposed",
    "permuted": "the entries are right and in the wrong places: {how}",
    "regularisation": "off by {multiple:.10g} times the parameters: a penalty that is not in the loss, or lacks in it",
    "low-precision": "rounded to {format}",
    "clipped": "clipped at {limit:.10g}: {entries} entries stop there, the others are right",
    "single-entry": "one entry is wrong, at {index}: {reference:.17g} there explains everything",
    "stops-below": "the backward pass stops below {above}: zero from there down, right above",
    "kink-convention": "no derivative here: any slope between {slopes[0]:.6g} and {slopes[1]:.6g} is a convention",
    "constants": "correct to {error:.1e}: a rounded constant, differences or a solver inside would be that far off",
    "nondeterministic": "two calls at one point give two answers: seed what is random",
    "mutates-input": "the call changes its argument",
    "non-finite": "not a finite number",
    "wrong-structure": "it has not the form of the point",
}


def render(report: "Report") -> RenderableType:
    """The whole report: a table, the worst entries of what is wrong, notes, and the verdict."""
    verdict = Text.assemble("verdict: ", (str(report.verdict), STYLES[report.verdict]))
    verdict.append(f"   ({report.evaluations} loss evaluations without backpropagation)", style="dim")
    entries = [Text(line) for line in _details(report)]
    causes = [Text(f"{each.name}: {_sentence(each)}", style="bold") for each in report.diagnoses]
    notes = [Text(f"note: {note}") for note in report.notes]
    return Group(
        Text(report.title, style="bold"), _table(report), Text(LEGEND, style="dim"), *entries, *causes, *notes, verdict
    )


def to_text(report: "Report") -> str:
    """The report as plain text, 110 columns wide."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False)
    console.print(render(report))
    text = console.file
    assert isinstance(text, io.StringIO)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _table(report: "Report") -> Table:
    table = Table()
    for column in ("parameter", "backend"):
        table.add_column(column, no_wrap=True)
    for column in ("error", "resolution"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    with_reason = any(finding.reason for finding in report.findings)
    if with_reason:
        table.add_column("why")
    before = ""
    for finding in report.findings:
        if finding.name != before and before:
            table.add_section()
        table.add_row(*_row(finding, finding.name if finding.name != before else "", with_reason), style=_style(finding))
        before = finding.name
    return table


def _row(finding: Finding, name: str, with_reason: bool) -> list[str | Text]:
    verdict = Text(str(finding.verdict), style=STYLES[finding.verdict])
    error, resolution = f"{finding.ratio:.2g}", f"{finding.resolution:.1e}"
    if finding.resolution == float("inf") and not finding.error:  # nothing was compared
        error = resolution = "-"
    row = [escape(name), escape(finding.backend), error, resolution, verdict]
    return [*row, escape(finding.reason)] if with_reason else row


def _style(finding: Finding) -> str:
    return "red" if finding.verdict is Verdict.WRONG else ""


def _details(report: "Report") -> list[str]:
    """The worst entries of what is wrong, and the slopes beside a kink: once for backends that have them in common."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for finding in report.findings:
        lines = _detail(finding)
        if lines:
            groups.setdefault((finding.name, lines), []).append(finding.backend)
    return [line for (name, lines), backends in groups.items() for line in (f"{name} of {', '.join(backends)}:", *lines)]


def _detail(finding: Finding) -> tuple[str, ...]:
    lines = [
        f"  {_text(entry.index)}claimed {entry.claimed: .17g}  reference {entry.reference: .17g}  "
        f"off by {abs(entry.claimed - entry.reference):.2e}, bound {entry.bound:.2e}"
        for entry in finding.entries[:3]
    ]
    if finding.slopes and finding.worst_index is not None:
        left, right = (slope + 0.0 for slope in finding.slopes)  # no minus zero
        lines.append(f"  {_text(finding.worst_index)}slope {left:.6g} to the left, {right:.6g} to the right")
    return tuple(lines)


def _sentence(diagnosis: Diagnosis) -> str:
    """What a cause means, with its numbers."""
    evidence = diagnosis.evidence
    how = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in evidence.items())
    return CAUSES[diagnosis.cause].format(**evidence, how=how)


def _text(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]  " if index else ""
