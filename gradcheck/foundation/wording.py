"""Words that every message shares: of an unknown name, of a value that should not be there, in text of somebody else's."""

import difflib
import re
from collections.abc import Iterable, Sequence
from math import ceil, floor, inf, log10
from typing import Any

# Control characters, ends of lines, turns of the direction of writing, halves of characters.
UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest known one, or all that are known."""
    known = list(known)
    match = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else f"known: {', '.join(known)}"


def enumerated(words: Sequence[str], most: int | None = None) -> str:
    """``1, 2 and 3``; of more than ``most`` words the first, and how many there are besides."""
    if most is not None and len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shown(value: Any) -> str:
    """What was there instead, in so few words that the sentence stays one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def at_most(value: float) -> str:
    """A size in one digit, rounded up: what is said to have been seen was."""
    if not 0 < value < inf:
        return f"{value:g}"
    digit = 10.0 ** floor(log10(value))
    return f"{ceil(value / digit) * digit:.0e}"


def printable(text: str) -> str:
    r"""Text that moves no cursor and turns no line: what is no visible character by its escape, ``\x1b`` or ``\n``."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
