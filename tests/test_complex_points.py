"""Complex points: a gradient in the convention that is asked for is correct, and mistakes have their causes."""

import numpy as np
import pytest

from gradcheck import DataError, DescriptionError, GradcheckError, Verdict, check
from gradcheck.candidates.complex_points import as_complex, as_real
from gradcheck.checking.checker import checked
from gradcheck.foundation.validation import Asked
from gradcheck.verdict.causes import sentence

DRAW = np.random.default_rng(0)


def rand(*shape):
    return DRAW.standard_normal(shape) + 1j * DRAW.standard_normal(shape)


A, SEEN, STEER, FILTER, TARGET = rand(20, 8), np.abs(rand(20)), rand(8), rand(16), rand(4, 4)
NOISE = (N := rand(8, 8)) @ N.conj().T


def beam(w):
    return np.vdot(w, NOISE @ w).real / np.abs(np.vdot(w, STEER)) ** 2


def beam_gradient(w):
    power, response = np.vdot(w, NOISE @ w).real, np.vdot(STEER, w)
    gain = np.abs(response) ** 2
    return 2 * NOISE @ w / gain - 2 * power / gain**2 * STEER * response


def rayleigh(v):
    return np.vdot(v, NOISE @ v).real / np.vdot(v, v).real


def filtered(h):
    return np.sum(np.abs(np.fft.ifft(h * FILTER)) ** 4)


def filtered_gradient(h):
    out = np.fft.ifft(h * FILTER)
    return FILTER.conj() * np.fft.fft(np.abs(out) ** 2 * out) / 4


# Each a loss, dL/dx + i dL/dy, and a point.
CASES = {
    "phase retrieval": (
        lambda z: np.sum((np.abs(A @ z) ** 2 - SEEN**2) ** 2) / 4,
        lambda z: A.conj().T @ ((np.abs(A @ z) ** 2 - SEEN**2) * (A @ z)),
        rand(8),
    ),
    "beamforming": (beam, beam_gradient, rand(8)),
    "a state's energy": (rayleigh, lambda v: 2 * (NOISE @ v - rayleigh(v) * v) / np.vdot(v, v).real, rand(8)),
    "overlap of gates": (
        lambda u: 1 - np.abs(np.vdot(TARGET, u)) ** 2 / 16,
        lambda u: -TARGET * np.vdot(TARGET, u) / 8,
        rand(4, 4),
    ),
    "a filter's spectrum": (filtered, filtered_gradient, rand(16)),
    "log-determinant": (lambda m: np.linalg.slogdet(m)[1], lambda m: np.linalg.inv(m).conj().T, rand(4, 4)),
    "phases": (lambda z: np.sum(np.angle(z) ** 2), lambda z: 2j * np.angle(z) * z / np.abs(z) ** 2, rand(5)),
    "complex64": (lambda z: np.sum(np.abs(z) ** 3), lambda z: 3 * np.abs(z) * z, rand(6).astype(np.complex64)),
    "a number": (lambda z: abs(z - 1) ** 2, lambda z: 2 * (z - 1), 2.5 + 2j),
}
OTHER = {"conjugate": "holomorphic-transpose", "holomorphic-transpose": "conjugate"}
MISTAKES = {
    "the other convention": (np.conj, "conjugated"),
    "a Wirtinger derivative": (lambda g: g / 2, "factor"),
    "the other Wirtinger derivative": (lambda g: np.conj(g) / 2, "conjugated"),
    "the real part": (np.real, "left-out"),
    "the imaginary part": (lambda g: 1j * np.imag(g), "left-out"),
    "times i": (lambda g: 1j * g, "factor"),
    "parts exchanged": (lambda g: np.imag(g) + 1j * np.real(g), "permuted"),
    "the sign": (np.negative, "sign"),
}


@pytest.mark.parametrize("convention", OTHER)
@pytest.mark.parametrize("name", CASES)
def test_a_right_gradient_is_correct_in_its_convention_and_conjugated_in_the_other(name, convention):
    loss, gradient, at = CASES[name]

    def claimed(z):
        return gradient(z) if convention == "conjugate" else np.conj(gradient(z))

    assert check(loss, claimed, at, complex=convention).verdict is Verdict.CORRECT
    report = check(loss, claimed, at, complex=OTHER[convention])
    assert report.verdict is Verdict.WRONG
    assert "conjugated" in {diagnosis.cause for diagnosis in report.diagnoses}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["phase retrieval", "beamforming", "complex64"])
def test_each_mistake_has_its_cause(name, mistake):
    loss, gradient, at = CASES[name]
    spoil, cause = MISTAKES[mistake]
    report = check(loss, lambda z: spoil(gradient(z)), at, complex="conjugate")
    assert report.verdict is Verdict.WRONG
    assert report.diagnoses[0].cause == cause


@pytest.mark.parametrize(("spoil", "how"), [(np.transpose, ""), (lambda g: np.conj(g).T, ", and conjugated")])
def test_transposed_matrices_of_complex_numbers_are_told(spoil, how):
    loss, gradient, at = CASES["log-determinant"]
    report = check(loss, lambda m: spoil(gradient(m)), at, complex="conjugate")
    assert sentence(report.diagnoses[0]) == f"the gradient is transposed{how}"


def test_the_words_say_whose_convention_it_is():
    loss, gradient, at = CASES["beamforming"]
    report = check(loss, lambda w: np.conj(gradient(w)), at, complex="conjugate")
    said = sentence(report.diagnoses[0])
    assert "dL/dx - i dL/dy, as JAX and Autograd return it" in said
    assert "dL/dx + i dL/dy, as PyTorch" in said


def test_one_wrong_number_is_named_with_its_part():
    loss, gradient, at = CASES["phase retrieval"]

    def spoilt(z):
        g = gradient(z)
        g[3] += 0.01j * np.abs(g[3])
        return g

    finding = check(loss, spoilt, at, complex="conjugate").findings[0]
    assert (finding.verdict, finding.worst_index) == (Verdict.WRONG, (3, 1))


def test_a_real_gradient_is_right_where_the_imaginary_part_is_zero():
    at = rand(5)
    assert check(lambda z: np.sum(np.sin(z.real)), lambda z: np.cos(z.real), at, complex="conjugate")
    assert not check(lambda z: np.sum(np.sin(z.real) + z.imag), lambda z: np.cos(z.real), at, complex="conjugate")


def test_real_and_complex_blocks_stand_side_by_side():
    def gradient(p):
        return {"w": 2 * p["w"] * p["s"] ** 2, "s": 2 * p["s"] * np.abs(p["w"]) ** 2}

    at = {"w": rand(4), "s": DRAW.standard_normal(4)}
    loss = lambda p: np.sum(np.abs(p["w"] * p["s"]) ** 2)  # noqa: E731
    assert check(loss, gradient, at, complex="conjugate").verdict is Verdict.CORRECT
    assert check(loss, lambda p: {**gradient(p), "w": gradient(p)["w"].conj()}, at, complex="conjugate").wrong == {"w"}


def test_who_hands_in_real_views_gets_the_cause_as_well():
    loss, gradient, at = CASES["beamforming"]

    def views(w):
        return {"w": as_real(np.conj(gradient(as_complex(w["w"]))))}

    point = {"w": as_real(at)}
    report, _ = checked(lambda p: loss(as_complex(p["w"])), views, point, Asked(), complex_blocks={"w": "conjugate"})
    assert report.diagnoses[0].cause == "conjugated"


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({}, DataError, r"at: x is ndarray of complex128: only real arrays are moved; check says by complex= which"),
        ({"complex": "jax"}, DescriptionError, r"complex: expected 'conjugate' or 'holomorphic-transpose', got 'jax'"),
        ({"complex": "conjugate", "complex_step": True}, DescriptionError, "complex_step: complex points are moved by real"),
        ({"complex": "conjugate", "at": np.ones(8)}, DataError, "complex: 'conjugate', and nothing in the point is complex"),
        (
            {"complex": "conjugate", "loss": lambda z: np.vdot(z, z)},
            DataError,
            r"returned .*0j\), expected a real number: take its real part",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, error, words):
    loss, gradient, at = CASES["beamforming"]
    with pytest.raises(error, match=words) as refused:
        check(**{"loss": loss, "gradient": gradient, "at": at, **asked})
    assert isinstance(refused.value, GradcheckError)
    assert "\n" not in str(refused.value)
