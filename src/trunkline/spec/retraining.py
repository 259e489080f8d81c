"""When a champion is learned anew, for use cases whose runs need not learn each time."""

from dataclasses import dataclass

from trunkline.errors import UseCaseError

__all__ = ["Retrain"]


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """A run learns only if the champion is due; ``trunkline train`` learns whenever it is asked to.

    A champion is due where there is none, where the declaration, the code or the kind of rows (simulated, real) is
    another than it was learned by, and as said here.

    Attributes:
        after_days: Days of data that it has not seen from which on it is due; None: age alone is no reason.
        on_drift: Whether measured performance beyond its limit makes it due; otherwise learning is offered by an alert.
    """

    after_days: float | None = 7.0
    on_drift: bool = False

    def __post_init__(self) -> None:
        """Refuse an age that is none.

        Raises:
            UseCaseError: ``after_days`` is not positive.
        """
        if self.after_days is not None and not self.after_days > 0:
            raise UseCaseError("a champion is due after more than 0 days", where="Retrain")
