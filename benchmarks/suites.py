"""What `gradcheck.drop_in` says of every call of ``torch.autograd.gradcheck`` in the test suites of other libraries.

``python benchmarks/suites.py FOLDER [--only NAME ...] [--json P] [--against P]`` runs each suite with the plugin in
`suites_recorder.py` and prints a table of the calls that PyTorch accepts, and the kinds of what was not found correct.
The suites' sources are not part of this repository. ``FOLDER`` holds one folder for each library of `SUITES`, or of some:
what is in its repository, at the version that is installed beside gradcheck, with what its tests import. Where it has a
folder ``site``, that comes first on its path, for versions that only this suite needs.

``torch s`` are PyTorch's seconds as it was called, ``slow s`` those where every call is made in its slow mode, which is
stopped after some seconds; ``slowest`` is the longest call of ours. ``--json`` keeps the calls, one a line; such a file in
the place of ``FOLDER`` is read again and nothing runs. ``--against`` lists the calls whose verdict is another than in such a
file.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
VERDICTS = ("correct", "inexact", "wrong", "unresolved", "nonsmooth", "refused")
LIMIT = 3600  # seconds for one suite; chosen
ENDED = (0, 1)  # pytest's status where the suite ran to its end, with and without failures
QUIET = ("-q", "-p", "suites_recorder", "-p", "no:cacheprovider", "--tb=line", "--continue-on-collection-errors")
OWN_SETTINGS = ("-o", "addopts=", "-o", "filterwarnings=")  # of the suite, put aside: coverage, plugins, warnings as errors


class Suite(NamedTuple):
    """Where a suite's calls are: the files that mention ``word`` below ``under``, and what pytest is told besides."""

    under: str
    word: str = "gradcheck"
    files: str = "test_*.py"
    options: tuple[str, ...] = ()


SUITES = {
    "kornia": Suite("tests", options=("-k", "grad")),
    "torchmetrics": Suite("tests/unittests", word="differentiab", options=("-k", "differentiab")),
    "torch_scatter": Suite("test"),
    "entmax": Suite("entmax"),
    "xitorch": Suite("xitorch/_tests"),
    "torchdiffeq": Suite("tests", files="*_tests.py"),
    "cvxpylayers": Suite("cvxpylayers/torch"),
    "roma": Suite("test"),
    "tad-mctc": Suite("test"),
    "tad-dftd3": Suite("test"),
    "tad-dftd4": Suite("test"),
    "tad-multicharge": Suite("test"),
}
Call = dict[str, Any]  # as `suites_recorder.recording` writes it


def files_of(folder: Path, suite: Suite) -> list[str]:
    """The suite's files that call, in a fixed order."""
    found = sorted((folder / suite.under).rglob(suite.files))
    return [str(path.relative_to(folder)) for path in found if suite.word in path.read_text(encoding="utf-8")]


def environment(name: str, folder: Path, record: Path) -> dict[str, str]:
    """One thread, so that times can be compared, and a path with the plugin on it."""
    path = [str(folder / "site"), str(HERE), os.environ.get("PYTHONPATH", "")]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    ours = {"SUITES_LIBRARY": name, "SUITES_RECORD": str(record), "PYTHONPATH": os.pathsep.join(filter(None, path))}
    return {**os.environ, **threads, **ours, "MPLBACKEND": "agg"}


def calls_of(name: str, folder: Path) -> list[Call]:
    """Runs one suite; what it prints is shown on this program's standard error."""
    suite = SUITES[name]
    with tempfile.TemporaryDirectory() as made:
        record = Path(made) / "calls.jsonl"
        record.touch()
        command = [sys.executable, "-P", "-m", "pytest", *QUIET, *OWN_SETTINGS, *suite.options, *files_of(folder, suite)]
        try:
            ended = subprocess.run(
                command, cwd=folder, env=environment(name, folder, record), stdout=sys.stderr, timeout=LIMIT
            )
            if ended.returncode not in ENDED:
                print(f"{name}: ended before its time, with status {ended.returncode}")
        except subprocess.TimeoutExpired:
            print(f"{name}: stopped after {LIMIT} s")
        return read(record)


def read(path: Path) -> list[Call]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def verdict_of(call: Call) -> str:
    return str(call["ours"]["verdict"]) if "ours" in call else "not asked"


def accepted(calls: Iterable[Call]) -> list[Call]:
    """Those that PyTorch accepts, and that the drop-in does not leave to it: second derivatives."""
    return [call for call in calls if call["torch"]["outcome"] is True and not call["second_order"]]


def is_complex(call: Call) -> bool:
    """Whether complex numbers go in or come out, which the drop-in leaves to PyTorch."""
    return bool(call["complex_input"] or call["torch"]["complex_output"])


def row(name: str, calls: list[Call]) -> str:
    """A line of the table."""
    right = accepted(calls)
    real = [call for call in right if not is_complex(call)]
    counts = Counter(map(verdict_of, real))
    seconds = [sum(call[who]["seconds"] for call in real) for who in ("ours", "torch")]
    slow = sum(call["torch"].get("slow", call["torch"]["seconds"]) for call in real)
    slowest = max((call["ours"]["seconds"] for call in real), default=0.0)
    said = "".join(f"{counts[verdict]:11d}" for verdict in VERDICTS)
    return f"{name:16s}{len(right):9d}{len(real):9d}{said}{seconds[0]:9.1f}{seconds[1]:9.1f}{slow:9.1f}{slowest:9.1f}"


def table(calls: list[Call]) -> Iterator[str]:
    """Per library and of all: what PyTorch accepts, of that what is real, and the verdicts on it."""
    verdicts = "".join(f"{verdict:>11s}" for verdict in VERDICTS)
    yield f"{'library':16s}{'accepted':>9s}{'real':>9s}{verdicts}{'ours s':>9s}{'torch s':>9s}{'slow s':>9s}{'slowest':>9s}"
    for name in dict.fromkeys(call["library"] for call in calls):
        yield row(name, [call for call in calls if call["library"] == name])
    yield row("all", calls)


def kind_of(call: Call) -> tuple[str, str]:
    """The verdict and its sentence without names and numbers: calls that are alike in both are of one kind."""
    first = str(call["ours"]["sentence"]).split("; ")[0]
    nameless = re.sub(r"^(args|kwargs)[\w.]*: ", "", first)
    return verdict_of(call), re.sub(r"[-+]?\d[\d.e+-]*", "#", nameless)


def size_of(call: Call) -> int:
    """How many numbers go in."""
    return sum(prod(argument.get("shape", ())) for argument in call["arguments"])


def kinds(calls: list[Call]) -> Iterator[str]:
    """What was not found correct though PyTorch accepts it, by kind, with the smallest example of each."""
    found: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in accepted(calls):
        if not is_complex(call) and verdict_of(call) != "correct":
            found[kind_of(call)].append(call)
    for (verdict, _), alike in sorted(found.items(), key=lambda each: (VERDICTS.index(each[0][0]), -len(each[1]))):
        smallest = min(alike, key=size_of)
        libraries = ", ".join(sorted({call["library"] for call in alike}))
        yield f"\n{verdict}, {len(alike)} of {libraries}"
        yield f"    {smallest['library']}/{smallest['test']}, {size_of(smallest)} numbers"
        yield f"    {smallest['ours']['sentence'][:400]}"


def numbered(calls: Iterable[Call]) -> dict[tuple[str, str, int], Call]:
    """Each call under its library, its test and its number within that."""
    seen: Counter[tuple[str, str]] = Counter()
    named: dict[tuple[str, str, int], Call] = {}
    for call in calls:
        test = call["library"], call["test"]
        named[*test, seen[test]] = call
        seen[test] += 1
    return named


def run(folder: Path, only: Iterable[str], kept: Path | None) -> list[Call]:
    """The calls of all suites; what one has shown is kept before the next begins."""
    calls: list[Call] = []
    for name in (name for name in only if (folder / name).is_dir()):
        calls += calls_of(name, folder.resolve() / name)
        if kept:
            kept.write_text("".join(json.dumps(call) + "\n" for call in calls), encoding="utf-8")
    return calls


def moved(calls: list[Call], before: list[Call]) -> Iterator[str]:
    """The calls whose verdict has changed, or that only one of the two runs has."""
    new, old = numbered(calls), numbered(before)
    libraries = {call["library"] for call in calls}
    for key in dict.fromkeys((*old, *new)):
        was, now = (verdict_of(run[key]) if key in run else "absent" for run in (old, new))
        if was != now and "not asked" not in (was, now) and key[0] in libraries:
            library, test, number = key
            yield f"{was} -> {now}: {library}/{test}, call {number}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="one folder for each library; or the calls of an earlier run")
    parser.add_argument("--only", nargs="+", choices=tuple(SUITES), default=tuple(SUITES), help="these libraries")
    parser.add_argument("--json", type=Path, help="where to keep the calls, one a line")
    parser.add_argument("--against", type=Path, help="the calls of an earlier run: list what has changed")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    if asked.folder.is_file():
        calls = [call for call in read(asked.folder) if call["library"] in asked.only]
    else:
        calls = run(asked.folder, asked.only, asked.json)
    print("\n".join((*table(calls), *kinds(calls))))
    if asked.against:
        print("\n".join(("\nchanged", *moved(calls, read(asked.against)))))


if __name__ == "__main__":
    main()
