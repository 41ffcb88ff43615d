"""A report for people: text that keeps its width and a page that is well-formed, whatever the names and numbers are."""

import math
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import gradcheck
from gradcheck import Verdict, cli
from gradcheck.report import Report
from gradcheck.report.heatmap import heat_map, ranges, shade
from gradcheck.report.sections import sections
from gradcheck.report.text import render, to_text
from gradcheck.verdict.causes import Cause, advice, sentence
from gradcheck.verdict.findings import Diagnosis, Entry, Finding

EVIDENCE = {
    "given-dtype": [{}, {"dtype": "float32", "error": 0.5}, {"wider": "float32", "dtype": "bfloat16", "error": 0.5}],
    "sign": [{}],
    "hessian-convention": [{}, {"how": "it is 1 everywhere"}],
    "weights": [{}, {"how": "left out"}],
    "label-encoding": [{}, {"given": "0, 1", "meant": "-1, 1"}],
    "link": [{}, {"how": "derivatives by the probability"}],
    "offset": [{}, {"offset": 0.5}],
    "conjugated": [
        {},
        {"claimed": "dL/dx - i dL/dy", "asked": "dL/dx + i dL/dy"},
        {"claimed": "dL/dx - i dL/dy", "asked": "dL/dx + i dL/dy", "wirtinger": "dL/dz"},
    ],
    "cotangent-ignored": [{}, {"output": "output", "taken_for": "ones"}],
    "cotangent-scalar": [{}, {"output": "output"}],
    "cotangent-first-row": [{}, {"output": "output", "axis": 0}],
    "masked-tail": [
        {},
        {"first": 64, "last": 79, "axis": 1, "how": "zero"},
        {"first": 64, "last": 79, "axis": 1, "of": "output"},
        {"first": 64, "last": 79, "axis": 1, "unread": "args.0"},
    ],
    "left-out": [
        {},
        {"part": "imaginary"},
        {"which": "index 3", "axis": 0},
        {"which": "index 3", "axis": 0, "of": "output"},
        {"which": "index 3", "axis": 0, "unread": "args.0"},
    ],
    "scale": [
        {},
        {"side": "smaller", "factor": 8.0, "formula": "sqrt(n)", "n": 64, "axis": 1, "of": "args.0"},
        {"factor": 8.0, "formula": "sqrt(n)", "n": 64, "axis": 1, "of": "args.0"},
        {"factor": 5.0, "of": "args.0"},
        {"of": "args.1", "instead": "ones"},
    ],
    "wrong-stride": [{}, {"of": "args.0", "axes": [0, 1]}, {"axes": [0, 1]}],
    "exchanged": [{}, {"of": ["args.0", "args.1"]}],
    "reordered": [{}, {"of": "args.0", "how": "turned round", "axis": 1}],
    "eps": [{}, {"relative": [5.1e-06, 3.3e-07]}],
    "stale-statistics": [{}, {"along": "axis 1", "least": 0.93, "most": 1.4}, {"along": "axis 1", "multiple": "a constant"}],
    "mask": [
        {},
        {"index": [3, 4], "verb": "changes", "of": "args.0", "which": 5, "axis": 1, "how": "and should not"},
    ],
    "region": [{}, {"where": "indices 3 to 5 along axis 1"}],
    "coarse-arithmetic": [{}, {"level": "products in TF32", "times": 40.0, "best": "float32"}],
    "output-wrong": [{}, {"output": "output"}],
    "stale-point": [{}],
    "outside-pattern": [{}, {"missing": 3, "of": "declared", "idle": 2, "size": 40}],
    "rows": [{}, {"which": "row 3 is"}, {"which": "row 3 is", "how": "the sign"}],
    "columns": [{}, {"which": "column 3 is"}, {"which": "column 3 is", "how": "the sign"}],
    "factor": [{"factor": 1.5}, {"contributor": "output.1", "factor": 1.5}],
    "missing-mean": [{"n": 400}],
    "extra-mean": [{"n": 400}],
    "mean-for-sum": [{"n": 400, "layer": "layers[2], dense"}],
    "zero": [{}],
    "transposed": [
        {},
        {"conjugated": "and conjugated"},
        {"reshaped": True},
        {"axes": [0, 1]},
        {"axes": [0, 1], "of": "args.0"},
    ],
    "symmetrised": [
        {},
        {"reads": "the lower triangle"},
        {"each": "each triangle for itself"},
        {"twice": "2 g - diag(g)"},
    ],
    "permuted": [
        {"rolled": 1, "axis": 0},
        {"flipped": True, "axis": 1},
        {"swapped": [1, 3], "axis": 0},
        {"taken_from": "0.[red]bias"},
    ],
    "wrong-axis": [{}],
    "sample-dropped": [{"sample": 3}, {"samples": [3, 9]}],
    "sample-subset": [{"label": 1.0, "factor": 0.5}, {"sample": 4, "factor": 2.0}],
    "activation-derivative": [
        {"how": "omitted"},
        {"how": "omitted", "why": "the derivative of layers[1] (Tanh) is omitted"},
    ],
    "stale-activation": [{"uses": "the input of layers[1] (Tanh)"}],
    "path-lost": [{"lost": "unit 3 of layers[2] (Dense)"}, {"along": "axis 1", "multiple": "a multiple of args.0"}],
    "stops-below": [{"above": "4.weight"}],
    "regularisation": [{"multiple": 0.01}],
    "clipped": [{"limit": 1.0, "entries": 3}, {"norm": 1.0}],
    "low-precision": [{"format": "float16"}],
    "single-entry": [{"index": [2, 3], "reference": 0.1}, {"index": [], "reference": 0.1}],
    "overwritten": [{"kept": 399}],
    "kink-convention": [{"slopes": [0.0, 1.0]}],
    "constants": [{"error": 1e-8}],
    "unstable": [{"precision": "extended precision"}],
    "nondeterministic": [{}],
    "mutates-saved": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "mutates-cotangent": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "cotangent-layout": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "input-layout": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "needs-input-grad": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "forward-mode": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "hides-second-order": [{}, {"how": "it is the derivative with ctx.scale of Norm held fixed"}],
    "symbolic-zeros": [{}, {"how": "where output a is used alone the gradient is off by 1 at [4, 3]"}],
    "under-jit": [{}, {"how": "under jax.jit the gradient is off by 1 at [4, 3]"}],
    "another-shape": [{}, {"how": "with 7 for 8 the output is wrong"}],
    "empty-input": [{}, {"how": "with 0 for 8 it has shape (1,), and in the reference (0,)"}],
    "shared-output": [{}, {"how": "the output of the first call is off by 1 after the second"}],
    "vmap": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "shared-state": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "output-view": [{}, {"how": "the second time through one graph the gradient is off by 1 at [4, 3]"}],
    "mutates-input": [{}],
    "non-finite": [{}],
    "wrong-structure": [{}],
    "raised": [{}],
}
CASES = [(cause, evidence) for cause, several in EVIDENCE.items() for evidence in several]

MARKUP, SCRIPT = "[red]layers[/red].0.weight", "<script>document.title = 'taken'</script>"
LONG = "encoder.layers.3.attention.with_a_name_that_does_not_end.in_projection.weight"


def finding(name, verdict=Verdict.WRONG, **fields):
    known = {
        "backend": "mine",
        "error": 1.2e-3,
        "bound": 3e-13,
        "resolution": 2e-14,
        "reason": "8 of 12 entries beyond their",
    }
    return Finding(name=name, verdict=verdict, **{**known, **fields})


def entries(*indices):
    return tuple(
        Entry(index, -1.2345678901234567e-101 * (i + 1), 0.1 + 0.2 * i, 1.5e-120) for i, index in enumerate(indices)
    )


HEAT = (
    *(tuple(10.0 ** (i + j - 3) for j in range(16)) for i in range(7)),
    (math.inf, math.nan, *(0.0 for _ in range(14))),
)
MATRIX = finding(
    LONG, worst_index=(1023, 511), entries=entries(*((1023, 511 - i) for i in range(8))), heat=HEAT, shape=(1024, 520)
)
VECTOR = finding(MARKUP, worst_index=(3,), entries=entries((3,)), heat=((0.5, 3.0, 30.0, math.nan),), shape=(4,))
NUMBER = finding(SCRIPT, worst_index=(), entries=entries(()), bound=0.0)
TENSOR = finding("conv", Verdict.INEXACT, worst_index=(1, 0, 2, 4), entries=entries((1, 0, 2, 4)), heat=((1.0, 9e9),) * 2)
KINK = finding("kink", Verdict.NONSMOOTH, error=0.0, worst_index=(2,), slopes=(-0.0, 1.0), reason="a unit lies on a kink")
CLOSED = finding("unseen", Verdict.UNRESOLVED, error=0.0, reason="an error below 1.0e-01 would go unseen " * 3)
RIGHT = [finding(f"right {i}", Verdict.CORRECT, error=0.12 * i, bound=1.0, reason="") for i in range(3)]
CAUSE = Diagnosis(LONG, "missing-mean", {"n": 400}, "mine")
EVERYTHING = Report(
    title="a case with everything",
    findings=(MATRIX, VECTOR, NUMBER, TENSOR, KINK, CLOSED, *RIGHT),
    evaluations=79,
    notes=(f"{MARKUP}: mine against torch", SCRIPT),
    diagnoses=(CAUSE, Diagnosis(LONG, "factor", {"factor": 400.0}, "mine"), Diagnosis("nowhere", "sign")),
    diagnosis_evaluations=84,
)


# Sentences


def test_every_cause_is_known_here():
    assert set(EVIDENCE) == set(Cause)


@pytest.mark.parametrize(("cause", "evidence"), CASES)
def test_every_cause_has_a_sentence_with_its_numbers_and_a_remedy(cause, evidence):
    said = sentence(Diagnosis("w", cause, evidence))
    assert "{" not in said
    for key, value in evidence.items():
        if isinstance(value, str) and "why" not in evidence:
            assert value in said, key
    assert advice(Diagnosis("w", cause, evidence))


@pytest.mark.parametrize("cause", [*EVIDENCE, "of somebody else"])
@pytest.mark.parametrize(
    "evidence", [{}, {"layer": "layers[2], dense"}, {"n": None, "slopes": [], "index": 3, "factor": "x"}]
)
def test_what_evidence_lacks_or_holds_besides_is_no_error(cause, evidence):
    said = sentence(Diagnosis("w", cause, evidence))
    assert said
    assert not said.endswith((":", " "))
    assert evidence.get("layer", "") in said


def test_what_is_known_exactly_is_said_instead():
    known = {"layer": "layers[1]", "why": "it equals g W^T", "remedy": "hand down g W", "besides": "the bias is a mean"}
    diagnosis = Diagnosis("w", "transposed", known)
    assert sentence(diagnosis) == "transposed: it equals g W^T; besides, the bias is a mean"
    assert advice(diagnosis) == "hand down g W"


# Maps


def test_shades_grow_with_the_error():
    assert [shade(error) for error in (0, 1, 1.1, 11, 1.1e3, 1.1e6, math.inf)] == [0, 0, 1, 2, 3, 4, 4]
    assert shade(math.nan) is None


@pytest.mark.parametrize(("size", "parts"), [(5, 5), (64, 8), (19, 8), (17, 16), (1000, 16)])
def test_ranges_are_those_of_array_split(size, parts):
    wanted = np.array_split(np.arange(size), parts)
    assert ranges(size, parts) == [str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in wanted]


def test_a_map_says_what_its_rows_and_columns_are():
    assert heat_map(MATRIX).caption == "rows 0-1023 down, columns 0-519 across, 32 or 33 a cell"
    assert heat_map(MATRIX).rows[:2] == ["0-127", "128-255"]
    assert heat_map(VECTOR)[1:] == ([], ["0", "1", "2", "3"], "entries 0-3 across")
    assert heat_map(TENSOR)[1:] == ([], [], "the block in 2 by 2 parts")
    assert heat_map(NUMBER) is None


def test_a_stream_that_knows_only_ascii_gets_a_map_in_ascii(tmp_path):
    for encoding, marks in (("ascii", "..::++??"), ("latin-1", "..::++??"), ("utf-8", "··░░▒▒??")):
        with open(tmp_path / encoding, "w", encoding=encoding) as file:
            Console(file=file, width=80).print(render(Report(title="t", findings=(VECTOR,))))
        assert marks in (tmp_path / encoding).read_text(encoding=encoding)


# Text


@pytest.mark.parametrize("width", [80, 110])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut_off(width):
    text = to_text(EVERYTHING, width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    for said in (MARKUP, SCRIPT, LONG, "[1023, 511]", "[1, 0, 2, 4]", "1.50e-120", "nonsmooth", "unresolved"):
        assert "".join(said.split()) in "".join(text.split())


@pytest.mark.parametrize("width", [80, 110])
@pytest.mark.parametrize(("cause", "evidence"), CASES)
def test_every_cause_fits(cause, evidence, width):
    text = to_text(Report(title="t", findings=(VECTOR,), diagnoses=(Diagnosis(MARKUP, cause, evidence),)), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "  cause: " in text
    assert "  remedy:" in text


def test_correct_blocks_are_folded_into_a_line_only_beside_others():
    assert "3 more: correct (error at most 0.24 of its bound, resolution at worst 2.0e-14)" in to_text(EVERYTHING)
    assert "right 1" not in to_text(EVERYTHING)
    alone = to_text(Report(title="t", findings=tuple(RIGHT)))
    assert "more: correct" not in alone
    assert "right 1" in alone
    assert "shades" not in alone


def test_a_section_has_heading_entries_map_causes():
    text = to_text(EVERYTHING)
    assert f" {LONG} of mine: wrong, off by 1.2e-03 relative (4e+09 bounds) " in text.replace("\n", " ")
    assert re.search(r"\[1023, 509\] +-3.7037036703703701e-101 +0.5 +5.00e-01 +1.50e-120\n  and 5 more listed", text)
    assert "[1023, 508]" not in text
    assert re.search(r"\n +0-127 ·{8}░░▒▒▒▒▓▓", text)
    assert re.search(r"\n +896-1023 ██\?\?··", text)
    assert "cause:  larger by exactly n = 400: the loss is a mean, this gradient is a sum\n" in text
    assert "remedy: divide by n where the loss's gradient starts\n  or:     off by the constant factor 400\n" in text
    assert "[2]: slope 0 to the left, 1 to the right" in text
    assert "nowhere: the sign is wrong" in text
    assert "(79 loss evaluations without backpropagation, and 84 for the diagnosis)" in text


def test_that_nothing_explains_it_is_said_only_where_somebody_looked():
    raised = finding("w", error=0.0, reason="raised RuntimeError")
    for one, said in ((VECTOR, True), (raised, False), (KINK, False), (finding("loss", entries=entries(())), False)):
        assert ("no cause explains" in str(Report(title="t", findings=(one,)))) is said
    assert f"{MARKUP} of mine" in str(Report(title="t", findings=(VECTOR,)))
    assert "w of mine" not in str(Report(title="t", findings=(raised,)))  # the table has said it all


def test_builds_that_are_wrong_alike_share_a_section():
    both = [finding("kink", Verdict.NONSMOOTH, backend=name, slopes=(0, 1), worst_index=(2,)) for name in ("a", "b")]
    own = [Diagnosis("kink", "kink-convention", {"slopes": [0, 1]}, name) for name in ("a", "b")]
    report = Report(title="t", findings=tuple(both), diagnoses=tuple(own))
    assert [section.backends for section in sections(report)] == [("a", "b")]
    assert "kink of a, b: nonsmooth" in str(report)
    apart = Report(title="t", findings=tuple(both), diagnoses=(own[0],))
    assert [section.backends for section in sections(apart)] == [("a",), ("b",)]


# Page

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Holds that tags are balanced, and what is in them."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_well_formed_and_holds_everything():
    source = EVERYTHING.to_html()
    page = Page(source)
    text = "".join(page.text)
    for one in EVERYTHING.findings:
        assert one.name in text
        assert one.reason in text
        for entry in one.entries:
            assert f"{entry.claimed:.17g}" in text
            assert f"{entry.reference:.17g}" in text
            assert ", ".join(map(str, entry.index)) in text
    for diagnosis in EVERYTHING.diagnoses:
        assert sentence(diagnosis) in text
    assert advice(CAUSE) in text
    for note in EVERYTHING.notes:
        assert note in text
    assert {f"gradcheck {gradcheck.__version__}", f"numpy {np.__version__}"} <= set(re.split(r", |\n", text))
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert ("lang", "en") in page.attributes
    assert ("title", "row 896-1023, column 33-65: nan bounds") in page.attributes
    assert not re.search(r"https?:|url\(|@import", source)


def test_correct_rows_fold_away_and_are_open_where_there_is_nothing_else():
    assert "<details><summary>3 more correct</summary>" in EVERYTHING.to_html()
    assert "<details open><summary>3 correct</summary>" in Report(title="t", findings=tuple(RIGHT)).to_html()


@pytest.mark.parametrize("findings", [(), (NUMBER,), (CLOSED,)])
def test_a_page_of_little_is_well_formed_too(findings):
    assert "h1" in Page(Report(title="<b>&amp;{title}", findings=findings).to_html()).tags


def test_half_a_character_in_a_name_can_be_written():
    assert "\\udcff" in Report(title="a\udcff", findings=()).to_html()


@pytest.mark.parametrize(
    "arguments", [("verify",), ("check", "scipy.optimize:rosen", "scipy.optimize:rosen_der", "--shape", "3")]
)
def test_the_command_line_writes_it(arguments, tmp_path, monkeypatch, capsys):
    for target, code in (("report.html", 0), ("none/report.html", 2)):
        monkeypatch.setattr("sys.argv", ["gradcheck", *arguments, "--html", str(tmp_path / target)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == code
    assert "badge correct" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "cannot be written: no such folder" in capsys.readouterr().err


def test_the_page_goes_to_standard_output_alone(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gradcheck", "verify", "--html", "-"])
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    assert printed.out.startswith("<!DOCTYPE html>")
    assert printed.out.rstrip().endswith("</html>")
    assert "verdict: correct" in printed.err


# In a browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


@pytest.fixture
def browse(tmp_path):
    """Open the page, in a profile of its own, and return what the browser prints."""
    if BROWSER is None:
        pytest.skip("there is no Chromium here")
    (tmp_path / "report.html").write_text(EVERYTHING.to_html(), encoding="utf-8")

    def run(*options):
        command = [
            BROWSER,
            *SWITCHES,
            f"--user-data-dir={tmp_path / 'profile'}",
            *options,
            (tmp_path / "report.html").as_uri(),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(tmp_path)}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_browser_shows_the_page_and_runs_nothing_of_it(browse):
    page = Page(browse("--dump-dom").strip())
    assert page.tags.count("section") == len(sections(EVERYTHING))
    assert page.tags.count("details") == 1
    assert SCRIPT in "".join(page.text)
    assert "script" not in page.tags
    assert "taken" not in page.text


@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_draws_the_page(browse, width, tmp_path):
    picture = Path(tmp_path / "page.png")
    browse(f"--window-size={width},2000", f"--screenshot={picture}")
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == width
    assert len(content) > 20_000  # an empty page of that size is a fifth of it


def test_what_all_wrong_blocks_have_in_common_is_said_once():
    blocks = tuple(finding(name, entries=entries((0,))) for name in ("a", "b"))
    alike = (Diagnosis("a", "sign"), Diagnosis("b", "sign"))
    assert "all 2 wrong blocks of mine: the sign is wrong" in str(Report(title="t", findings=blocks, diagnoses=alike))
    apart = (Diagnosis("a", "sign"), Diagnosis("b", "zero"))
    assert "all 2 wrong blocks" not in str(Report(title="t", findings=blocks, diagnoses=apart))
