"""The tour: its mathematics against a transcription that shares nothing with it, its command, and the notebook."""

import re
import runpy
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import mpmath
import numpy as np
import pytest

import gradcheck
from gradcheck import Given
from gradcheck.cli.app import Exit
from gradcheck.foundation.arithmetic import UNIT
from gradcheck.network.analysis.rounding import error_bounds
from gradcheck.tour import table
from gradcheck.tour.step import Result, Step
from gradcheck.tour.steps import derivatives, functions, gradients, passes
from gradcheck.tour.tour import Tour, moons_case

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.py"
HIDDEN = [(), (1,), (8,), (15,), (3, 4), (4, 5, 8, 4)]


def textbook(case, margin_sign=1, slope=lambda u: 1 / (1 + u**2)):
    """Loss and gradients by the formulas as they are printed, one sample a column: x_{r+1} = rho(A_r x_r + b_r)."""
    columns, label = case.batch.inputs.T, case.batch.targets.T
    given, count = case.parameters, columns.shape[1]
    depth = len(given) // 2
    matrix = [given[f"{2 * r}.weight"] for r in range(depth)]
    shift = [given[f"{2 * r}.bias"].reshape(-1, 1) for r in range(depth)]
    x, inside = [columns], []
    for r in range(depth):
        inside.append(matrix[r] @ x[r] + shift[r])
        x.append(np.arctan(inside[r]))
    power = np.exp(-margin_sign * label * x[depth])
    loss = np.log(1 + power).sum() / count
    nabla, found = -label * power / (1 + power) / count, {}
    for r in range(depth - 1, -1, -1):
        m = slope(inside[r]) * nabla
        found[f"{2 * r}.weight"], found[f"{2 * r}.bias"] = m @ x[r].T, m @ np.ones(count)
        nabla = matrix[r].T @ m
    return loss, found


def disagreement(case, **planted):
    """How far loss and gradients of the manual build are from the textbook, in units of how far rounding may put them."""
    loss, found = textbook(case, **planted)
    ours, gradients = gradcheck.backend("manual").build(case.network).loss_and_gradients(case.parameters, case.batch)
    bounds = error_bounds(case.network, case.parameters, *case.batch, "float64")
    worst = max(np.max(np.abs(found[name] - gradients[name]) / (2 * bounds.rounding[name])) for name in gradients)
    return abs(loss - ours) / (2 * bounds.loss), worst


@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: "-".join(map(str, (2, *hidden, 1))))
@pytest.mark.parametrize("seed", range(5))
def test_the_manual_build_is_the_textbook_to_rounding(hidden, seed):
    loss, worst = disagreement(moons_case(*hidden, seed=seed))
    assert loss < 0.1
    assert worst < 1


def test_a_textbook_with_a_mistake_is_seen():
    """The twin: a sign in the loss, and a slope that belongs to another function."""
    case = moons_case(8)
    loss, _ = disagreement(case, margin_sign=-1)
    right, worst = disagreement(case, slope=lambda u: 1 / (1 + np.abs(u)))
    assert loss > 1e6
    assert right < 0.1
    assert worst > 1e6


@pytest.mark.parametrize("y", [-1.0, 1.0])
@pytest.mark.parametrize("z", [*np.linspace(-60, 60, 41), *np.linspace(-700, 700, 15)])
def test_both_forms_of_the_loss_are_one_where_the_textbook_does_not_overflow(z, y):
    for theirs, ours in zip(functions.textbook_loss(z, y), functions.stable_loss(z, y), strict=True):
        assert abs(theirs - ours) <= 4 * UNIT * max(abs(ours), 1)


def test_where_the_textbook_overflows_the_stable_form_does_not():
    assert functions.textbook_loss(-1000.0, 1.0)[0] == np.inf
    assert np.isnan(functions.textbook_loss(-1000.0, 1.0)[1])
    assert functions.stable_loss(-1000.0, 1.0) == (1000.0, -1.0)
    assert functions.stable_loss(1000.0, -1.0) == (1000.0, 1.0)


@pytest.mark.parametrize("order", range(1, derivatives.ORDERS + 1))
def test_each_derivative_is_the_exact_one_within_its_bound(order):
    x = np.array([-7.0, -2.5, -0.3, 0.0, 1.1, 6.0])
    with mpmath.workdps(60):
        truth = np.array([float(mpmath.diff(lambda v: mpmath.tanh(v / 2), mpmath.mpf(v), order)) for v in x])
    bound = derivatives.bound(x, order)
    assert (np.abs(derivatives.exact(x, order) - truth) <= bound).all()
    assert (np.abs(derivatives.repeated(order)(x) - truth) <= bound).all()
    assert (
        np.abs(derivatives.exact(x, order) * (1 + 1e-5) - truth) > bound
    ).any()  # the twin: a bound that lets all pass is none


def test_the_recursion_is_that_of_the_manual_build_and_a_wrong_slope_in_it_is_seen(monkeypatch):
    assert passes.backward_step(Tour()).held
    monkeypatch.setattr(passes, "activation_slopes", lambda _layer, u: 1 / (1 + np.abs(u)))
    assert not passes.backward_step(Tour()).held


def test_a_wrong_formula_of_a_derivative_is_seen(monkeypatch):
    right = derivatives.polynomial
    monkeypatch.setattr(derivatives, "polynomial", lambda order: right(order) * (1 + 1e-8 * (order == 3)))
    found = derivatives.derivatives(Tour(quick=True))
    assert not found.held
    assert {name for name, ratio in found.numbers.items() if name.startswith("ratio") and ratio > 1} == {"ratio_4"}


def test_a_quadratic_form_that_is_not_symmetric_is_seen(monkeypatch):
    assert derivatives.quadratic(Tour()).numbers["difference"] == 0
    right = derivatives._drawn
    monkeypatch.setattr(derivatives, "_drawn", lambda *given, **how: (np.triu((drawn := right(*given, **how))[0]), drawn[1]))
    assert not derivatives.quadratic(Tour()).held


def test_the_errors_of_finite_differences_make_a_v():
    point, v = {"x": np.array([0.3])}, {"x": np.array([1.0])}
    errors = {
        rule: [abs(rule(lambda p: np.sin(p["x"][0]), point, v, h) - np.cos(0.3)) for h in (1e-13, h_best, 1e-1)]
        for rule, h_best in ((gradients.one_sided, gradients.ONE_SIDED), (gradients.central, gradients.CENTRAL))
    }
    for small, best, large in errors.values():
        assert best < min(small, large) / 100
    assert errors[gradients.central][1] < errors[gradients.one_sided][1] / 10


@pytest.fixture
def tour(tmp_path, monkeypatch, command_line):
    """Run the command in an empty folder; its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)
    return partial(command_line, "tour")


def test_a_quick_tour_writes_pictures_and_one_page(tmp_path):
    began = time.monotonic()
    command = [sys.executable, "-m", "gradcheck", "tour", "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 100  # 10 on an idle machine
    assert done.returncode == Exit.GOOD, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [step.name for step in table.STEPS]
    assert all(len(line) <= 110 for line in lines)
    assert "16 builds" in done.stdout
    assert "skipped: no data" in lines[16]
    assert not done.stderr
    page = (tmp_path / "tour" / "index.html").read_text()
    pictures = sorted(path.name for path in (tmp_path / "tour").glob("*.png"))
    assert len(pictures) == page.count("data:image/png;base64,") == 17
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert not re.search(r"https?://", page)
    assert page.count('<p class="formula">') == len(table.STEPS)


@pytest.mark.parametrize("only", ["loss", "4", " LOSS "])
def test_a_step_is_named_or_numbered(tour, only):
    code, out, _ = tour("--only", only, "--out", "here")
    assert code == Exit.GOOD
    assert out.splitlines()[0].startswith(" 4 loss        at y z = -1000 the textbook gives inf")
    assert {path.name for path in Path("here").iterdir()} == {"04-loss-1.png", "index.html"}
    assert tour("--only", only, "--out", "here")[0] == Exit.GOOD  # what a tour has written may be written again


@pytest.mark.parametrize(
    ("only", "said"), [("armjo", "did you mean 'armijo'?"), ("18", "there are 17"), ("", "known: data, activation")]
)
def test_an_unknown_step_is_one_line(tour, only, said):
    code, _, err = tour("--only", only)
    assert code == Exit.USAGE
    assert err.startswith("gradcheck: --only: no such step")
    assert said in err
    assert err.count("\n") == 1
    assert not Path("tour").exists()


@pytest.mark.parametrize("name", ["notes.txt", "index.html", "01-data-1.png", ".hidden"])
def test_a_folder_with_anything_else_in_it_is_left_alone(tour, name):
    Path("tour").mkdir()
    (Path("tour") / name).write_text("mine")
    code, _, err = tour("--only", "data")
    assert code == Exit.USAGE
    assert err == f"gradcheck: tour: holds {name}, which no tour has written: give another folder with --out\n"
    assert (Path("tour") / name).read_text() == "mine"
    assert len(list(Path("tour").iterdir())) == 1


def test_a_folder_that_is_a_file_is_one_line(tour):
    Path("tour").write_text("mine")
    code, _, err = tour("--only", "data")
    assert code == Exit.USAGE
    assert "gradcheck: tour: cannot be made or read" in err


@pytest.mark.parametrize(
    ("library", "step", "loaded"),
    [("autograd", "derivatives", "derivatives"), ("autograd", "quadratic", "derivatives"), ("torch", "torch", "sequential")],
)
def test_a_step_whose_library_is_missing_is_skipped_with_a_hint(tour, monkeypatch, library, step, loaded):
    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"gradcheck.tour.steps.{loaded}", raising=False)
    code, out, _ = tour("--only", step)
    assert code == Exit.GOOD
    assert f"skipped: {library} is not installed: pip install 'gradcheck[{library}]'" in out


def test_without_builds_to_compare_with_that_step_is_skipped_and_the_gradient_is_checked_all_the_same(tour, monkeypatch):
    monkeypatch.setattr("gradcheck.builds.registry.version", lambda distribution: "1" if distribution == "numpy" else None)
    assert "skipped: nothing to compare with: pip install 'gradcheck[autograd,torch]'" in tour("--only", "builds")[1]
    _, out, _ = tour("--only", "gradients")
    assert "verify says correct" in out
    assert "autograd and torch not installed: pip install 'gradcheck[autograd,torch]'" in " ".join(out.split())


def test_without_matplotlib_there_are_figures_and_no_pictures(tour, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, _ = tour("--only", "data")
    assert code == Exit.GOOD
    assert out.splitlines()[0] == "no pictures: pictures need matplotlib: pip install 'gradcheck[plot]'"
    assert "400 points" in out
    assert [path.name for path in Path("tour").iterdir()] == ["index.html"]


def test_a_step_that_does_not_hold_is_shown_and_fails(tour, monkeypatch):
    failing = Step("bad", "Bad", "1 = 2", lambda _tour: Result("1 is not 2", {}, held=False))
    monkeypatch.setattr(table, "NUMBERED", {1: failing})
    code, out, _ = tour()
    assert code == Exit.WRONG
    assert out.startswith(" 1 bad         DOES NOT HOLD: 1 is not 2\n")
    assert "a step did not hold" in Path("tour/index.html").read_text()


def write_moons(path, labels):
    inputs, targets = moons_case(15).batch
    lines = [f"{labels[int(y > 0)]} 1:{a:.17g} 2:{b:.17g}" for (a, b), (y,) in zip(inputs, targets, strict=True)]
    Path(path).write_text("\n".join(lines))


def test_data_of_ones_own_are_read_trained_on_and_judged(tour):
    write_moons("mine.libsvm", ("3", "7"))
    code, out, _ = tour("--only", "own", "--quick", "--data", "mine.libsvm")
    assert code == Exit.GOOD
    assert re.search(r"17 own +2-15-1: \d+\.\d% of 80 samples held out are right, \d+\.\d% of 320 trained on", out)
    assert "labels 3 and 7 became -1 and" in Path("tour/index.html").read_text()


def test_data_that_cannot_be_read_are_said_before_anything_is_done(tour):
    write_moons("mine.libsvm", ("3", "3"))
    for name, said in (("mine.libsvm", "one class only"), ("none.libsvm", "No such file")):
        code, out, err = tour("--data", name)
        assert code == Exit.USAGE
        assert not out
        assert said in err
        assert err.startswith(f"gradcheck: {name}: ")
        assert err.count("\n") == 1
    assert not Path("tour").exists()


def test_a_training_is_run_once():
    tour = Tour(quick=True)
    assert tour.trained(tour.case) is tour.trained(tour.case)
    assert tour.trained(tour.case) is not tour.trained(tour.case, backend="autograd")


def test_builds_that_differ_in_more_than_rounding_are_seen(monkeypatch):
    from gradcheck.tour.steps import builds

    tour = Tour(quick=True)
    monkeypatch.setattr(tour, "shortened", lambda _iterations: 20)
    right = builds.trainings(tour, tour.case, [("manual", "autograd")])
    assert right[0].first(right[0].allowed) == "never"

    def off(network, parameters, batch):
        loss, gradients = gradcheck.backend("manual").build(network).loss_and_gradients(parameters, batch)
        return loss, {**gradients, "0.bias": gradients["0.bias"] * (1 + 1e-9)}

    wrong = builds.trainings(tour, tour.case, [("manual", off)])
    assert int(wrong[0].first(wrong[0].allowed)) < 20


def test_the_notebook_runs(monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr("sys.argv", [str(NOTEBOOK), "--quick"])
    runpy.run_path(str(NOTEBOOK))
    said = capsys.readouterr().out
    assert "should be 0: 0.0" in said
    assert said.count("correct, ") == 6
    import matplotlib.pyplot

    matplotlib.pyplot.close("all")


def test_the_notebook_is_in_jupytexts_percent_format():
    cells = re.split(r"^# %%", NOTEBOOK.read_text(), flags=re.MULTILINE)
    assert "format_name: percent" in cells[0]
    markdown = [cell for cell in cells if cell.startswith(" [markdown]\n")]
    assert len(markdown) >= 14
    assert all(line.startswith("#") for cell in markdown for line in cell.strip().splitlines()[1:])
    for step in range(1, 17):
        heads = [cell.splitlines()[1] for cell in markdown]
        assert any(step in _numbers(head) for head in heads), step


def _numbers(head):
    """``## 7 to 9. Three ways`` and ``## 10, 11 and 15. Maps``"""
    label = head.removeprefix("# ##").partition(".")[0]
    first = [int(number) for number in re.findall(r"\d+", label)]
    return range(first[0], first[-1] + 1) if " to " in label else first


def test_given_parameters_may_be_anybodys():
    """The transcription follows whatever parameters a case has."""
    case = moons_case(2)
    mine = Given.of({name: np.full_like(value, 0.25) for name, value in case.parameters.items()})
    loss, worst = disagreement(gradcheck.Case(case.network, data=case.data, samples=50, init=mine))
    assert loss < 0.1
    assert worst < 1
