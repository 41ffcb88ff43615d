"""A function of tensors as a test: each configuration that is drawn goes through a check, which is handed in."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper, wraps
from typing import Any, NamedTuple, TypeAlias

from hypothesis import HealthCheck, Phase, example, given, settings

from gradcheck.errors import DescriptionError, GradientMismatch
from gradcheck.foundation.wording import shown
from gradcheck.report import Report
from gradcheck.strategies.arguments import several
from gradcheck.strategies.drawn.configurations import Configuration, completed, configurations, line, values_of
from gradcheck.strategies.drawn.plans import Asked, Plan, planned
from gradcheck.verdict.findings import Verdict

# Without the phase in which Hypothesis explains a failure: that the report does, and calls are dear.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


Function: TypeAlias = Callable[..., Any]


class Judge(NamedTuple):
    """The check, the reference, and what the check is asked besides."""

    check: Callable[..., Report]
    reference: Any
    options: dict[str, Any]

    def report(self, function: Function, plan: Plan, configuration: Configuration, others: dict[str, Any]) -> Report:
        """What the check finds of the function at one configuration."""
        kernel = handed(function, plan.drawn, others)
        reference = self.reference
        if callable(reference):
            reference = handed(reference, plan.drawn, others, list(plan.tensors))
        return self.check(kernel, *values_of(plan, configuration), reference=reference, **self.options)


def tested(function: Function, asked: Asked, judge: Judge, examples: int, explicit: object) -> Callable[..., None]:
    """A test for pytest; parameters that are not drawn are fixtures, or parametrized."""
    plan = planned(function, asked)
    verdicts: Counter[Verdict] = Counter()
    test = given(configuration=configurations(plan))(_one_example(function, plan, judge, verdicts))
    for place, each in enumerate(_listed(explicit)):
        test = example(configuration=completed(plan, each, f"configurations[{place}]"))(test)
    return _counted(_settings(examples)(test), function, plan, judge, verdicts)


def _listed(explicit: object) -> tuple[Configuration, ...]:
    given = several(explicit)
    if not all(isinstance(each, Mapping) for each in given):
        raise DescriptionError(f"expected dictionaries in a list, got {shown(explicit)}", "configurations")
    return given


def _settings(examples: int) -> settings:
    """Those of the profile, but that a check may take its time, and kernels do not change fixtures."""
    fine = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    patient = settings(deadline=None, suppress_health_check=[*settings().suppress_health_check, *fine])
    return settings(patient, max_examples=examples, phases=PHASES, report_multiple_bugs=False)


def _one_example(function: Function, plan: Plan, judge: Judge, verdicts: Counter[Verdict]) -> Callable[..., None]:
    names = [parameter.name for parameter in plan.others]

    def test(*positional: Any, configuration: Configuration, **others: Any) -> None:
        __tracebackhide__ = True
        others = dict(zip(names, positional, strict=False)) | others
        try:
            report = judge.report(function, plan, configuration, others)
        except Exception as error:
            error.add_note(f"configuration: {line(configuration)}")
            raise
        verdicts[report.verdict] += 1
        if report.verdict is Verdict.WRONG:
            raise GradientMismatch(_sentences(function, configuration, others, report))

    update_wrapper(test, function)
    at: Any = test
    last = inspect.Parameter("configuration", inspect.Parameter.KEYWORD_ONLY)
    at.__signature__ = inspect.Signature([*plan.others, last])
    return test


def _sentences(function: Any, configuration: Configuration, others: dict[str, Any], report: Report) -> str:
    """The failure: what was drawn in one line, and how to have it again."""
    besides = "".join(f", {name}={value!r}" for name, value in others.items() if name != "self")
    written = line(configuration)
    return (
        f"verdict: {report.verdict}\n"
        f"configuration: {written}\n"
        f"always tried with: configurations=[{written}]\n"
        f'as one file: {function.__name__}.at({written}{besides}).reproducer("wrong.py")\n'
        f"{report}"
    )


def _counted(
    test: Callable[..., None], function: Function, plan: Plan, judge: Judge, verdicts: Counter[Verdict]
) -> Callable[..., None]:
    """The test, which fails also where next to nothing was decided."""

    @wraps(test)
    def counted(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        # What was put around this afterwards (an example, a seed, a failure to reproduce) is meant for the test inside.
        vars(test).update({name: value for name, value in vars(counted).items() if name != "__wrapped__"})
        verdicts.clear()
        test(*args, **kwargs)
        _require_decided(verdicts)

    def at(configuration: Configuration, /, **others: Any) -> Report:
        """The report on one configuration."""
        return judge.report(function, plan, completed(plan, configuration, "configuration"), others)

    outside: Any = counted
    outside.at = at
    return counted


def _require_decided(verdicts: Counter[Verdict]) -> None:
    """Half of the configurations at least; a choice: a test that passes says something of most of what it drew."""
    decided = verdicts[Verdict.CORRECT] + verdicts[Verdict.INEXACT]
    total = sum(verdicts.values())
    if 2 * decided < total:
        others = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items() if verdict in UNDECIDED)
        raise GradientMismatch(
            f"nothing was decided in {total - decided} of {total} configurations ({others}): draw milder values, smaller "
            "sizes or another dtype (values=, sizes=, dtypes=), or look at one with .at(...)"
        )


UNDECIDED = (Verdict.UNRESOLVED, Verdict.NONSMOOTH, Verdict.UNSUPPORTED)


def handed(function: Function, names: Sequence[str], others: dict[str, Any], needed: Sequence[str] = ()) -> Function:
    """A function of the drawn values in their order.

    They are handed on by name, and those alone that the function has; by position where it does not name all that it
    ``needed``. What pytest gives is handed on by name.
    """
    parameters = _parameters(function)
    positional = [name for name, each in parameters.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    known = {name: value for name, value in others.items() if name in parameters}
    if not known and (positional[: len(names)] == [*names] or not parameters):
        return function
    by_name = set(needed) <= set(parameters)

    def call(*values: Any) -> Any:
        if not by_name:
            return function(*values, **known)
        given = {name: value for name, value in zip(names, values, strict=True) if name in parameters}
        return function(**given, **known)

    call.__name__ = call.__qualname__ = getattr(function, "__name__", "call")
    return call


def _parameters(function: Function) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # built into an extension
        return {}
