"""Sizes: around the boundaries of blocks, where the last block of a kernel is full, empty, or nearly so."""

from collections.abc import Iterable
from math import isqrt

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from gradcheck.strategies.arguments import several, whole

MOST = 33  # where nobody names a block: one beyond a warp, which is the smallest that kernels are cut into


def sizes(
    block: int | Iterable[int] | None = None, *, at_least: int = 1, at_most: int | None = None
) -> st.SearchStrategy[int]:
    """Sizes of an axis that a kernel takes in blocks; shrinks to the smallest.

    Two of three are a boundary: the smallest and the largest, one and two blocks and what is beside, half a block, powers of
    two and what is beside, primes. The others are any size.

    Parameters
    ----------
    block : int or sequence of int, optional
        How many are taken at once; several where a kernel chooses among them.
    at_least, at_most : int
        The smallest and the largest. By default 1, and one more than two of the largest blocks; 33 where there is no block.
    """
    blocks = _blocks(block)
    at_least = whole("at_least", at_least, at_least=0)
    most = max(at_least, 2 * max(blocks) + 1 if blocks else MOST) if at_most is None else at_most
    most = whole("at_most", most, at_least=at_least)
    return st.sampled_from(weighted(boundaries(blocks, at_least, most), at_least, most))


def _blocks(block: object) -> tuple[int, ...]:
    if block is None:
        return ()
    given = several(block)
    if not given:
        raise InvalidArgument(f"block={block!r} must not be empty")
    return tuple(sorted(whole("block", each, at_least=1) for each in given))


def boundaries(blocks: Iterable[int], least: int, most: int) -> list[int]:
    """Those between the two, in order."""
    powers = [2**exponent for exponent in range(most.bit_length() + 1)]
    corners = [*powers, *(times for block in blocks for times in (block // 2, block, 2 * block))]
    beside = {corner + step for corner in corners for step in (-1, 0, 1)}
    return sorted(size for size in {least, most, *beside, *_primes(blocks, most)} if least <= size <= most)


def _primes(blocks: Iterable[int], most: int) -> list[int]:
    """The small ones, which are in no power of two, and the last before each boundary and before the largest size."""
    before = [limit for block in blocks for limit in (block, 2 * block)]
    return [3, 5, 7, 11, 13, *(prime for limit in (*before, most) if (prime := _prime_below(limit)))]


def _prime_below(limit: int) -> int:
    return next((n for n in range(limit - 1, 1, -1) if all(n % d for d in range(2, isqrt(n) + 1))), 0)


def weighted(often: Iterable[int], least: int, most: int) -> list[int]:
    """Every size in order, those that are to be drawn often several times: a place in the list shrinks to a smaller size."""
    chosen = set(often)
    times = max(1, 2 * (most - least + 1) // len(chosen))
    return [size for size in range(least, most + 1) for _ in range(times if size in chosen else 1)]
