"""How far the sources of a table are: the version of the last application transaction of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from trunkline.lake import delta, log
from trunkline.lake.place import Place

if TYPE_CHECKING:
    from deltalake import DeltaTable

_FEW: Final = 8  # of so many each is looked up by itself


def covered(place: Place, table: DeltaTable, app_ids: Collection[str]) -> dict[str, int]:
    """Say how far sources are.

    Args:
        place: The table.
        table: Its snapshot.
        app_ids: The sources.

    Returns:
        Source to the version of its last transaction; those without one are left out.
    """
    if len(app_ids) > _FEW:
        known = log.transactions(delta.filesystem(place.uri, place.options), version=int(table.version()))
        if known is not None:
            return {app_id: known[app_id] for app_id in app_ids if app_id in known}
    found = {app_id: table.transaction_version(app_id) for app_id in app_ids}
    return {app_id: int(version) for app_id, version in found.items() if version is not None}
