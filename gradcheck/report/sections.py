"""What there is to say of each block that is not correct, as data: once for backends that have it in common."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from gradcheck.foundation.wording import enumerated
from gradcheck.verdict.causes import advice, sentence
from gradcheck.verdict.findings import Diagnosis, Entry, Finding, Verdict
from gradcheck.verdict.outcome import Outcome

SPOKEN = (Verdict.WRONG, Verdict.INEXACT, Verdict.NONSMOOTH)
UNEXPLAINED = "no cause explains the whole difference"


class Section(NamedTuple):
    """One block of one backend, or of several that are wrong alike."""

    finding: Finding
    backends: tuple[str, ...]
    diagnoses: tuple[Diagnosis, ...]

    @property
    def heading(self) -> str:
        """Whose block, the verdict and the size of the error."""
        return f"{self.finding.name} of {', '.join(self.backends)}: {headline(self.finding)}"

    @property
    def causes(self) -> Iterator[tuple[str, str]]:
        """The cause and what to change, if there is something; then what else would explain it."""
        for number, diagnosis in enumerate(self.diagnoses):
            yield "Or" if number else "Cause", sentence(diagnosis)
            if not number and advice(diagnosis):
                yield "Remedy", advice(diagnosis)

    @property
    def unexplained(self) -> bool:
        """Whether a cause was looked for and none found."""
        known = bool(self.diagnoses) or self.finding.name == "loss"
        return not known and self.finding.verdict in (Verdict.WRONG, Verdict.INEXACT) and bool(self.finding.entries)

    @property
    def slopes(self) -> str:
        """The derivatives on either side of a kink, if it is one."""
        if not self.finding.slopes:
            return ""
        left, right = (slope + 0.0 for slope in self.finding.slopes)  # no minus zero
        where = f"{place(self.finding.worst_index)}: " if self.finding.worst_index else ""
        return f"{where}slope {left:.6g} to the left, {right:.6g} to the right"


def sections(report: Outcome) -> list[Section]:
    """All blocks that are wrong, inexact or nonsmooth, or have a diagnosis."""
    found: list[Section] = []
    for finding in report.findings:
        own = tuple(each for each in report.diagnoses if belongs(each, finding))
        if finding.verdict not in SPOKEN and not own:
            continue
        new = Section(finding, (finding.backend,), own)
        same = next((i for i, old in enumerate(found) if _shown(old) == _shown(new)), None)
        if same is None:
            found.append(new)
        else:
            found[same] = found[same]._replace(backends=(*found[same].backends, finding.backend))
    return found


def belongs(diagnosis: Diagnosis, finding: Finding) -> bool:
    """Whether a diagnosis is of this finding."""
    return diagnosis.name == finding.name and diagnosis.backend in ("", finding.backend)


def strays(report: Outcome) -> list[str]:
    """Diagnoses of no finding, in sentences."""
    loose = (each for each in report.diagnoses if not any(belongs(each, finding) for finding in report.findings))
    return [f"{each.name}: {sentence(each)}" for each in loose]


def in_common(report: Outcome) -> list[str]:
    """For each backend whose wrong blocks, two or more, all have one cause: that they have, in a sentence."""
    lines: list[str] = []
    for backend in dict.fromkeys(finding.backend for finding in report.findings):
        wrong = [each for each in report.findings if each.backend == backend and each.verdict is Verdict.WRONG]
        blocks = [each for each in wrong if each.name != "loss"]
        first = [next((d for d in report.diagnoses if belongs(d, block)), None) for block in blocks]
        said = {sentence(diagnosis) if diagnosis else "" for diagnosis in first}
        if len(blocks) > 1 and len(said) == 1 and (cause := said.pop()):
            lines.append(f"all {len(blocks)} wrong blocks of {backend}: {cause}")
    return lines


def correct(findings: Iterable[Finding]) -> list[Finding]:
    """Those of them that are."""
    return [finding for finding in findings if finding.verdict is Verdict.CORRECT]


def measures(finding: Finding) -> tuple[str, str]:
    """Error in units of its bound, and resolution; dashes where nothing was compared."""
    if finding.resolution == float("inf") and not finding.error:
        return "-", "-"
    return f"{finding.ratio:.2g}", f"{finding.resolution:.1e}"


def headline(finding: Finding) -> str:
    """The verdict, and by how much."""
    if finding.verdict not in (Verdict.WRONG, Verdict.INEXACT) or not finding.error:
        return str(finding.verdict)
    bounds = f"{finding.ratio:.2g} bounds" if finding.bound else "the bound is 0"
    return f"{finding.verdict}, off by {finding.error:.1e} relative ({bounds})"


def place(index: tuple[int, ...] | None) -> str:
    """An index as it is written in Python; nothing for a single number."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def spent(report: Outcome) -> str:
    """What the oracles took, and the diagnosis besides."""
    more = f", and {report.diagnosis_evaluations} for the diagnosis" if report.diagnosis_evaluations else ""
    return f"{report.evaluations} {report.spent}{more}"


def unchecked(report: Outcome) -> str:
    """What was not looked at, in a line."""
    return f"not looked at: {enumerated(report.unchecked)}"


def numbers(entry: Entry, digits: int = 17) -> tuple[str, str, str, str, str]:
    """An entry's index, claimed and reference value, their difference, and the bound."""
    off = abs(entry.claimed - entry.reference)
    values = (f"{entry.claimed:.{digits}g}", f"{entry.reference:.{digits}g}")
    return place(entry.index), *values, f"{off:.2e}", f"{entry.bound:.2e}"


def _shown(section: Section) -> Any:
    finding = section.finding
    diagnoses = [msgspec.structs.replace(diagnosis, backend="") for diagnosis in section.diagnoses]
    reason = "" if finding.entries or finding.slopes else finding.reason
    return finding.name, headline(finding), finding.entries, section.slopes, finding.heat, reason, diagnoses
