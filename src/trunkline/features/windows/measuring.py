"""What is measured of the readings of a window."""

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

__all__ = ["gap_s", "great_circle_m", "squared_norm"]

_EARTH_M: Final = 6_371_008.8
"""Mean radius of the Earth, metres (IUGG)."""


def squared_norm(rows: "ir.Table", *axes: str) -> "ir.NumericValue":
    """Square of the length of a vector; null where one of its parts is.

    Args:
        rows: Rows with the columns.
        *axes: The parts.
    """
    total = cast("ir.NumericValue", rows[axes[0]] * rows[axes[0]])
    for axis in axes[1:]:
        total = cast("ir.NumericValue", total + rows[axis] * rows[axis])
    return total


def gap_s(rows: "ir.Table", *, at: str, by: "Sequence[str]") -> "ir.NumericValue":
    """Seconds since the row before; null for the first of a group.

    Args:
        rows: The rows.
        at: Column with their instant.
        by: Columns of a group, the window's begin among them.
    """
    micros = _micros(cast("ir.TimestampValue", rows[at]))
    before = micros.lag().over(group_by=list(by), order_by=rows[at])
    return cast("ir.NumericValue", (micros - before) / 1e6)


def great_circle_m(
    latitude: "ir.NumericValue",
    longitude: "ir.NumericValue",
    other_latitude: "ir.NumericValue",
    other_longitude: "ir.NumericValue",
) -> "ir.NumericValue":
    """Way between two places along the Earth's surface in metres, by the haversine formula on a sphere.

    Args:
        latitude: Degrees.
        longitude: Degrees.
        other_latitude: Of the other place, degrees.
        other_longitude: Of the other place, degrees.

    Returns:
        Metres, at most 0.6 % off the way on the ellipsoid; null where a part is.

    References:
        Sinnott (1984), Virtues of the Haversine, Sky and Telescope 68, 158.
    """
    import ibis

    phi, other_phi = latitude.radians(), other_latitude.radians()
    half_up = ((other_phi - phi) / 2).sin()
    half_along = ((other_longitude.radians() - longitude.radians()) / 2).sin()
    square = half_up * half_up + phi.cos() * other_phi.cos() * half_along * half_along
    # rounding may bring it above 1; the least of both would be 1 where one is null
    bounded = cast("ir.NumericValue", ibis.ifelse(square > 1.0, 1.0, square))
    return cast("ir.NumericValue", 2 * _EARTH_M * bounded.sqrt().asin())


def _micros(moment: "ir.TimestampValue") -> "ir.IntegerValue":
    second = moment.truncate("s").epoch_seconds().cast("int64")
    # the text of it, because not every engine extracts it
    part = moment.strftime("%f").cast("int64")
    return cast("ir.IntegerValue", second * 1_000_000 + part)
