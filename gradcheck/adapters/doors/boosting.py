"""What boosting libraries call a custom objective: a gradient and a second derivative a row."""

from collections.abc import Callable
from typing import Any

from gradcheck.errors import Unsupported
from gradcheck.foundation.state.found import as_found
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_objective(loss: Callable[..., Any], objective: Callable[..., Any], raw: Any, **options: Any) -> Report:
    """Whether ``objective`` returns the first and second derivatives of ``loss`` by each raw prediction."""
    raise Unsupported("not built yet")
