"""Which derivatives of a PyTorch function are asked about: of the first order or the second, in reverse or forward mode."""

from typing import NamedTuple, Self

from msgspec.structs import replace

from gradcheck.adapters.asked import order_and_modes
from gradcheck.adapters.pytorch.checking import reverse
from gradcheck.adapters.pytorch.contract.forward import forward as agreement
from gradcheck.adapters.pytorch.contract.questions import QUESTIONS
from gradcheck.adapters.pytorch.derivatives.forward import forward_mode, has_own
from gradcheck.adapters.pytorch.derivatives.second import second_order
from gradcheck.adapters.pytorch.function import TorchFunction
from gradcheck.errors import DataError
from gradcheck.foundation.validation import Asked
from gradcheck.report import Report, joined


class Derivatives(NamedTuple):
    """What `gradcheck.check_torch` asks for: ``order`` and ``modes`` as it takes them."""

    order: int = 1
    modes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, order: object, modes: object, reference: object) -> Self:
        """If they can be asked for.

        Raises
        ------
        DescriptionError
            Where there is no such order.
        DataError
            Where there is no such mode, or one of them is asked for beside a reference or a mode that has it not.
        """
        number, several = order_and_modes(order, modes)
        if reference is not None and (number != 1 or several is not None):
            what = "order" if number != 1 else "modes"
            raise DataError(f"reference: a kernel is held against it in its first backward pass: leave {what} out")
        return cls(number, several)

    def __call__(self, function: TorchFunction, asked: Asked, contract: bool) -> Report:
        """A report of all that is asked."""
        forward = "forward" in self.modes if self.modes is not None else has_own(function)
        reports: list[Report] = []
        if self.modes is None or "reverse" in self.modes:
            questions = [each for each in QUESTIONS if not forward or each is not agreement]  # `forward_mode` says it
            reports = [reverse(function, asked, contract, questions)]
        if forward:
            reports.append(forward_mode(function, reports[0] if reports else None, asked, self.modes is not None))
        if self.order == 2:
            reports.append(second_order(function, reports[0], asked))
        return replace(joined(reports[0].title, reports), title=reports[0].title)
