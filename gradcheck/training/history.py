"""What a training did, as plain numbers."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from gradcheck.foundation.arrays import Array
from gradcheck.foundation.writing import write
from gradcheck.report import Report


class Record(NamedTuple):
    """One iteration.

    Attributes
    ----------
    iteration : int
        Steps made so far.
    loss : float
        Of the whole batch, after them.
    step : float
        The last of them; 0 at the start.
    evaluations : int
        How often the backend was asked so far for a loss, with or without its gradient. Verification is not counted.
    seconds : float
        So far, without those of verification and of ``on_iteration``.
    """

    iteration: int
    loss: float
    step: float
    evaluations: int
    seconds: float


class History(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A training: where it ended, and how it came there.

    Attributes
    ----------
    parameters : dict of str to array
        By name, after the last iteration; nobody else holds them.
    records : tuple of Record
        The start, every ``record_every`` iterations, and the last one, whose loss is that of ``parameters``.
    stopped : str
        Why it ended before its last iteration, ``"the loss is nan at iteration 17"``; empty where it did not.
    report : Report, optional
        Of the verification that stopped it, or of the last one.
    """

    parameters: Mapping[str, Array]
    records: tuple[Record, ...]
    stopped: str = ""
    report: Report | None = None

    @property
    def losses(self) -> Array:
        """Those of the records."""
        return np.array([record.loss for record in self.records])

    def table(self) -> dict[str, list[float]]:
        """The records as columns by name, equally long."""
        return {name: [record[index] for record in self.records] for index, name in enumerate(Record._fields)}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the records, one a row below a header; what stands there is replaced.

        Raises
        ------
        OutputError
            Where the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Record._fields)
        writer.writerows(self.records)
        write(Path(path), text.getvalue())

    def __repr__(self) -> str:
        first, last = self.records[0], self.records[-1]
        why = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<History: {last.iteration} iterations, loss {first.loss:.6g} to {last.loss:.6g}{why}>"
