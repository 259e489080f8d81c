"""Sources that a step of taking in refused, while it took the others in."""

from collections.abc import Sequence

from trunkline.errors import TrunklineError, listed
from trunkline.run.outcomes import Outcome
from trunkline.run.steps.documents import IngestDocument

__all__ = ["SourcesRefusedError"]


class SourcesRefusedError(TrunklineError):
    """Sources were refused; all others were taken in, and the same command finds them known.

    Attributes:
        outcomes: The refused ones, each with its error, in the order in which they came; at least one.
        document: What was taken in.
        exit_code: 1 where one of the errors is worth another try, else that of bad input.
    """

    def __init__(self, outcomes: Sequence[Outcome], *, document: IngestDocument) -> None:
        self.outcomes = tuple(outcomes)
        self.document = document
        first = self.errors[0]
        if len(self.errors) == 1:
            super().__init__(first.what, where=first.where, allowed=first.allowed, next_step=first.next_step)
        else:
            super().__init__(
                f"{len(self.errors)} sources were refused, the first because: {first.what}",
                where=listed([outcome.source for outcome in outcomes]),
                next_step="do what each of them asks for, and repeat the command: what was taken in is known by then",
            )
        self.exit_code = min(error.exit_code for error in self.errors)

    @property
    def errors(self) -> tuple[TrunklineError, ...]:
        """What was wrong with each."""
        return tuple(outcome.error for outcome in self.outcomes if outcome.error is not None)

    @property
    def told(self) -> TrunklineError:
        """The error that stands for the call: the only one, or this one for several."""
        return self.errors[0] if len(self.errors) == 1 else self
