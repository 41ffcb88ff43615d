"""Why a block that was compared is not correct, in one sentence: every wording of such a reason."""

from gradcheck.foundation.wording import at_most

EMPTY = "holds no entry"
JUMP = "a jump: the function is not continuous here"
KINK = "a kink: the slopes to the left and right differ"
NEAR_A_KINK = "a unit lies within rounding of a kink, and this build took the other side"
NO_BUILD = "no build supports this network: nothing was compared"
NO_PARAMETERS = "the network has no parameters: there is no gradient"
ON_A_KINK = "a unit lies exactly on a kink: there is no derivative here"
OVERFLOW = "a correct build may overflow here"
ALONE = "the loss has no value at any point beside this one: see the notes"
DISPUTED = "refuted along one direction, and borne out by others and by smaller steps: which is right cannot be told here"
NOT_LOOKED_FOR = "refuted along two directions; its entries were not looked for"
OF_A_WRONG_GRADIENT = "it would be the derivative of the gradient, which is not right"
RANDOM = "random numbers are drawn, and perhaps others by the reference: hand in what was drawn, as a mask"
STOPPED = "stopped before it was judged"
STRAIGHT_PIECES = "the loss is in straight pieces: its second derivative is 0, and any positive number a convention"
COARSE = 0.3  # a block of which no more is known is not known
PATTERN_UNKNOWN = "the Jacobian is not known well enough to say what is zero in it"
STAIRCASE = "a staircase: flat nearby, and sloped further off"


def not_looked_for(count: int, max_evaluations: int) -> str:
    """A note on further wrong blocks of a claim in which very many are."""
    blocks = "1 more wrong block" if count == 1 else f"{count} more wrong blocks"
    return f"entries and causes of {blocks} were not looked for: max_evaluations={max_evaluations}"


def nothing_there(off: float, accuracy: float) -> str:
    """What is claimed where the function has no slope, in parts of the whole gradient."""
    return f"the slope is 0 and {off:.1e} of the whole gradient is claimed, within the accuracy of {accuracy:.1e} asked for"


def accurate_enough(off: float, accuracy: float) -> str:
    """Of an inexact block."""
    return f"off by {off:.1e}, within the accuracy of {accuracy:.1e} asked for"


def beyond_bound(count: int, size: int) -> str:
    """Of a wrong block, every entry of which was compared."""
    return f"{count} of {size} entries beyond their bound"


def beyond_coarse_bound(share: float) -> str:
    """Of a block whose rounding is bounded by so much of its best known entry that is beyond the bound."""
    percent = float(f"{100 * share:.2g}")
    return f"beyond a bound that is {percent:g} % of the entry: rounding cannot be predicted so coarsely here"


def off_in_given_dtype(dtype: str, error: float) -> str:
    """Of a block whose gradient is another one in the dtype that was given."""
    return f"in {dtype}, as given, off by {error:.1e} from what it is in float64"


def found_wrong(count: int, size: int, *, complete: bool) -> str:
    """Of a wrong block, some entries of which were looked for."""
    return f"{'' if complete else 'at least '}{count} of {size} entries found wrong"


def found_nowhere(spread: float, alone: float) -> str:
    """Of a block that is refuted by less than the accuracy asked for, if no single entry is: and none was found."""
    return f"off by {spread:.1e} if every entry is, and by {alone:.1e} if one is alone: none was found"


def refuted(count: int, size: int, *, complete: bool) -> str:
    """Of a claim that no other one confirms."""
    where = f"{'' if complete else 'at least '}{count} of {size}"
    return f"refuted by the oracle along a random direction; {where} entries found wrong"


def excused(sentence: str) -> str:
    """Of a gradient that is not finite where the analysis of rounding allows that."""
    return f"{sentence}, where a correct build may overflow"


def unseen_in_noise(resolution: float, whole: float = 1.0) -> str:
    """Of a block that is too noisy, for one of its entries at least, if not on the ``whole``."""
    if not resolution < 1 and whole > COARSE:
        return "an error as large as the gradient itself would go unseen in the noise"
    said = "as large as itself" if not resolution < 1 else f"below {resolution:.1e}"
    if whole > COARSE or whole > resolution / 4:
        return f"an error {said} would go unseen in the noise"
    return f"an error {said} in one entry would go unseen in the noise; of the whole block one of {at_most(whole)} would not"


def unseen_beside_a_kink(resolution: float) -> str:
    """Of a block of a network near a kink."""
    return f"a unit lies within rounding of a kink, which either side may be taken of: below {resolution:.1e} nothing shows"


def unseen_under_rounding(resolution: float) -> str:
    """Of a block of a network that amplifies rounding."""
    return f"an error below {resolution:.1e} would go unseen: rounding is amplified that much here"


def refuted_together(residual: float, bound: float) -> str:
    """Of blocks none of which explains what refutes them all."""
    return f"all blocks together are off by {abs(residual):.1e} along a direction, beyond {bound:.1e}"


def zero_to_rounding(resolution: float) -> str:
    """Of a block whose derivative is zero, and claimed to be, as far as rounding can tell."""
    return f"zero to rounding: an error of {at_most(resolution)} of the whole gradient would have been seen"


def at_an_optimum(resolution: float) -> str:
    """Of a block whose derivative is nothing beside what it changes by over the function's natural scale."""
    return f"at an optimum, for all that is told: an error of {at_most(resolution)} of the second derivative would show"


def should_be_equal(one: float, other: float) -> str:
    """Of two numbers."""
    return f"{one:.17g} and {other:.17g} should be equal"


def no_number(count: int, where: str) -> str:
    """Of a block that cannot be compared everywhere with a reference."""
    return f"the reference {where}, in {count} {'entry' if count == 1 else 'entries'} that the candidate has otherwise"


def not_finite(count: int) -> str:
    """Of a candidate that overflows, or divides by zero, where no rounding would."""
    return (
        f"{count} {'entry is' if count == 1 else 'entries are'} not finite, and finite in every noise run of the reference"
    )


def hangs_on_choices(count: int, size: int) -> str:
    """Of entries beyond their bound that a comparison decides which rounding may turn."""
    return f"{count} of {size} entries hang on a choice within rounding, and were chosen otherwise; the others are right"


def systematic(times: float, level: str) -> str:
    """Of an error that is the same where nothing is rounded alike."""
    return f"error does not fall with rounding: up to {times:.2g} times that of {level}, and the same at other points"


def times_the_error(times: float, worst: float, level: str, as_if: str = "") -> str:
    """Of an honest error that is larger than it need be, as a whole or in single entries."""
    if times <= 2:
        return f"up to {worst:.2g} times the error of {level} in single entries"
    return f"{times:.2g} times the error of {level}{f'; as if {as_if}' if as_if else ''}"


def large_and_unsystematic(times: float, level: str) -> str:
    """Of one that is nearly as large as the block."""
    return f"{times:.2g} times the error of {level}, another at every point, and nearly as large as the block itself"


def as_accurate_as(level: str) -> str:
    """Of a correct block that a level holds which is not the best one."""
    return f"as accurate as {level}"


def wrong_in_float32(reason: str) -> str:
    """Of a block of a coarse format that is wrong in float32, too."""
    return f"wrong in float32 on the same numbers, too: {reason}"


def wrong_in(held: str, times: float) -> str:
    """Of a block that is right in float32 and too far off in the format that was given."""
    return f"right in float32 on the same numbers; in {held} up to {times:.2g} times what rounding every operation does"


def undecided_without_float32(times: float, held: str) -> str:
    """Of a block whose coarse format leaves open what it is."""
    return (
        f"up to {times:.2g} times the error of rounding every operation, which {held} cannot tell from a mistake: "
        "a float32 path would settle it"
    )


def too_coarse(resolution: float, held: str, in_float32: str) -> str:
    """Of a block about which its format tells next to nothing; what it is in float32, if that is known."""
    known = f"half of its entries are known to {resolution:.1e} of its size and no better in {held}"
    return f"{known}; in float32 on the same numbers it is {in_float32}" if in_float32 else f"{known}: take smaller inputs"


def nondeterministic(times: float) -> str:
    """Of an answer that varies more than any order of additions would make it."""
    return f"{times:.2g} times the error of rounding from one call to the next"


def infinite(count: int, size: int) -> str:
    """Of a matrix some entries of which are no numbers."""
    return f"{count} of {size} entries {'is' if count == 1 else 'are'} not finite"


def outside_pattern(count: int, *, complete: bool) -> str:
    """Of a declared structure that is too small."""
    return f"{'' if complete else 'at least '}{count} {'entry is' if count == 1 else 'entries are'} not zero outside of it"


def not_adjoint(count: int, size: int, worst: int) -> str:
    """Of a linear operator whose two products belong to two matrices."""
    return f"matvec and rmatvec belong to different matrices, in {count} of {size} columns, most of all in column {worst}"
