"""What a diagnosis goes by, wherever it comes from: `check` brings probes, `verify` a settled reference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from gradcheck.candidates.answer import Defect
from gradcheck.diagnosis.corrections import Known
from gradcheck.foundation.arrays import Array
from gradcheck.verdict.findings import Diagnosis, Entry, Finding

Explainer = Callable[[], Iterator[Diagnosis]]


class Evidence(Protocol):
    """One candidate, some of whose blocks are not right.

    Attributes
    ----------
    claims, point : mapping of str to array
        The claimed gradient and where, by block; of a network in the order of its layers.
    troubles : mapping of str to Defect
        What was wrong before any arithmetic, by block.
    counts : sequence of int
        What the loss may be a mean over, where that is known.
    formats : mapping of str to str
        In which each claim is stored, where rounding to that is no mistake.
    complex_blocks : mapping of str to str
        Blocks whose last axis has the real and the imaginary parts of complex numbers, and the convention of their gradient
        (`gradcheck.candidates.complex_points`).
    layered : bool
        Whether the blocks are known to be parameters of layers, one above the other.
    thorough : bool
        Whether every cause that fits is wanted, whatever it costs, and not just one.
    explainers : sequence of callable
        What else may find causes, of whichever blocks, the cheapest first.
    """

    @property
    def claims(self) -> Mapping[str, Array]: ...
    @property
    def point(self) -> Mapping[str, Array]: ...
    @property
    def troubles(self) -> Mapping[str, Defect]: ...
    @property
    def counts(self) -> Sequence[int]: ...
    @property
    def formats(self) -> Mapping[str, str]: ...
    @property
    def complex_blocks(self) -> Mapping[str, str]: ...
    @property
    def layered(self) -> bool: ...
    @property
    def thorough(self) -> bool: ...
    @property
    def explainers(self) -> Sequence[Explainer]: ...

    def has_reference(self, name: str) -> bool:
        """Whether anything is known of what the block should be."""
        ...

    def known(self, name: str) -> Sequence[Known]:
        """The true slopes of a block along several directions; none where the claim is zero and needs no comparison."""
        ...

    def only_entry(self, finding: Finding) -> Entry | None:
        """The entry that is wrong, if it seems to be one alone."""
        ...

    def right_elsewhere(self, name: str, suspects: Array) -> bool:
        """Whether a block is right but for the entries that the mask ``suspects`` names."""
        ...

    def is_multiple(self, name: str, factor: float) -> bool:
        """Whether the claim is so many times the true gradient of the block."""
        ...

    def right_in_higher_precision(self, names: Sequence[str]) -> Mapping[str, str]:
        """Of these blocks those that the same code gets right in a higher precision, and its name."""
        ...
