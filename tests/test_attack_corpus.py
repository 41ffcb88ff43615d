"""The corpus that attacks `check` is itself right: its gradients, its names, the sizes of its faults."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ATTACK = Path(__file__).resolve().parents[1] / "benchmarks" / "attack"
CLOSE = 1e-5  # of the best central difference
ROUGH = ("noise.float32 arguments",)  # its loss takes float32 for what it is


@pytest.fixture(scope="module")
def attack():
    """The modules of the attack, which no other test is to find loaded."""
    before = {*sys.modules}
    sys.path.insert(0, str(ATTACK))
    names = ("base", "catalogue", "planting", "asking", "counting")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.path.remove(str(ATTACK))
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").parent == ATTACK:
            del sys.modules[name]


def small_draw(attack, kind):
    """Of the first draws of a kind, one with few parameters: a comparison is for the formula."""

    def size(subject):
        return sum(np.size(leaf) for _, leaf in attack.base.leaves(subject.problem.at))

    return min((attack.catalogue.draw(kind, number) for number in range(3)), key=size)


def disagreements(attack, subject):
    """Blocks whose claim no central difference agrees with, at most three of them looked at."""
    base, problem = attack.base, subject.problem
    claimed = dict(base.leaves(problem.gradient(problem.at)))
    names = [name for name, g in claimed.items() if np.any(g) and name not in problem.zero][:3]
    found = []
    for name in names:
        rng = np.random.default_rng(0)
        try:
            off = base.agreement(problem, name, rng, "longdouble")
        except TypeError:
            off = base.agreement(problem, name, rng, "float64")
        if not off < CLOSE:
            found.append((subject.name, name, off))
    return found


def test_there_are_many_kinds(attack):
    assert len(attack.catalogue.KINDS) >= 150


def test_every_gradient_is_that_of_its_loss(attack):
    draws = [small_draw(attack, kind) for kind in attack.catalogue.KINDS]
    decidable = [one for one in draws if not (one.problem.exact or one.problem.buried or one.kind in ROUGH)]
    assert len(decidable) > 130
    assert [found for one in decidable for found in disagreements(attack, one)] == []


def test_a_mistake_in_any_kind_is_found(attack):
    """The twin."""
    for kind in ("smooth.attention", "fast.chirp", "kink.relu", "shifted.hour in unix time", "blocks.numbers"):
        subject = small_draw(attack, kind)
        name = next(iter(dict(attack.base.leaves(subject.problem.at))))
        planted = attack.planting.spoilt(subject.problem, "entry", name, attack.planting.entry_off(0, 1e-2))
        assert disagreements(attack, replace(subject, problem=replace(subject.problem, gradient=planted.gradient)))


def test_what_is_called_zero_is_zero_to_rounding(attack):
    zeros = [small_draw(attack, kind) for kind in attack.catalogue.KINDS]
    zeros = [one.problem for one in zeros if one.problem.zero]
    assert len(zeros) > 10
    for problem in zeros:
        claimed = dict(attack.base.leaves(problem.gradient(problem.at)))
        largest = max(float(np.max(np.abs(g), initial=0)) for g in claimed.values())
        for name in problem.zero:
            assert np.max(np.abs(claimed[name]), initial=0) <= 1e-12 * max(largest, 1)


def test_few_draws_are_set_aside(attack):
    draws = [attack.catalogue.draw(kind, 5) for kind in attack.catalogue.KINDS if "large" not in kind]
    assert sum(one.ill for one in draws) < 0.05 * len(draws)


def test_a_subject_is_rebuilt_from_its_name(attack):
    for kind in list(attack.catalogue.KINDS)[::7]:
        first, again = attack.catalogue.draw(kind, 17), attack.catalogue.find(f"{kind}-17")
        assert again.name == first.name
        pairs = zip(attack.base.leaves(first.problem.at), attack.base.leaves(again.problem.at), strict=True)
        assert all(one[0] == other[0] and np.array_equal(one[1], other[1]) for one, other in pairs)


@pytest.mark.parametrize("kind", ["smooth.cross entropy", "blocks.numbers", "kink.relu", "smooth.quadratic"])
def test_a_fault_has_the_size_that_it_says_and_the_others_are_right(attack, kind):
    base, problem = attack.base, attack.catalogue.draw(kind, 3).problem
    correct = dict(base.leaves(problem.gradient(problem.at)))
    for what in attack.planting.KINDS:
        planted = attack.planting.plant(np.random.default_rng(1), problem, what)
        if planted is None:
            continue
        claimed = dict(base.leaves(planted.gradient(problem.at)))
        for name, g in claimed.items():
            delta, judge = np.abs(np.asarray(g) - correct[name]), g if np.any(g) else correct[name]
            unit = np.maximum(np.abs(judge), np.sqrt(np.mean(np.square(judge))))
            assert np.max(delta / unit) == pytest.approx(planted.sizes[name], rel=1e-9)
            assert (name in planted.right) == (not delta.any())
            assert np.shape(g) == np.shape(correct[name])
        assert len(planted.right) == len(correct) - 1


def test_an_entry_is_off_by_as_much_as_asked_for(attack):
    g = np.array([[1.0, -2.0], [0.0, 4.0]])
    changed = attack.planting.entry_off(2, 1e-3)(g)
    assert changed[1, 0] == pytest.approx(1e-3 * np.sqrt(21 / 4))
    assert np.argwhere(changed != g).tolist() == [[1, 0]]


def test_a_question_is_answered_and_counted(attack):
    right, wrong = attack.asking.correct("smooth.quadratic-1"), attack.asking.faulty("smooth.quadratic-1", "sign")
    assert not attack.counting.accused(right)
    assert attack.counting.found(wrong)
    assert not attack.counting.innocent(wrong)
