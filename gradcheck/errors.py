"""Everything that gradcheck raises on purpose: one small tree, one clear sentence each."""

LONG = 1000  # letters, nine lines of 110 columns; a choice


def shortened(text: str) -> str:
    """Text as people read it: of what is longer than `LONG` the beginning and the end, and how long it is."""
    if len(text) <= LONG:
        return text
    return f"{text[: LONG - 200]} ... {text[-100:]} ({len(text):,} characters)"


class GradcheckError(Exception):
    """Base of every error that a user's input can cause. The message is one line: what, where, the value."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class DescriptionError(GradcheckError, ValueError):
    """A network, layer, loss or case that cannot exist: ``layers[2].units: expected int >= 1, got 0``.

    The path is from the outermost table inwards; the sentence is what was expected and what was there instead.
    """

    def __init__(self, sentence: str, path: str = "") -> None:
        super().__init__(f"{path}: {sentence}" if path else sentence)
        self.sentence, self.path = sentence, path


class DataError(GradcheckError, ValueError):
    """Data that cannot be read, or does not fit the network or the domain of its loss."""


class OutputError(GradcheckError, OSError):
    """A result that cannot be written where it was asked for. Nothing was overwritten."""


class NotFound(GradcheckError, LookupError):
    """No such file, module or attribute."""


class Broken(GradcheckError, ImportError):
    """A file or module that raises when it is imported."""


class BackendError(GradcheckError):
    """Base of the ways in which a backend cannot be had, or not for a network."""


class UnknownBackend(BackendError, LookupError):
    """No backend goes by this name, or the file or attribute does not exist."""


class BackendNotInstalled(BackendError, ImportError):
    """The backend is known, the library that it needs is absent."""


class BackendBroken(BackendError, ImportError):
    """The backend is there and raises when it is imported."""


class Unsupported(BackendError):
    """A build that does not know a layer, a loss or an option raises this; `verify` reports it and rests on the others."""


class LibraryNotInstalled(GradcheckError, ImportError):
    """A framework's objects are to be checked, and the framework is absent."""


class CallFailed(GradcheckError):
    """A function of the user's raised where it should have answered. The cause is chained."""


class Interrupted(KeyboardInterrupt):
    """A check that was stopped by hand; ``report`` is what was known by then, and the message says it in full."""

    def __init__(self, report: object) -> None:
        super().__init__(f"stopped; what was known by then:\n{report}")
        self.report = report


class GradientMismatch(AssertionError):
    """Raised by ``report.require()`` where the report's verdict is not good enough."""
