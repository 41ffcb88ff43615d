"""Named causes of what is wrong: which come first, what each means, and what to change."""

from enum import StrEnum
from typing import Any, Self

from gradcheck.verdict.findings import Diagnosis


class Cause(StrEnum):
    """Every cause, simplest first: its identifier, what it means in one wording or several, and what to change.

    Of the wordings, the most telling first, the first one that the evidence fills is taken; the last needs none. Two blocks'
    causes that both fit are told in this order. What a library of mistakes or single samples explain comes before a factor,
    which can be anything.
    """

    wordings: tuple[str, ...]
    remedy: str

    def __new__(cls, identifier: str, wordings: tuple[str, ...], remedy: str) -> Self:
        cause = str.__new__(cls, identifier)
        cause._value_, cause.wordings, cause.remedy = identifier, wordings, remedy
        return cause

    WRONG_STRUCTURE = (
        "wrong-structure",
        ("it has not the form of the point",),
        "return names, shapes and dtypes as the parameters have them",
    )
    RAISED = (
        "raised",
        ("it raised an exception in place of an answer",),
        "run it alone at this point: the traceback says where",
    )
    NON_FINITE = ("non-finite", ("not a finite number",), "look for a division by zero, a logarithm of zero or an overflow")
    MUTATES_INPUT = ("mutates-input", ("the call changes its argument",), "work on a copy of it")
    NONDETERMINISTIC = (
        "nondeterministic",
        ("two calls at one point give two answers: seed what is random",),
        "seed it, or draw once and pass the draw in",
    )
    GIVEN_DTYPE = (
        "given-dtype",
        (
            "right in {wider}, and off by {error:.1e} in {dtype}, the dtype that was given",
            "right in float64, and off by {error:.1e} in {dtype}, the dtype that was given",
            "right in float64, and not in the dtype that was given",
        ),
        "look for a cast, a constant or a kernel that only this dtype reaches",
    )
    MUTATES_SAVED = (
        "mutates-saved",
        ("the backward pass overwrites what was saved for it: {how}", "the backward pass overwrites what was saved for it"),
        "work on a copy of a saved tensor, and leave the context as it is: a graph may be gone through twice",
    )
    MUTATES_COTANGENT = (
        "mutates-cotangent",
        ("the backward pass overwrites the cotangent: {how}", "the backward pass overwrites the cotangent"),
        "work on a copy of it: it may be another function's as well",
    )
    COTANGENT_LAYOUT = (
        "cotangent-layout",
        ("the cotangent's form in memory matters: {how}", "the cotangent's form in memory matters"),
        "ask for its strides, or call contiguous() and reshape() in place of view(); take None for zeros",
    )
    INPUT_LAYOUT = (
        "input-layout",
        ("the arguments' form in memory matters: {how}", "the arguments' form in memory matters"),
        "ask for their strides, or call contiguous() before the memory is read in order",
    )
    NEEDS_INPUT_GRAD = (
        "needs-input-grad",
        ("it matters which arguments require a gradient: {how}", "it matters which arguments require a gradient"),
        "ask for each argument by its own place (ctx.needs_input_grad[i], or .perturbed), and leave out those alone that it "
        "refuses",
    )
    FORWARD_MODE = (
        "forward-mode",
        ("the forward derivative is another than the backward pass: {how}", "forward and backward derivative differ"),
        "correct the jvp: the backward pass is right",
    )
    HIDES_SECOND_ORDER = (
        "hides-second-order",
        (
            "the first backward pass hides the second derivative: {how}",
            "the first backward pass hides the second derivative",
        ),
        "make it of ctx.saved_tensors (arguments and outputs) and the cotangent, by operations that record a graph; or mark "
        "it once_differentiable, which refuses loudly",
    )
    SYMBOLIC_ZEROS = (
        "symbolic-zeros",
        ("it matters which outputs are used: {how}", "it matters which outputs are used"),
        "take a cotangent that is a SymbolicZero for zeros, of that output alone",
    )
    UNDER_JIT = (
        "under-jit",
        ("traced, as jax.jit does, it answers otherwise: {how}", "traced, as jax.jit does, it answers otherwise"),
        "use jax.numpy and jax.lax for all that depends on values: Python's if and float(), NumPy and globals see the trace",
    )
    VMAP = (
        "vmap",
        ("batched, it answers otherwise: {how}", "batched, it answers otherwise than one by one"),
        "keep apart what belongs to each of the batch, and say in out_dims where that is",
    )
    SHARED_STATE = (
        "shared-state",
        ("another forward pass in between changes the answer: {how}", "another forward pass in between changes the answer"),
        "keep what the backward pass needs on its own ctx or in its residuals, not on the class, the module or in a global",
    )
    ANOTHER_SHAPE = (
        "another-shape",
        ("a call of another shape goes wrong: {how}", "a call of another shape goes wrong"),
        "ask for sizes and strides at every call, keep no buffer or grid of another one, and mask the last block",
    )
    EMPTY_INPUT = (
        "empty-input",
        ("an empty argument is not answered as the reference does: {how}", "an empty argument is answered wrongly"),
        "return what the formula is of nothing (a sum is zero), or raise: a grid of no blocks writes nothing",
    )
    SHARED_OUTPUT = (
        "shared-output",
        ("the next call changes what this one has returned: {how}", "the next call changes what this one has returned"),
        "return memory of its own at every call: a buffer that is kept is good for what never leaves the function",
    )
    OUTPUT_VIEW = (
        "output-view",
        ("who changes an output in place changes what was saved: {how}", "an output shares memory with what was saved"),
        "save by ctx.save_for_backward, and return memory of its own: PyTorch then sees what is changed",
    )
    KINK_CONVENTION = (
        "kink-convention",
        (
            "no derivative here: any slope between {slopes[0]:.6g} and {slopes[1]:.6g} is a convention",
            "no derivative here: any slope between the two sides is a convention",
        ),
        "nothing, or move the point off the kink to check the rest",
    )
    LOW_PRECISION = (
        "low-precision",
        ("rounded to {format}", "rounded to a narrower format"),
        "keep the whole backward pass in the parameters' dtype",
    )
    SIGN = ("sign", ("the sign is wrong",), "negate it, or look for a minus too many or too few above this block")
    HESSIAN_CONVENTION = (
        "hessian-convention",
        ("{how}", "a convention in place of the second derivative"),
        "return the second derivative, or say by hessian= what is meant",
    )
    WEIGHTS = (
        "weights",
        ("the weights are {how}", "the weights are left out, or applied twice"),
        "multiply gradient and second derivative by the weight of each row, once: no library does it for a custom objective",
    )
    LABEL_ENCODING = (
        "label-encoding",
        ("right where the labels are {meant}, and they are {given}", "the labels are encoded otherwise than it takes them"),
        "take the labels as the library hands them on: 0 and 1, or 0 to k - 1",
    )
    LINK = (
        "link",
        ("{how}", "the function that makes a probability or a rate of a prediction is left out"),
        "predictions are raw: apply the sigmoid, softmax or exponential first, and multiply by its derivative",
    )
    OFFSET = (
        "offset",
        ("as if {offset:.6g} were added to every prediction", "as if a constant were added to every prediction"),
        "add base_score or init_score nowhere: it is in the predictions that the library hands on",
    )
    CONJUGATED = (
        "conjugated",
        (
            "it is {wirtinger}, a Wirtinger derivative: half of {claimed}; asked for is {asked}",
            "it is {claimed}; asked for is {asked}",
            "the imaginary part has the other sign: it is the gradient of the other convention",
        ),
        "conjugate it, if the convention that is asked for is the one that is meant",
    )
    COTANGENT_IGNORED = (
        "cotangent-ignored",
        ("it is what {taken_for} in place of the cotangent of {output} would give", "the cotangent is ignored"),
        "multiply by the cotangent that is handed in, each entry by its own",
    )
    COTANGENT_SCALAR = (
        "cotangent-scalar",
        (
            "the cotangent of {output} is taken for a single number, its first entry",
            "the cotangent is taken for a single number, its first entry",
        ),
        "read each entry of the cotangent: it is one number only where the output is",
    )
    COTANGENT_FIRST_ROW = (
        "cotangent-first-row",
        (
            "of the cotangent of {output} only what is first along axis {axis} is read, for all the others, too",
            "only the first row of the cotangent is read, for all the others, too",
        ),
        "step on to the next row of the cotangent with each row: add its stride to the pointer",
    )
    MASKED_TAIL = (
        "masked-tail",
        (
            "what indices {first} to {last} along axis {axis} of {of} contribute is missing: the last block of a sum",
            "{unread} is not read at indices {first} to {last} along axis {axis}: the last block",
            "entries {first} to {last} along axis {axis} are {how}, and all others right: the last block",
            "the last block is wrong, and all others right",
        ),
        "mask what is beyond the end, and nothing before it: round the number of blocks up",
    )
    LEFT_OUT = (
        "left-out",
        (
            "what {which} along axis {axis} of {of} contributes is left out",
            "{unread} is not read at {which} along axis {axis}",
            "{which} along axis {axis} is left out: zero, and all others right",
            "the {part} part of the complex numbers is left out: zero, and the other one right",
            "a part is left out",
        ),
        "let the loop or the grid run over all of it, and add up what several write to one place",
    )
    STOPS_BELOW = (
        "stops-below",
        (
            "the backward pass stops below {above}: zero from there down, right above",
            "the backward pass stops: right above, not from here down",
        ),
        "hand the gradient on to the layer below",
    )
    ZERO = (
        "zero",
        ("the gradient is zero everywhere, and should not be",),
        "connect it: assign the result, and cut nothing off by detach or stop_gradient",
    )
    SCALE = (
        "scale",
        (
            "{side} by {factor:.10g} = {formula}, n = {n} being the size of axis {axis} of {of}: a scale is missing or "
            "applied twice",
            "as if {of} were {factor:.10g} = {formula} times itself, n = {n} being the size of its axis {axis}: a scale is "
            "missing or applied twice",
            "as if {of} were {factor:.6g} times itself: a scale is missing or another",
            "as if {of} were {instead}: what should scale is left out",
            "a scale is missing or applied twice",
        ),
        "apply it once, in the forward pass and again in the backward pass",
    )
    MEAN_FOR_SUM = (
        "mean-for-sum",
        ("a mean over n = {n} samples stands where a sum belongs", "a mean over the samples stands where a sum belongs"),
        "add up over the samples here; the mean is the loss's",
    )
    MISSING_MEAN = (
        "missing-mean",
        (
            "larger by exactly n = {n}: the loss is a mean, this gradient is a sum",
            "the loss is a mean, this gradient is a sum",
        ),
        "divide by n where the loss's gradient starts",
    )
    EXTRA_MEAN = (
        "extra-mean",
        (
            "smaller by exactly n = {n}: the loss is a sum, this gradient is a mean",
            "the loss is a sum, this gradient is a mean",
        ),
        "do not divide by n: the loss is a sum, or is divided once already",
    )
    WRONG_STRIDE = (
        "wrong-stride",
        (
            "{of} is read in the order of memory, as if axes {axes[0]} and {axes[1]} lay there the other way round",
            "written in the order of memory, as if axes {axes[0]} and {axes[1]} lay there the other way round",
            "memory is gone through with wrong strides",
        ),
        "ask for the strides, or call contiguous() before memory is read in order",
    )
    TRANSPOSED = (
        "transposed",
        (
            "it is what {of} with axes {axes[0]} and {axes[1]} exchanged would give",
            "axes {axes[0]} and {axes[1]} are exchanged",
            "the gradient is transposed, {conjugated}",
            "the gradient is transposed",
        ),
        "transpose the product, or exchange its factors; a reshape transposes nothing",
    )
    SYMMETRISED = (
        "symmetrised",
        (
            "it is {twice}, the derivative by the entries of one triangle, written into both: along symmetric directions, "
            "half of what is beside the diagonal is right",
            "right along symmetric directions only: the loss reads {reads} of the matrix, so the derivative by the other "
            "one is zero, over which a symmetric gradient spreads",
            "right along symmetric directions only: the loss reads {each}, and this gradient holds both in one",
            "right along symmetric directions only",
        ),
        'say along="symmetric" where symmetric matrices are meant; else return the derivative by each entry: where '
        "np.linalg.cholesky or eigh reads one triangle, np.tril(g + g.T - diag(g)), g being the symmetric one",
    )
    PERMUTED = (
        "permuted",
        (
            "the entries are right and in the wrong places: taken from {taken_from}",
            "the entries are right and in the wrong places: {how}",
            "the entries are right and in the wrong places",
        ),
        "put them back in the order of the parameter's own entries",
    )
    EXCHANGED = (
        "exchanged",
        ("{of[0]} and {of[1]} stand in each other's place", "two arguments stand in each other's place"),
        "hand them on, or back, in the order in which they are taken",
    )
    REORDERED = (
        "reordered",
        ("as if {of} were {how}, along axis {axis}", "as if an argument were in another order"),
        "go through it in its own order: look at offsets, and at what is interleaved or in halves",
    )
    WRONG_AXIS = ("wrong-axis", ("summed or normalised along the wrong axis",), "name the axis, and keep the other one")
    OVERWRITTEN = (
        "overwritten",
        ("only the contribution of sample {kept} is left of a sum", "only one contribution is left of a sum"),
        "add each contribution (+=) where it is assigned now (=)",
    )
    ACTIVATION_DERIVATIVE = (
        "activation-derivative",
        ("an activation's derivative is wrong: {how}", "an activation's derivative is wrong"),
        "multiply the gradient by rho'(z) there",
    )
    STALE_ACTIVATION = (
        "stale-activation",
        ("formed with {uses} in place of the layer's own", "formed with what belongs to another layer"),
        "use what this layer has seen in the same forward pass",
    )
    PATH_LOST = (
        "path-lost",
        (
            "one path of the chain rule is missing: {lost}",
            "each line along {along} is off by {multiple}, by a number of its own: a path through what the line has in "
            "common, a mean or a length, is missing or counted wrongly",
            "one path of the chain rule is missing",
        ),
        "add up over every path by which this reaches the loss",
    )
    SAMPLE_DROPPED = (
        "sample-dropped",
        ("sample {sample} is left out", "samples {samples[0]} to {samples[1]} are left out", "samples are left out"),
        "let the loop or the slice run over the whole batch",
    )
    SAMPLE_SUBSET = (
        "sample-subset",
        (
            "samples of class {label:g} count {factor:.6g} times",
            "sample {sample} counts {factor:.6g} times",
            "some of the samples have the wrong weight",
        ),
        "give every sample the weight that it has in the loss",
    )
    CLIPPED = (
        "clipped",
        (
            "clipped at {limit:.10g}: {entries} entries stop there, the others are right",
            "scaled down to a norm of {norm:.10g}: clipped by its norm",
            "clipped",
        ),
        "clip in the optimizer, not in what is called the gradient",
    )
    REGULARISATION = (
        "regularisation",
        (
            "off by {multiple:.10g} times the parameters: a penalty that is not in the loss, or lacks in it",
            "off by a multiple of the parameters: a penalty that is not in the loss, or lacks in it",
        ),
        "put the penalty into both loss and gradient, or into neither",
    )
    EPS = (
        "eps",
        (
            "the error falls as the inputs grow, from {relative[0]:.1e} to {relative[1]:.1e} where they are 4 times as "
            "large: an eps is missing, another, or in another place",
            "an eps is missing, another, or in another place",
        ),
        "add the same eps in the same place: within the root, or beside it",
    )
    STALE_POINT = (
        "stale-point",
        ("the same matrix at another point, where the derivatives are others: it is that of another point, or constant",),
        "evaluate it at the point that is handed in, and keep nothing of an earlier one",
    )
    OUTSIDE_PATTERN = (
        "outside-pattern",
        (
            "{missing} of the derivatives that are not zero lie outside the {of} structure, {idle} of whose {size} entries "
            "are zero here: it is incomplete, or that of another model or point",
            "derivatives that are not zero lie outside the declared structure",
        ),
        "build the structure anew from what each output depends on at any point, not from one matrix",
    )
    ROWS = (
        "rows",
        (
            "{which} wrong, and all other rows right: {how}",
            "{which} wrong, and all other rows right",
            "whole rows are wrong",
        ),
        "look at what belongs to these outputs alone: their sign, weight and units",
    )
    COLUMNS = (
        "columns",
        (
            "{which} wrong, and all other columns right: {how}",
            "{which} wrong, and all other columns right",
            "whole columns are wrong",
        ),
        "look at what belongs to these parameters alone: their factor of the chain rule, and their units",
    )
    FACTOR = (
        "factor",
        (
            "what {contributor} contributes is off by the constant factor {factor:.10g}",
            "off by the constant factor {factor:.10g}: it is {wirtinger}, a Wirtinger derivative, of which twice is asked",
            "off by a factor of {times}: the parts are in each other's place, one of them with the other sign",
            "off by the constant factor {factor:.10g}",
            "off by a constant factor",
        ),
        "divide by that factor",
    )
    SINGLE_ENTRY = (
        "single-entry",
        (
            "one entry is wrong, at {index}: {reference:.17g} there explains everything",
            "it is wrong: {reference:.17g} explains everything",
            "one entry is wrong",
        ),
        "look for what treats it apart: a border, a first or last index, a term of its own",
    )
    STALE_STATISTICS = (
        "stale-statistics",
        (
            "each line along {along} is off by {multiple}, by a number of its own: a statistic of the line is stale, "
            "missing or another's",
            "each line along {along} is off by a factor of its own, {least:.3g} to {most:.3g}: a statistic of the line is "
            "stale, missing or another's",
            "each line is off by a factor of its own: a statistic of it is stale, missing or another's",
        ),
        "use the statistic of the same line and of all of it: a running one must be brought up to date, with what it scaled",
    )
    MASK = (
        "mask",
        (
            "at {index} it {verb} with what {of} has at index {which} along axis {axis}, {how}",
            "it hangs on what it should not, or does not on what it should",
        ),
        "look at the mask, at where loops begin and end, and at what is taken for a constant",
    )
    REGION = (
        "region",
        ("wrong at {where}, and right everywhere else", "wrong in one region, and right everywhere else"),
        "look for what treats it apart: a block of its own, a border, an index that is off",
    )
    UNSTABLE = (
        "unstable",
        ("the formula loses digits by cancellation or overflow; in {precision} it is right", "the formula loses its digits"),
        "use a stable form: expm1, log1p, a softmax shifted by its maximum",
    )
    COARSE_ARITHMETIC = (
        "coarse-arithmetic",
        (
            "as if {level}: {times:.2g} times the error of {best}",
            "{times:.2g} times the error of {best}, another at every point: digits are lost by cancellation, or in a "
            "coarser format",
            "digits are lost by cancellation, or in a coarser format",
        ),
        "add up and multiply in float32; shift by the mean, or by the maximum, before digits cancel",
    )
    CONSTANTS = (
        "constants",
        (
            "correct to {error:.1e}: a rounded constant, differences or a solver inside would be that far off",
            "all but correct: a rounded constant, differences or a solver inside would be that far off",
        ),
        "write the constant with all its digits, or tighten what is solved inside",
    )

    OUTPUT_WRONG = (
        "output-wrong",
        ("{output} is wrong as well, from which this may follow", "the output is wrong as well, from which this may follow"),
        "correct the forward pass first",
    )

    def of(self, name: str, **evidence: Any) -> Diagnosis:
        """That a block has this cause."""
        return Diagnosis(name, self.value, evidence)


ORDER = {cause.value: place for place, cause in enumerate(Cause)}


def rank(cause: str) -> int:
    """Where a cause stands among all; one of somebody else's naming comes last."""
    return ORDER.get(cause, len(ORDER))


def sentence(diagnosis: Diagnosis) -> str:
    """What a cause means, with its numbers; more exactly, where it is known what the gradient equals."""
    evidence = diagnosis.evidence
    if evidence.get("why"):
        said = f"{diagnosis.cause.replace('-', ' ')}: {evidence['why']}"
    else:
        said = _filled(diagnosis) + (f" ({evidence['layer']})" if evidence.get("layer") else "")
    return f"{said}; besides, {evidence['besides']}" if evidence.get("besides") else said


def advice(diagnosis: Diagnosis) -> str:
    """What to change; empty where the cause is of somebody else's naming and brings no remedy."""
    known = Cause(diagnosis.cause).remedy if diagnosis.cause in ORDER else ""
    return str(diagnosis.evidence.get("remedy") or known)


def _filled(diagnosis: Diagnosis) -> str:
    """The first wording that the evidence fills."""
    evidence = {key: value for key, value in diagnosis.evidence.items() if str(value) not in ("", "[]")}
    how = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in evidence.items() if key not in ("layer", "kind"))
    for wording in Cause(diagnosis.cause).wordings if diagnosis.cause in ORDER else ():
        try:
            return wording.format(**{**({"how": how} if how else {}), **evidence})
        except (LookupError, ValueError, TypeError, AttributeError):  # a key is absent, or holds something else
            continue
    return f"{diagnosis.cause.replace('-', ' ')}{': ' if how else ''}{how}"
