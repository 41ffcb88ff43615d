"""`check_jacobian`: any function of many outputs with any matrix -> Report."""

from collections.abc import Callable
from typing import Any

from gradcheck.errors import Unsupported
from gradcheck.foundation.state.found import as_found
from gradcheck.report import Report
from gradcheck.report.reproducer.recipe import reproducible


@as_found
@reproducible
def check_jacobian(f: Callable[..., Any], jac: Callable[..., Any], at: Any, **options: Any) -> Report:
    """Whether ``jac`` returns the matrix of derivatives of ``f`` at a point."""
    raise Unsupported("not built yet")
