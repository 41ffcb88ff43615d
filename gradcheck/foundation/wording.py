"""Words that every message shares: of an unknown name, of a value that should not be there, in text of somebody else's."""

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from math import ceil, floor, inf, log10
from typing import Any

# Control characters, ends of lines, turns of the direction of writing, halves of characters; and what has no width, in which
# two names may differ that look the same. What joins letters or keeps them apart belongs to some scripts, and stays.
UNSEEN = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


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
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} without a repr>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def at_most(value: float) -> str:
    """A size in one digit, rounded up: what is said to have been seen was."""
    if not 0 < value < inf:
        return f"{value:g}"
    digit = 10.0 ** floor(log10(value))
    return f"{ceil(value / digit) * digit:.0e}"


def printable(text: str) -> str:
    r"""Text that moves no cursor and turns no line: what is no visible character by its escape, ``\x1b`` or ``\n``."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str.__str__(text))


def argument(text: str) -> str:
    r"""One argument of a command that is proposed, to be pasted into a shell: quoted where it must be, ``$'a\x0ab'``."""
    text = f"./{text}" if text.startswith("-") else text
    if text == printable(text):
        return shlex.quote(text)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{UNSEEN.sub(lambda found: _bytes(found[0]), quoted)}'"


def _bytes(character: str) -> str:
    """As a shell writes what the file system has."""
    encoded = character.encode(errors="surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")
    return "".join(f"\\x{each:02x}" for each in encoded)
