"""The reference survives the complex step, longdouble and logits of 1e4, layer by layer and loss by loss."""

import mpmath
import numpy as np
import pytest

from gradcheck.foundation.arithmetic import COMPLEX_STEP, COMPLEX_STEP_FLOAT32
from gradcheck.network import layers as ly
from gradcheck.network import losses as ls
from gradcheck.network import reference
from gradcheck.oracles.complex_step import complex_step
from gradcheck.strategies import ACTIVATIONS, LOSSES

POINTS = np.array([-1e4, -700.0, -30.0, -5.0, -1.3, -1e-8, 1e-8, 0.4, 2.0, 7.0, 30.0, 700.0, 1e4])
EXTENDED = np.finfo(np.longdouble).eps < 1e-18


def exact(layer: ly.Activation, z: float):
    """rho(z) in 60 digits, written from the textbook definition."""
    z, one = mpmath.mpf(z), mpmath.mpf(1)
    match layer:
        case ly.Arctan():
            return mpmath.atan(z)
        case ly.Tanh():
            return mpmath.tanh(z)
        case ly.Sigmoid():
            return one / (1 + mpmath.exp(-z))
        case ly.ReLU():
            return max(z, mpmath.mpf(0))
        case ly.LeakyReLU():
            return z if z > 0 else layer.slope * z
        case ly.ELU():
            return z if z > 0 else layer.alpha * mpmath.expm1(z)
        case ly.GELU(approximate="tanh"):
            return z / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (z + mpmath.mpf(0.044715) * z**3)))
        case ly.GELU():
            return z * mpmath.ncdf(z)
        case ly.SiLU():
            return z / (1 + mpmath.exp(-z))
        case ly.Softplus():
            return mpmath.log1p(mpmath.exp(z))
        case _:
            return z


def close(found, expected, units: float = 40) -> bool:
    """Within some units in the last place; values that underflow count as 0."""
    return abs(found - expected) <= units * 2**-53 * abs(expected) + 1e-300


@pytest.mark.parametrize("step", [COMPLEX_STEP_FLOAT32, COMPLEX_STEP])
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_values_and_complex_step_slopes_are_accurate_at_every_size(layer, step):
    with mpmath.workdps(60), np.errstate(over="raise", invalid="raise", divide="raise"):
        for z in POINTS:
            value = reference.apply(layer, {}, np.array([z]))[0]
            at, one = {"z": np.array([z])}, {"z": np.ones(1)}
            slope = complex_step(lambda p: reference.apply(layer, {}, p["z"])[0], at, one, step)
            # The argument of erfc and of exp(-z^2 / 2) is itself rounded: z^2 units more.
            assert close(value, exact(layer, z), 400 + min(4 * z * z, 1e6)), z
            expected = mpmath.diff(lambda t: exact(layer, t), mpmath.mpf(z), h=mpmath.mpf(10) ** -25)
            assert close(slope, expected, 4000) or abs(slope - expected) < 1e-22, z


def test_the_textbook_forms_that_fail_the_complex_step_are_noticed():
    """The twin: softplus with abs, relu with maximum and the quotient form of sigmoid are refused by the same test."""
    ways = {
        "abs": lambda z: np.maximum(z.real, 0) + np.log1p(np.exp(-np.abs(z))),
        "quotient": lambda z: 1 / (1 + np.exp(-z)),
    }
    one = {"z": np.ones(1)}
    with np.errstate(all="ignore"):
        wrong = complex_step(lambda p: ways["abs"](p["z"])[0], {"z": np.array([0.4])}, one)
        nan = complex_step(lambda p: ways["quotient"](p["z"])[0], {"z": np.array([-1e4])}, one)
    assert not close(wrong, 1 / (1 + np.exp(-0.4)))
    assert np.isnan(nan)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble", "complex128"])
def test_dtypes_are_kept(layer, dtype):
    z = np.array([-2.0, 0.5], dtype=dtype)
    if dtype == "longdouble" and layer == ly.GELU():
        pytest.skip("SciPy's erfc has no longdouble; tests/truth.py computes that layer with mpmath")
    assert reference.apply(layer, {}, z).dtype == dtype


@pytest.mark.skipif(not EXTENDED, reason="longdouble is double here")
@pytest.mark.parametrize("layer", [layer for layer in ACTIVATIONS if layer != ly.GELU()], ids=repr)
def test_longdouble_gains_digits(layer):
    with mpmath.workdps(60):
        for z in (-3.7, -0.1, 0.3, 2.9):
            found = reference.apply(layer, {}, np.array([z], dtype="longdouble"))[0]
            assert abs(mpmath.mpf(str(found)) - exact(layer, z)) <= 2e-17 * abs(exact(layer, z)) or "GELU" in repr(layer)


def exact_loss(loss: ls.Loss, z, y):
    """One sample's loss in 60 digits."""
    match loss:
        case ls.Logistic():
            return mpmath.log1p(mpmath.exp(-y * z[0]))
        case ls.BinaryCrossEntropy():
            return mpmath.log1p(mpmath.exp(z[0])) - y * z[0]
        case ls.CrossEntropy():
            return mpmath.log(sum(mpmath.exp(each) for each in z)) - z[int(y)]
        case ls.MSE():
            return (z[0] - y) ** 2
        case ls.Huber():
            size = abs(z[0] - y)
            return size**2 / 2 if size <= loss.delta else loss.delta * (size - mpmath.mpf(loss.delta) / 2)
        case _:
            return max(mpmath.mpf(0), 1 - y * z[0])


def test_a_far_away_logit_takes_no_digits_from_the_others():
    """Subtracting the target's logit first would: exp(z - z_y - max(z - z_y)) has lost what lies below 1e11 u."""
    logits, target = np.array([[0.3, -1.2, 0.7, -3e11]]), np.array([3])
    at = {"z": logits}
    p = np.exp(logits[0, :3] - 0.7) / np.exp(logits[0, :3] - 0.7).sum()
    for k in range(3):
        slope = complex_step(lambda q: reference.losses(ls.CrossEntropy(), q["z"], target).mean(), at, {"z": np.eye(4)[[k]]})
        assert slope == pytest.approx(p[k], rel=1e-15)


@pytest.mark.parametrize("step", [COMPLEX_STEP_FLOAT32, COMPLEX_STEP])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_losses_and_their_complex_step_slopes_are_accurate_up_to_logits_of_1e4(loss, step):
    targets = {ls.Targets.SIGNS: [-1.0, 1.0], ls.Targets.CLASSES: [0, 1]}.get(loss.targets, [0.0, 1.0])
    with mpmath.workdps(60), np.errstate(over="raise", invalid="raise", divide="raise"):
        for z in (-1e4, -40.0, -1.2, -0.1, 0.3, 0.9, 33.0, 1e4):
            for y in targets:
                logits = [z, 0.25] if loss.targets is ls.Targets.CLASSES else [z]
                target = np.array([y]) if loss.targets is ls.Targets.CLASSES else np.array([[y]])

                def mean(p, target=target):
                    return reference.losses(loss, p["z"], target).mean()

                exact_at = [mpmath.mpf(each) for each in logits]
                expected = exact_loss(loss, exact_at, y)
                assert abs(mean({"z": np.array([logits])}) - expected) <= 1e-14 * max(abs(expected), 1)
                slope = complex_step(mean, {"z": np.array([logits])}, {"z": np.eye(1, len(logits))}, step)
                rest = exact_at[1:]
                derivative = mpmath.diff(lambda t, y=y, rest=rest: exact_loss(loss, [t, *rest], y), exact_at[0], h=1e-25)
                assert abs(slope - derivative) <= 1e-13 * max(abs(derivative), 1e-3)


def test_kinks_take_the_slope_that_the_table_states():
    for layer in ACTIVATIONS:
        for kink in layer.kinks:
            slope = complex_step(
                lambda p, layer=layer: reference.apply(layer, {}, p["z"])[0], {"z": np.array([kink.at])}, {"z": np.ones(1)}
            )
            assert slope == kink.chosen


class Unknown(ly.Layer, frozen=True):
    """A third party's, for which nothing is registered."""


def test_an_operation_without_a_rule_says_what_to_register():
    with pytest.raises(
        NotImplementedError, match=r"no Unknown: register a function for it with @reference\.apply\.register"
    ):
        reference.apply(Unknown(), {}, np.zeros((1, 2)))


def test_an_operation_without_a_rule_for_a_row_of_ours_is_a_bug_of_ours():
    """The twin: a layer and a loss of gradcheck's own, whose rules are missing."""
    own = {"__module__": "gradcheck.network.layers.forgotten"}
    layer, loss = (type("Forgotten", (kind,), own, frozen=True)() for kind in (ly.Layer, ls.Loss))
    z = np.zeros((1, 2))
    for operation in (lambda: reference.apply(layer, {}, z), lambda: reference.losses(loss, z, z)):
        with pytest.raises(NotImplementedError, match="knows no Forgotten: this is a bug in gradcheck, please report it"):
            operation()
