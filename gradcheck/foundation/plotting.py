"""matplotlib, where there is one, and colours that everybody can distinguish."""

from io import BytesIO
from typing import Any

from gradcheck.errors import LibraryNotInstalled

# Okabe and Ito 2008: distinct to every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK = "#000000"
OPEN_AXES = {"axes.spines.top": False, "axes.spines.right": False}


def pyplot() -> Any:
    """matplotlib's, drawing into memory.

    Raises
    ------
    LibraryNotInstalled
        Where there is none.
    """
    try:
        import matplotlib
    except ImportError:
        raise LibraryNotInstalled("pictures need matplotlib: pip install 'gradcheck[plot]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


def as_png(figure: Any, **options: Any) -> bytes:
    """A figure of matplotlib's, cut close, with the options of ``savefig``."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight", **options)
    return drawn.getvalue()
