"""Which derivatives of a framework's function may be asked about."""

from typing import cast

from gradcheck.errors import DataError, DescriptionError
from gradcheck.foundation.wording import shown

MODES = ("reverse", "forward")
ORDERS = (1, 2)


def order_and_modes(order: object, modes: object) -> tuple[int, tuple[str, ...] | None]:
    """Both as they are used: modes as a tuple, None where the function itself decides.

    Raises
    ------
    DescriptionError
        Where there is no such order.
    DataError
        Where there is no such mode, or not the one that a second derivative needs.
    """
    if isinstance(order, bool) or order not in ORDERS:
        raise DescriptionError(f"expected 1 or 2, got {shown(order)}", "order")
    several = cast("tuple[str, ...] | None", (modes,) if isinstance(modes, str) else modes)
    unknown = [mode for mode in several or () if mode not in MODES]
    if unknown or (several is not None and not several):
        raise DataError(f"modes: expected some of {', '.join(MODES)}, got {shown(unknown[0] if unknown else modes)}")
    if order == 2 and several is not None and "reverse" not in several:
        raise DataError("order: the second derivative is that of reverse mode: ask for 'reverse', too")
    return cast("int", order), None if several is None else tuple(several)
