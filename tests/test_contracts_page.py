"""The gallery of contracts says what its mistakes get; without them the functions are correct, and the page is theirs."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
import contracts

DOCS = Path(__file__).parents[1] / "docs"

CAUSES = {
    "What was saved is used as a scratch pad": "mutates-saved",
    "The cotangent is used as a scratch pad": "mutates-cotangent",
    "The cotangent is taken for contiguous": "cotangent-layout",
    "The arguments are taken for contiguous": "input-layout",
    "The gradient that is asked for is the other one": "needs-input-grad",
    "The forward derivative forgets an argument": "forward-mode",
    "The rule for batches gives all the first one's answer": "vmap",
    "State on the class": "shared-state",
    "An output saved out of sight": "output-view",
}


def test_there_are_nine():
    assert [mistake.title for mistake in contracts.MISTAKES] == list(CAUSES)


@pytest.mark.parametrize("mistake", contracts.MISTAKES, ids=lambda mistake: mistake.title)
def test_each_mistake_is_named_where_it_is_asked_for_and_without_it_the_function_is_correct(mistake):
    report = contracts.report(contracts.wrong(mistake))
    assert report.wrong
    assert {diagnosis.cause for diagnosis in report.diagnoses} == {CAUSES[mistake.title]}
    assert contracts.report(contracts.wrong(mistake), contract=False, modes="reverse").verdict == "correct"
    honest = contracts.report(mistake.function)
    assert honest.verdict == "correct"
    assert honest.notes == ()


def test_the_page_is_what_running_them_writes():
    """Numbers may differ in their last digits from processor to processor; words and verdicts may not."""
    stored = (DOCS / "contracts.md").read_text(encoding="utf-8")
    assert words(stored) == words(contracts.page())


def words(page: str) -> list[str]:
    return [word for word in page.split() if not any(character.isdigit() for character in word)]
