"""Why a row is odd, in words: which number is how far from what is usual, and when."""

from trunkline.tasks.anomaly.usual import MOST_DEVIATIONS

__all__ = ["reason"]


def reason(title: str, *, deviation: float, thing: str = "cell", hour: int | None = None) -> str:
    """Say of one number how far it is from the usual.

    Args:
        title: What people call the number.
        deviation: Robust deviations above the usual.
        thing: What the rows are about.
        hour: Hour of the day; None where it is not known.

    >>> reason("PRBUsageDL", deviation=3.14, hour=18)
    "PRBUsageDL is 3.1 robust deviations above this cell's usual 18:00"
    >>> reason("RRC attempts", deviation=-7.0)
    "RRC attempts is 7.0 robust deviations below this cell's usual"
    """
    side = "above" if deviation >= 0 else "below"
    when = "" if hour is None else f" {hour:02d}:00"
    size = f"{abs(deviation):.1f}" if abs(deviation) < MOST_DEVIATIONS else f"{MOST_DEVIATIONS:.0f} or more"
    return f"{title} is {size} robust deviations {side} this {thing}'s usual{when}"
