"""The pytest plugin: what passes, what fails and what is said of it, with and without pytest-xdist."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import gradcheck
from gradcheck.pytest_plugin import Check, summary

# Runs of pytest within this process forget what they import; numpy's submodules cannot be imported twice.
str(gradcheck.check(np.sum, np.ones_like, np.ones(2)))

pytest_plugins = ["pytester"]

SUBJECTS = """
import numpy as np
import pytest

AT = {"w": np.ones(3), "b": np.zeros(2)}

def loss(p):
    return np.sum(p["w"] ** 2) + np.sum(np.sin(p["b"]))

def right(p):
    return {"w": 2 * p["w"], "b": np.cos(p["b"])}

def wrong(p):
    return {"w": 2 * p["w"], "b": -np.cos(p["b"])}

def inexact(p):
    return {"w": 2 * p["w"], "b": (1 + 1e-8) * np.cos(p["b"])}

def relu(x):
    return np.sum(np.maximum(x, 0))

def step(x):
    return (x > 0) * 1.0

KINK = np.array([0.0, 1.0, -2.0])
"""
THREE = """
def test_right(gradcheck):
    gradcheck(loss, right, AT)
    gradcheck.vjp(np.sin, lambda x, c: c * np.cos(x), np.ones(3))

def test_wrong(gradcheck):
    gradcheck(loss, wrong, AT)

@pytest.mark.gradcheck(accept="nonsmooth", reason="relu at 0")
def test_kink(gradcheck):
    gradcheck(relu, step, KINK)
"""
ACCEPTING = """
@pytest.mark.gradcheck({arguments})
def test_kink(gradcheck):
    gradcheck(relu, step, KINK)
"""
STUB = """
import gradcheck as package
from gradcheck import Finding, Report

def report(*verdicts):
    return Report(title="", findings=tuple(
        Finding(name=f"block {i}", backend="claimed", verdict=verdict) for i, verdict in enumerate(verdicts)))

def answering(monkeypatch, *verdicts, name="check"):
    calls = []
    def function(*args, seed="own", accuracy="own", **options):
        calls.append((args, seed, accuracy, options))
        return report(*verdicts)
    monkeypatch.setattr(package, name, function, raising=False)
    return calls
"""
DISTRIBUTED = pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=["in one process", "distributed"])


@pytest.fixture
def run(pytester, monkeypatch):
    """Run these tests in this process, or in a new one where others start from it."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(tests, *options):
        pytester.makepyfile(SUBJECTS + STUB + tests)
        arguments = ["--strict-markers", *options]
        return pytester.runpytest_subprocess(*arguments) if "-n" in options else pytester.runpytest_inprocess(*arguments)

    return run


def section(result) -> list[str]:
    """The lines of the section of gradient checks, none if there is none."""
    starts = [index for index, line in enumerate(result.outlines) if "== gradient checks ==" in line]
    if not starts:
        return []
    rest = result.outlines[starts[0] + 1 :]
    return rest[: next(index for index, line in enumerate(rest) if "=====" in line)]


def rows(result) -> list[tuple[str, str]]:
    """Test and verdict of every line that lists a check."""
    return [(line.split()[-1].split("::")[1], line.split()[0]) for line in section(result) if "::" in line]


def reports(pytester, name="report.json"):
    return json.loads((pytester.path / name).read_text())


def test_a_correct_gradient_passes_and_its_report_is_returned(run):
    result = run("def test(gradcheck):\n    assert gradcheck(loss, right, AT).verdict == 'correct'\n")
    result.assert_outcomes(passed=1)
    assert rows(result) == [("test", "correct")]


def test_a_check_of_a_name_with_half_a_character_in_it_passes_and_is_reported(run, pytester):
    check = r'gradcheck(lambda p: p["\udc80"] ** 2, lambda p: {"\udc80": 2 * p["\udc80"]}, {"\udc80": 3.0})'
    result = run(f"def test(gradcheck):\n    {check}\n", "--gradcheck-report=report.json")
    result.assert_outcomes(passed=1)
    (found,) = reports(pytester)["checks"]
    assert [finding["name"] for finding in found["report"]["findings"]][-1] == r"\udc80"


def test_a_wrong_gradient_fails_with_the_report_and_the_name_of_its_block(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, wrong, AT)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *GradientMismatch: verdict: wrong", "E *b *claimed *wrong*", "E *[[]1] *-1 *"])
    line = next(line for line in result.outlines if line.startswith("E") and "[1]" in line)
    claimed, reference, _, bound = map(float, line.split()[-4:])
    assert claimed == -1
    assert abs(reference - 1) <= bound < 1e-9
    assert rows(result) == [("test", "wrong")]


def test_a_failure_points_at_the_line_of_the_user(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, wrong, AT)\n", "--tb=short")
    result.stdout.fnmatch_lines(["    gradcheck(loss, wrong, AT)"])
    assert not [line for line in result.outlines if "pytest_plugin.py" in line or "report.py" in line]


def test_all_frames_are_shown_on_request(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, wrong, AT)\n", "--tb=short", "--full-trace")
    assert [line for line in result.outlines if "gradcheck/pytest_plugin.py" in line.replace("\\", "/")]


def test_an_inexact_gradient_passes_and_is_listed(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, inexact, AT)\n")
    result.assert_outcomes(passed=1)
    assert rows(result) == [("test", "inexact")]


@pytest.mark.parametrize("verdict", ["wrong", "unresolved", "nonsmooth"])
def test_whatever_else_fails(run, verdict):
    result = run(f"def test(gradcheck, monkeypatch):\n    answering(monkeypatch, 'correct', {verdict!r})\n    gradcheck()\n")
    result.assert_outcomes(failed=1)
    assert rows(result) == [("test", verdict)]


def test_bad_input_is_an_error_of_the_caller_as_it_is(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, right, AT, accuracy=-1)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *DescriptionError: accuracy: expected a finite float >= 0, got -1"])
    assert section(result) == []


METHODS = {
    "__call__": "check",
    "torch": "check_torch",
    "jax": "check_jax",
    "autograd": "check_autograd",
    "scipy": "check_scipy",
    "vjp": "check_vjp",
    "jvp": "check_jvp",
    "adjoint": "check_adjoint",
    "hvp": "check_hvp",
    "verify": "verify",
}
CALL = """
def test(gradcheck, monkeypatch):
    calls = answering(monkeypatch, {verdict!r}, name={name!r})
    report = gradcheck.{method}(1, 2, option=3)
    assert report.verdict == {verdict!r}
    assert calls == [((1, 2), "own", "own", {{"option": 3}})]
"""


@pytest.mark.parametrize("method", METHODS)
def test_each_method_calls_the_function_that_it_is_named_after(run, method):
    run(CALL.format(method=method, name=METHODS[method], verdict="correct")).assert_outcomes(passed=1)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_asserts(run, method):
    run(CALL.format(method=method, name=METHODS[method], verdict="wrong")).assert_outcomes(failed=1)


def test_adjoint_pairs_and_hessian_products_are_checked_for_real(run):
    result = run(
        """
def product(x, v):
    return 2.0 * v

def test_adjoint(gradcheck):
    gradcheck.adjoint(lambda x: 2 * x, product, product, np.ones(3))

def test_not_adjoint(gradcheck):
    gradcheck.adjoint(lambda x: 2 * x, product, lambda x, c: 3.0 * c, np.ones(3))

def test_hvp(gradcheck):
    gradcheck.hvp(lambda x: 2 * x, product, np.ones(3))
""",
        "--gradcheck-accuracy=1e-6",
        "--gradcheck-seed=3",
    )
    result.assert_outcomes(passed=2, failed=1)
    assert rows(result) == [("test_adjoint", "correct"), ("test_hvp", "correct"), ("test_not_adjoint", "wrong")]


# --- options


OPTIONS = """
def test(gradcheck, monkeypatch):
    calls = answering(monkeypatch, "correct")
    gradcheck()
    gradcheck(seed=8, accuracy=0.5)
    assert [call[1:3] for call in calls] == [{expected}, (8, 0.5)]
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ("own", "own")),
        (["--gradcheck-seed=5"], (5, "own")),
        (["--gradcheck-seed", "0", "--gradcheck-accuracy", "0"], (0, 0.0)),
        (["--gradcheck-accuracy=1e-3"], ("own", 1e-3)),
    ],
    ids=["none", "seed", "zeros", "accuracy"],
)
def test_options_reach_the_calls_that_say_nothing_themselves(run, options, expected):
    run(OPTIONS.format(expected=expected), *options).assert_outcomes(passed=1)


def test_options_reach_the_workers(run):
    options = ["--gradcheck-seed=5", "--gradcheck-accuracy=1e-3", "-n", "2"]
    run(OPTIONS.format(expected=(5, 1e-3)), *options).assert_outcomes(passed=1)


def test_inexact_becomes_wrong_where_no_accuracy_is_granted(run):
    result = run("def test(gradcheck):\n    gradcheck(loss, inexact, AT)\n", "--gradcheck-accuracy=0")
    result.assert_outcomes(failed=1)
    assert rows(result) == [("test", "wrong")]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("seed=-1", "seed: expected int >= 0, got '-1'"),
        ("seed=1.5", "seed: expected int >= 0, got '1.5'"),
        ("accuracy=-1", "accuracy: expected a finite float >= 0, got '-1'"),
        ("accuracy=nan", "accuracy: expected a finite float >= 0, got 'nan'"),
        ("accuracy=much", "accuracy: expected a finite float >= 0, got 'much'"),
    ],
)
def test_a_bad_value_is_one_line_of_usage(run, option, sentence):
    result = run("def test():\n    pass\n", f"--gradcheck-{option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*error: argument --gradcheck-{sentence}"])


# --- the marker


@pytest.mark.parametrize(
    "accept", ['"nonsmooth"', '("unresolved", "nonsmooth")', '{"nonsmooth"}', "package.Verdict.NONSMOOTH"], ids=str
)
def test_an_accepted_verdict_passes_and_its_reason_is_shown(run, accept):
    result = run(ACCEPTING.format(arguments=f'accept={accept}, reason="relu\\n  at 0"'))
    result.assert_outcomes(passed=1)
    assert rows(result) == [("test_kink", "nonsmooth")]
    assert "            accepted: relu at 0" in section(result)


def test_another_verdict_than_the_accepted_ones_fails_and_says_so(run):
    result = run(ACCEPTING.format(arguments='accept=["unresolved", "inexact"], reason="relu at 0"'))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *not accepted by the marker of this test: nonsmooth"])
    assert not [line for line in section(result) if "accepted:" in line]


HIDDEN = """
@pytest.mark.gradcheck(accept={accept}, reason="because")
def test(gradcheck, monkeypatch):
    answering(monkeypatch, "nonsmooth", "unresolved")
    gradcheck()
"""


def test_accepting_the_worst_verdict_does_not_accept_what_it_hides(run):
    result = run(HIDDEN.format(accept='"unresolved"'))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *not accepted by the marker of this test: nonsmooth"])
    assert not [line for line in section(result) if "accepted:" in line]
    run(HIDDEN.format(accept='("nonsmooth", "unresolved")')).assert_outcomes(passed=1)


MARKED_TWICE = """
@pytest.mark.gradcheck(accept=("nonsmooth", "unresolved"), reason="of the class")
class TestAll:
    @pytest.mark.gradcheck(accept="nonsmooth", reason="of the test")
    def test_near(self, gradcheck, monkeypatch):
        answering(monkeypatch, "nonsmooth")
        gradcheck()

    def test_far(self, gradcheck, monkeypatch):
        answering(monkeypatch, "nonsmooth")
        gradcheck()
"""


def test_the_marker_nearest_to_the_test_gives_the_reason(run):
    result = run(MARKED_TWICE)
    result.assert_outcomes(passed=2)
    assert [line.strip() for line in section(result) if "accepted" in line] == [
        "accepted: of the class",
        "accepted: of the test",
    ]


def test_a_reason_is_shown_only_for_what_it_excused(run):
    result = run(
        '@pytest.mark.gradcheck(accept="inexact", reason="r")\ndef test(gradcheck):\n    gradcheck(loss, right, AT)\n'
    )
    result.assert_outcomes(passed=1)
    assert not [line for line in section(result) if "accepted:" in line]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ('accept="wrong", reason="r"', "accept: expected one or several of nonsmooth, unresolved, inexact, got 'wrong'"),
        ('accept=("nonsmooth", "wrong"), reason="r"', "accept: expected one or several of *"),
        ('accept="nonsmoth", reason="r"', "accept: expected one or several of *, got 'nonsmoth'"),
        ('accept=(), reason="r"', "accept: expected one or several of *, got ()"),
        ('accept=3, reason="r"', "accept: expected one or several of *, got 3"),
        ('reason="r"', "accept: expected one or several of *"),
        ('accept="nonsmooth"', "reason: expected why this is accepted, in words, got ''"),
        ('accept="nonsmooth", reason=" "', "reason: expected why this is accepted, in words, got ' '"),
        ('accept="nonsmooth", reason=None', "reason: expected why this is accepted, in words, got None"),
        ('accept="nonsmooth", because="r"', "expected the arguments accept=... and reason=... and no other"),
        ('"nonsmooth", reason="r"', "expected the arguments accept=... and reason=... and no other"),
    ],
)
def test_a_marker_that_cannot_be_is_refused_in_one_line_that_names_the_test(run, arguments, sentence):
    result = run(ACCEPTING.format(arguments=arguments))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*.py::test_kink: pytest.mark.gradcheck: {sentence.replace('[', '[[]')}"])


@DISTRIBUTED
def test_a_wrong_marker_is_an_error_where_nothing_is_checked(run, how):
    test = '@pytest.mark.gradcheck(accept="{accept}", reason="r")\ndef test():\n    pass\n'
    run(test.format(accept="wrong"), *how).assert_outcomes(errors=1)
    run(test.format(accept="nonsmooth"), *how).assert_outcomes(passed=1)


# --- what is written


def test_the_file_holds_every_check_of_the_run(run, pytester):
    run(THREE, "--gradcheck-report=report.json").assert_outcomes(passed=2, failed=1)
    table = reports(pytester)
    assert table["format"] == 1
    assert [(check["test"].split("::")[1], check["verdict"], check["accepted"]) for check in table["checks"]] == [
        ("test_kink", "nonsmooth", "relu at 0"),
        ("test_right", "correct", None),
        ("test_right", "correct", None),
        ("test_wrong", "wrong", None),
    ]
    assert all(check.keys() == {"test", "verdict", "accepted", "report"} for check in table["checks"])
    wrong = table["checks"][-1]["report"]
    assert (wrong["format"], wrong["verdict"], wrong["wrong"]) == (1, "wrong", ["b"])
    assert {finding["name"] for finding in wrong["findings"]} == {"w", "b"}


def test_the_file_is_the_same_however_the_tests_are_distributed(run, pytester):
    run(THREE, "--gradcheck-report=alone.json")
    run(THREE, "--gradcheck-report=together.json", "-n", "2")
    run(THREE.replace("wrong, AT", "right, AT"), "--gradcheck-report=other.json")
    assert reports(pytester, "alone.json") == reports(pytester, "together.json")
    assert reports(pytester, "alone.json") != reports(pytester, "other.json")


HERE = """
def test(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("gradcheck-collector")
"""


def test_workers_neither_print_nor_write(run):
    run(HERE).assert_outcomes(passed=1)
    run(HERE, "-n", "1").assert_outcomes(failed=1)


def test_a_run_without_checks_writes_that_there_were_none(run, pytester):
    run("def test():\n    pass\n", "--gradcheck-report=report.json").assert_outcomes(passed=1)
    assert reports(pytester) == {"format": 1, "checks": []}


def test_collecting_alone_leaves_the_file_of_the_last_run(run, pytester):
    run(THREE, "--gradcheck-report=report.json")
    before = reports(pytester)
    assert run(THREE, "--gradcheck-report=report.json", "--collect-only").ret == 0
    assert reports(pytester) == before


def test_the_path_is_that_of_the_start_wherever_tests_go(run, pytester):
    pytester.mkdir("elsewhere")
    run("def test():\n    import os\n    os.chdir('elsewhere')\n", "--gradcheck-report=report.json")
    assert reports(pytester)["checks"] == []


@DISTRIBUTED
@pytest.mark.parametrize(
    ("path", "sentence"),
    [("no/where.json", "No such file or directory"), (".", "Is a directory"), ("a_file/x", "Not a directory")],
)
def test_an_unwritable_path_is_one_line_before_any_test(run, pytester, how, path, sentence):
    (pytester.path / "a_file").touch()
    result = run("def test():\n    open('ran', 'w')\n", f"--gradcheck-report={path}", *how)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        f"ERROR: --gradcheck-report: {path}: cannot be written: {sentence}"
    ]
    assert not (pytester.path / "ran").exists()


REMOVING = """
def test(gradcheck):
    import shutil
    shutil.rmtree("reports")
    gradcheck(loss, {gradient}, AT)
"""


@pytest.mark.parametrize(
    ("gradient", "code"), [("right", pytest.ExitCode.USAGE_ERROR), ("wrong", pytest.ExitCode.TESTS_FAILED)]
)
def test_a_path_that_becomes_unwritable_is_one_line_and_no_success(run, pytester, gradient, code):
    pytester.mkdir("reports")
    result = run(REMOVING.format(gradient=gradient), "--gradcheck-report=reports/report.json")
    assert result.ret == code
    assert section(result)[-1].startswith("ERROR: --gradcheck-report: ")
    assert section(result)[-1].endswith("report.json: cannot be written: no such folder")
    assert len(rows(result)) == 1


@DISTRIBUTED
def test_every_check_is_a_property_of_its_test_in_junit_xml(run, pytester, how):
    run(THREE + "\ndef test_none():\n    pass\n", "--junitxml=junit.xml", *how)
    cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    found = {case.attrib["name"]: [json.loads(entry.attrib["value"]) for entry in case.iter("property")] for case in cases}
    assert {name: [value["verdict"] for value in values] for name, values in found.items()} == {
        "test_right": ["correct", "correct"],
        "test_wrong": ["wrong"],
        "test_kink": ["nonsmooth"],
        "test_none": [],
    }
    assert found["test_wrong"][0]["report"]["wrong"] == ["b"]


def test_a_reason_that_is_no_xml_is_valid_in_junit_xml(run, pytester):
    run(ACCEPTING.format(arguments=r'accept="nonsmooth", reason="<&\x00\ufffe\ud800é"'), "--junitxml=junit.xml")
    (entry,) = ElementTree.parse(pytester.path / "junit.xml").iter("property")
    assert json.loads(entry.attrib["value"])["accepted"] == "<&\x00\ufffe\ud800é"


PHASES = """
@pytest.fixture
def before_and_after(gradcheck, monkeypatch):
    answering(monkeypatch, "correct")
    gradcheck()
    yield
    answering(monkeypatch, "inexact")
    gradcheck()

def test(before_and_after, gradcheck, subtests, monkeypatch):
    with subtests.test("one"):
        gradcheck(loss, right, AT)
    with subtests.test("two"):
        answering(monkeypatch, "wrong")
        gradcheck(loss, right, AT)

@pytest.fixture
def failing(gradcheck):
    gradcheck(loss, wrong, AT)

def test_failing(failing):
    pass
"""


@DISTRIBUTED
def test_checks_of_fixtures_and_subtests_count_once(run, how):
    if not hasattr(pytest, "Subtests"):
        pytest.skip("pytest 9 has subtests")
    result = run(PHASES, *how)
    assert rows(result) == [
        ("test", "correct"),
        ("test", "correct"),
        ("test", "wrong"),
        ("test", "inexact"),
        ("test_failing", "wrong"),
    ]


def test_a_property_of_the_same_name_by_somebody_else_is_left_alone(run):
    result = run(
        "def test(record_property):\n    record_property('gradcheck', 'yes')\n    record_property('gradcheck', 1)\n"
    )
    assert result.ret == 0
    assert section(result) == []


# --- the summary


def test_the_summary_is_legible_without_colour_at_80_columns(run):
    lines = section(run(THREE))
    assert lines[0] == "verdict     blocks    error  evaluations  test"
    assert [line.split()[0] for line in lines[1:]] == ["nonsmooth", "accepted:", "correct", "correct", "wrong", "error:"]
    columns = {line.split("::")[1]: line.split()[1:4] for line in lines if "::" in line}
    assert columns["test_wrong"][0] == "2"
    assert float(columns["test_wrong"][1]) > 1e6
    assert float(columns["test_right"][1]) < 1
    assert int(columns["test_kink"][2]) > 10
    assert {line.index("test_") for line in lines if "::" in line} == {lines[0].index("test")}
    assert all(len(line) < 80 for line in lines if "::" not in line)
    assert "\x1b" not in "".join(lines)


def test_blocks_are_counted_once_for_all_backends_and_the_loss_is_none():
    findings = [{"name": name} for name in ("loss", "loss", "w", "w", "b", "b")]
    lines = summary([Check("test", "correct", None, "0.5", {"findings": findings, "evaluations": 7})], everything=False)
    assert [line.split() for line, _ in lines][1] == ["correct", "2", "0.5", "7", "test"]


def test_verdicts_are_coloured_on_request(run):
    lines = section(run(THREE, "--color=yes"))
    assert [line[:5] for line in lines if "::" in line] == ["\x1b[33m", "\x1b[32m", "\x1b[32m", "\x1b[31m"]


def test_long_reasons_are_wrapped(run):
    lines = section(run(ACCEPTING.format(arguments=f'accept="nonsmooth", reason="{"word " * 40}"')))
    assert sum(line.count("word") for line in lines) == 40
    assert all(len(line) <= 80 for line in lines if "word" in line)


def test_what_was_not_measured_has_no_error(run):
    lines = section(run("def test(gradcheck):\n    gradcheck(loss, lambda p: None, AT)\n"))
    assert [line.split()[2] for line in lines if "::" in line] == ["-"]


def test_there_is_no_summary_where_nothing_was_checked(run):
    assert section(run("def test():\n    pass\n")) == []
    assert section(run("def test(gradcheck):\n    gradcheck(loss, right, AT)\n")) != []


MANY = """
@pytest.mark.parametrize("i", range({count}))
def test(gradcheck, monkeypatch, i):
    answering(monkeypatch, *(["wrong"] if i == {wrong} else ["inexact"] if i == 7 else ["correct"]))
    gradcheck()
"""


def test_many_correct_checks_are_one_line_and_no_other_is_folded(run):
    result = run(MANY.format(count=60, wrong=50))
    assert rows(result) == [("test[50]", "wrong"), ("test[7]", "inexact")]
    assert section(result)[-1] == "58 more: correct"


def test_many_correct_checks_and_nothing_else_are_one_line(run):
    result = run(MANY.format(count=60, wrong=-1).replace("i == 7", "i == -1"))
    assert section(result) == ["60 checks: correct"]


def test_few_correct_checks_are_all_listed(run):
    thirty_correct = run(MANY.format(count=31, wrong=-1))
    assert len(rows(thirty_correct)) == 31
    one_more = run(MANY.format(count=32, wrong=-1))
    assert len(rows(one_more)) == 1


def test_all_checks_are_listed_on_request(run):
    assert len(rows(run(MANY.format(count=60, wrong=50), "-v"))) == 60


# --- loading


def loaded(code: str) -> set[str]:
    code = f"import sys, pytest; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.split(".")[0] for name in found.split()}


HEAVY = {"numpy", "scipy", "msgspec", "optree", "rich", "typer", "torch", "jax", "autograd", "hypothesis", "sklearn"}


def test_loading_the_plugin_imports_only_pytest_and_the_standard_library():
    assert not loaded("import gradcheck.pytest_plugin") & HEAVY
    assert loaded("import gradcheck.pytest_plugin; gradcheck.check") >= {"numpy", "msgspec"}


IMPORTED = """
def test(gradcheck):
    {before}
    import sys
    assert not set(sys.modules) & {heavy}
"""


OTHERS = ("-p", "no:hypothesispytest", "-p", "no:jaxtyping")  # plugins that import what they are for


def test_a_run_without_checks_imports_nothing_heavy(pytester):
    pytester.makepyfile(IMPORTED.format(before="pass", heavy=HEAVY))
    pytester.runpytest_subprocess(*OTHERS).assert_outcomes(passed=1)
    pytester.makepyfile(IMPORTED.format(before="import numpy", heavy=HEAVY))
    pytester.runpytest_subprocess(*OTHERS).assert_outcomes(failed=1)


def test_the_fixture_and_the_options_are_documented(pytester):
    pytester.runpytest_inprocess("--fixtures").stdout.fnmatch_lines(["gradcheck*", "*Check gradients: *"])
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.gradcheck(accept, reason): *"])
    pytester.runpytest_inprocess("--help").stdout.fnmatch_lines(["gradient checks:", "*--gradcheck-seed=N*"])
