"""The gallery says what its mistakes get: each is named in every block that it spoils, and the page is theirs."""

from pathlib import Path

import gallery
import pytest

import gradcheck

DOCS = Path(__file__).parents[1] / "docs"

CAUSES = {
    "The mean forgotten": "missing-mean",
    "A sign lost": "sign",
    "The derivative of the activation left out": "activation-derivative",
    "The derivative at the output": "activation-derivative",
    "The derivative of another activation": "activation-derivative",
    "The pre-activation in place of the activation": "stale-activation",
    "W where its transpose belongs": "transposed",
    "A mean for a sum in the bias": "mean-for-sum",
    "A column where a row is expected": "wrong-structure",
    "The rest of the batch dropped": "sample-dropped",
    "The step taken on the way back": "mutates-input",
    "A penalty that the loss does not have": "regularisation",
}


def test_there_are_twelve():
    assert [mistake.title for mistake in gallery.MISTAKES] == list(CAUSES)


@pytest.mark.parametrize("mistake", gallery.MISTAKES, ids=lambda mistake: mistake.title)
def test_each_mistake_is_named_first(mistake):
    report = gallery.report(mistake)
    first = {diagnosis.name: diagnosis.cause for diagnosis in reversed(report.diagnoses)}
    assert report.wrong
    assert set(first.values()) == {CAUSES[mistake.title]}


def test_the_course_without_a_mistake_is_correct():
    assert gradcheck.verify(gallery.SQUARE, [f"{gallery.COURSE}:loss_and_gradients"]).verdict == "correct"


def test_the_page_is_what_running_them_writes():
    """Numbers may differ in their last digits from processor to processor; words and verdicts may not."""
    stored = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert words(stored) == words(gallery.page())


def words(page: str) -> list[str]:
    return [word for word in page.split() if not any(character.isdigit() for character in word)]
