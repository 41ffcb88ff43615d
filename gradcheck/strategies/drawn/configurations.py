"""One configuration of a kernel: a dictionary of sizes, looks and arguments, which one line shows and any test takes."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from hypothesis import strategies as st

from gradcheck.errors import DescriptionError
from gradcheck.foundation.wording import nearest, shown
from gradcheck.strategies.drawn.looks import looks, made, read
from gradcheck.strategies.drawn.named import SIZES, fitted, limit
from gradcheck.strategies.drawn.plans import Plan

Configuration: TypeAlias = Mapping[str, Any]
"""``{"rows": 1, "columns": 129, "x": "float32 transposed gaussian 17", "causal": True}``."""


@st.composite
def configurations(draw: st.DrawFn, plan: Plan) -> Configuration:
    """Any that the plan allows; shrinks to small sizes first."""
    sizes = draw(SIZES)
    sizes.update({name: draw(strategy) for name, strategy in plan.sizes.items()})
    common = draw(st.sampled_from(plan.dtypes))
    drawn: dict[str, Any] = dict(sizes)
    for name, tensor in plan.tensors.items():
        limit(tensor.limits, sizes)
        look = looks(tensor.choice, fitted(tensor.axes, sizes), common if tensor.common else None)
        drawn[name] = str(draw(look))
    for name, each in plan.arguments.items():
        drawn[name] = draw(_of_sizes(each, sizes, name))
    return drawn


def _of_sizes(given: Any, sizes: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    if isinstance(given, st.SearchStrategy):
        return cast("st.SearchStrategy[Any]", given)
    strategy = given(**{size: sizes[size] for size in inspect.signature(given).parameters})
    if not isinstance(strategy, st.SearchStrategy):
        sentence = f"expected a strategy from the function of sizes, got {shown(strategy)}"
        raise DescriptionError(sentence, f"arguments[{name!r}]")
    return cast("st.SearchStrategy[Any]", strategy)


def completed(plan: Plan, given: Configuration, owner: str) -> Configuration:
    """All of a configuration that says the sizes at least; a tensor of which it says nothing is as usual."""
    known = [*plan.sizes, *plan.tensors, *plan.arguments]
    for name in given:
        if name not in known:
            raise DescriptionError(f"nothing is called {name!r}, {nearest(str(name), known)}", owner)
    for name in (*plan.sizes, *plan.arguments):
        if name not in given:
            raise DescriptionError(f"expected a value for {name!r}", owner)
    of_tensors = {
        name: str(read(given.get(name, ""), tensor.choice, f"{owner}[{name!r}]")) for name, tensor in plan.tensors.items()
    }
    return {**{name: given[name] for name in plan.sizes}, **of_tensors, **{name: given[name] for name in plan.arguments}}


def values_of(plan: Plan, configuration: Configuration) -> tuple[Any, ...]:
    """What is handed to the kernel, in the order of its parameters."""
    return tuple(_value(plan, configuration, name) for name in plan.drawn)


def _value(plan: Plan, configuration: Configuration, name: str) -> Any:
    if name not in plan.tensors:
        return configuration[name]
    tensor = plan.tensors[name]
    shape, below = fitted(tensor.axes, configuration), limit(tensor.limits, configuration)
    look = read(configuration[name], tensor.choice, name)
    return made(look, shape, below, "torch", requires_grad=tensor.choice.requires_grad)


def line(configuration: Configuration) -> str:
    """All of it in one line, which Python reads back where every argument is shown as it is written."""
    return f"{{{', '.join(f'{name!r}: {_shown(value)}' for name, value in configuration.items())}}}"


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())
