"""What there is to say of a campaign, in words: for terminals and pages alike."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gradcheck.campaign.results.groups import samples_of
from gradcheck.campaign.results.record import Mistake
from gradcheck.campaign.tables import Recipe, Table, kind_of, kinds_of, rows_in
from gradcheck.foundation.wording import argument
from gradcheck.report.sections import UNEXPLAINED
from gradcheck.verdict.causes import sentence
from gradcheck.verdict.findings import Diagnosis, Verdict

if TYPE_CHECKING:
    from gradcheck.campaign.plan import Plan
    from gradcheck.campaign.results.summary import Failure, Summary

SHORT = 12  # digits of a case's name that are shown; enough to find it by
# What is no mistake in a gradient, and has no words in `gradcheck.verdict.causes`.
OTHERS = {"unnamed": UNEXPLAINED, "died": "a backend ended the process"}
OPEN = (Verdict.UNRESOLVED, Verdict.NONSMOOTH)
ERRORS = (
    "error: of a case's worst entry, in units of its bound (above 1 is beyond rounding); not of blocks on a kink or "
    "beyond a bound that is too coarse, nor of numbers that are not finite"
)


def title(summary: "Summary") -> str:
    """Whose campaign."""
    backends = [name.rpartition(":")[2] for name in summary.plan.backends]  # as reports call them
    return f"Campaign with seed {summary.plan.seed}: {', '.join(backends)}"


def repeated(plan: "Plan") -> str:
    """What a command needs besides the store, to load backends that are code."""
    return "".join(f" --backend {argument(name)}" for name in plan.backends) if plan.code else ""


def course(summary: "Summary") -> str:
    """How much was done."""
    drawn = f"{counted(summary.examples, 'example')} drawn"
    if not summary.judged:
        return drawn
    return (
        f"{drawn}, {counted(summary.judged, 'distinct case')} judged in "
        f"{duration(summary.seconds)}, {counted(summary.evaluations, 'loss evaluation')} without backpropagation"
    )


def conclusion(summary: "Summary") -> str:
    """How it ended, in a sentence."""
    wrong, cases = summary.verdicts.get(Verdict.WRONG, 0), counted(summary.judged, "case")
    if not summary.judged:
        return "no case was judged"
    if wrong:
        return f"{wrong:,} of {cases} wrong: {counted(len(summary.failures), 'cause')}"
    left = sum(summary.verdicts.get(verdict, 0) for verdict in OPEN)
    return f"no build was wrong in {cases}" + (f", {left:,} of them without an answer" if left else "")


def outcome(summary: "Summary") -> Verdict:
    """The verdict in whose colour that is said."""
    if summary.verdicts.get(Verdict.WRONG):
        return Verdict.WRONG
    return Verdict.CORRECT if summary.judged else Verdict.UNRESOLVED


def verdicts(summary: "Summary", most: int | None = None) -> Iterator[tuple[str, str, str, str]]:
    """How many cases of each, their share and why; a row for each reason, where they are several. Causes say why wrong."""
    for verdict, number in summary.verdicts.items():
        reasons = {} if verdict == Verdict.WRONG else summary.reasons.get(verdict, {})
        only = next(iter(reasons)) if list(reasons.values()) == [number] else ""
        yield verdict, f"{number:,}", share(number, summary.judged), only
        if not only:
            yield from (("", f"{cases:,}", "", reason) for reason, cases in _first(reasons, most or len(reasons)))


def unsupported(summary: "Summary") -> Iterator[tuple[str, str, str]]:
    """Of each backend that does not know some networks: how many, and why."""
    for backend, reasons in summary.unsupported.items():
        for reason, cases in sorted(reasons.items(), key=lambda each: -each[1]):
            yield backend, f"{cases:,}", reason


def errors(summary: "Summary") -> Iterator[tuple[str, str, str, str, str]]:
    """Of each backend: its cases, those above the bound, the worst, and the case that has it."""
    for backend, found in summary.errors.items():
        yield backend, f"{sum(found.counts):,}", f"{found.counts[-1]:,}", f"{found.worst:.2g}", found.case[:SHORT]


def counted(number: int, noun: str) -> str:
    """``1 case``, ``2,000 cases``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(number: int, total: int) -> str:
    """As a percentage, which is 0 or 100 only where it is exactly that."""
    percent = 100 * number / total if total else 0.0
    if 0 < percent < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= percent < 100 else f"{percent:.1f}%"


def duration(seconds: float) -> str:
    """Two units at most."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours:,} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def cause(failure: "Failure") -> str:
    """What all its cases have: the cause without numbers, which are each case's own, and what it belongs to."""
    name, where = failure.cause.cause, failure.cause.where
    said = OTHERS.get(name) or sentence(Diagnosis("", name))
    return f"{said} ({where})" if where else said


def common(failure: "Failure", most: int | None = None) -> str:
    """What its cases have and few others do, the rarest first; of a single case that would be everything."""
    return f"only with {', '.join(failure.common[:most])}" if failure.common and failure.cases > 1 else ""


def diagnosis(failure: "Failure") -> Diagnosis | None:
    """Its cause in its smallest case, with the numbers there."""
    diagnoses = failure.shown.diagnoses if failure.shown else ()
    return next((each for each in diagnoses if Mistake.of(each) == failure.cause), None)


def network(failure: "Failure") -> str:
    """Its smallest case in a line."""
    return outline(failure.shown.case) if failure.shown else ""


def outline(case: Table) -> str:
    """A case in a line: ``1-2, gelu, logistic, 1 sample, float64``."""
    recipe = case["case"]
    dense = [layer for layer in rows_in(case["layers"]) if kind_of(layer) == "dense"]
    sizes = "-".join(["x".join(map(str, case["inputs"])), *(str(layer.get("units", "?")) for layer in dense)])
    kinds = dict.fromkeys(kind for kind in kinds_of(case) if kind != "dense")
    decay = ["weight decay"] * bool(case.get("weight_decay"))
    unbiased = ["no bias"] * any(not layer.get("bias", True) for layer in dense)
    return ", ".join(
        [sizes, *kinds, kind_of(case["loss"]), *decay, *unbiased, samples(recipe), recipe.get("dtype", "float64")]
    )


def samples(recipe: Recipe) -> str:
    """The size of a batch; the name of a set that is used as it is."""
    number = samples_of(recipe)
    return counted(number, "sample") if number else str(recipe.get("data", "random"))


def _first(reasons: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The most frequent ones, and what is left in a line."""
    listed, left = list(reasons.items()), len(reasons) - most
    rest = sum(number for _, number in listed[most:])
    return [*listed[:most], (f"and {counted(left, 'other reason')}", rest)] if left > 0 else listed
