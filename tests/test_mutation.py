"""The runner that plants small changes in the checker: what it changes, what it leaves alone, and what it says of them."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SOURCE = b'''"""Words, 1 + 2."""
LIMIT: float = 0.5


def residual(value: "1 + 1", *, times: int = 2) -> bool:
    """More words: 3 < 4."""
    if value < 0 and not times:
        raise ValueError(f"{value + 1} is less than {0}")
    total = abs(value) * times
    total += 1
    return total <= LIMIT
'''
CHANGES = {
    ("", "constant", "LIMIT: float = 1.0"),
    ("", "constant", 'def residual(value: "1 + 1", *, times: int = 3) -> bool:'),
    ("residual", "condition", "if (not (value < 0 and (not times))):"),
    ("residual", "boolean", "if (value < 0 or not times):"),
    ("residual", "comparison", "if (value <= 0) and not times:"),
    ("residual", "constant", "if value < 1 and not times:"),
    ("residual", "sign or not", "if value < 0 and (times):"),
    ("residual", "dropped", "pass"),
    ("residual", "function left out", "total = (value) * times"),
    ("residual", "arithmetic", "total = (abs(value) / times)"),
    ("residual", "constant", "total += 2"),
    ("residual", "returned", "return not total <= LIMIT"),
    ("residual", "comparison", "return (total < LIMIT)"),
}


@pytest.fixture
def mutation(monkeypatch):
    """The module, which no other test is to find loaded."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("mutation")
    for name in {*sys.modules} - before:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").parent == BENCHMARKS:
            del sys.modules[name]


def test_what_may_change_does_so_alone_and_words_and_annotations_stay(mutation):
    found = set()
    for site in mutation.sites("x.py", SOURCE):
        changed = site.changed(SOURCE)
        ast.parse(changed)
        old, new = SOURCE.decode().splitlines(), changed.decode().splitlines()
        (line,) = (one for one, other in zip(new, old, strict=True) if one != other)
        found.add((site.function, site.kind, line.strip()))
    assert found == CHANGES


def test_a_mutant_is_known_by_seed_and_number_whatever_rooms_are_asked_for(mutation):
    whole, part = mutation.drawn(3), mutation.drawn(3, ["verdict"])
    assert whole == mutation.drawn(3)
    assert part == [mutant for mutant in whole if mutant.site.path.startswith("gradcheck/verdict/")]
    assert mutation.named([part[5].name]) == [part[5]]
    assert [mutant.site for mutant in mutation.drawn(4)] != [mutant.site for mutant in whole]
    for mutant in whole[:60]:
        source = (mutation.ROOT / mutant.site.path).read_bytes()
        assert ast.dump(ast.parse(mutant.site.changed(source))) != ast.dump(ast.parse(source))


REACH = {
    "tests/test_a.py::slow": {"seconds": 3.0, "functions": ["gradcheck/verdict/settle.py:residual"]},
    "tests/test_a.py::quick": {"seconds": 1.0, "functions": ["gradcheck/verdict/settle.py:residual"]},
    "tests/test_b.py::other": {"seconds": 0.1, "functions": ["gradcheck/verdict/settle.py:by_witness"]},
}


def test_the_tests_that_call_a_function_are_asked_fastest_first(mutation):
    site = mutation.Site("gradcheck/verdict/settle.py", "residual", 1, "", 0, 0, "")
    assert mutation.reaching(REACH, site, 60) == ["tests/test_a.py::quick", "tests/test_a.py::slow"]
    assert mutation.reaching(REACH, site, 0.5) == ["tests/test_a.py::quick"]
    assert len(mutation.reaching(REACH, site._replace(function=""), 60)) == 3
    probes = next(each for each in mutation.sites(site.path, (mutation.ROOT / site.path).read_bytes()) if not each.function)
    assert mutation.naming({"tests/test_large_networks.py::any": {}, "tests/test_store.py::any": {}}, probes) == [
        "tests/test_large_networks.py::any"
    ]
    assert mutation.reaching(REACH, site._replace(path="gradcheck/verdict/new.py"), 60) == []


@pytest.mark.parametrize(("code", "fate"), [(1, "killed"), (None, "timed out"), (0, "survived")])
def test_a_mutant_is_dead_where_a_test_fails_or_does_not_end(mutation, monkeypatch, code, fate):
    mutant = next(each for each in mutation.drawn(0, ["verdict"]) if each.site.function == "residual")
    asked = []

    def answered(tree, tests, *_options, **_settings):
        asked.extend(tests)
        changed = (tree / mutant.site.path).read_bytes()
        assert changed == mutant.site.changed((mutation.ROOT / mutant.site.path).read_bytes())
        return code, "FAILED tests/test_a.py::quick - because\n1 failed"

    monkeypatch.setattr(mutation, "run", answered)
    found = mutation.judged(mutant, REACH, 60)
    assert asked == ["tests/test_a.py"]
    assert found.fate == fate
    assert found.dead == (fate != "survived")
    assert found.test == ("FAILED tests/test_a.py::quick" if code else "")
    assert mutation.judged(mutant, {}, 60).fate == "unreached"


def test_every_survivor_that_is_explained_stands_in_the_code_as_it_is(mutation):
    for each in importlib.import_module("mutation_survivors").EQUIVALENT:
        lines = [line.strip() for line in (mutation.ROOT / each.path).read_text().splitlines()]
        assert all(part.strip() in lines for part in each.before.splitlines()), each.before
        assert each.reason
