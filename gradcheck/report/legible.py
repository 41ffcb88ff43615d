"""What others have written, for a terminal: it moves no cursor and sets no colour."""

from enum import Enum
from typing import Any, cast

import msgspec

from gradcheck.foundation.wording import printable


def legible(data: Any) -> Any:
    """The same report, summary or measurement, every text in it printable."""
    kind = cast("Any", type(data))
    if isinstance(data, msgspec.Struct):
        return msgspec.structs.replace(data, **{name: legible(getattr(data, name)) for name in data.__struct_fields__})
    if kind is dict:
        return {legible(key): legible(value) for key, value in data.items()}
    if kind is list or kind is tuple:
        return cast("Any", kind)(map(legible, data))
    return printable(data) if isinstance(data, str) and not isinstance(data, Enum) else data
