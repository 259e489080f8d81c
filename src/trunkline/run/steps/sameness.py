"""Whether two models are one and the same: by the run that made them, or by everything that was learned.

Reads the descriptions (``model.json``) of model folders, which hold the hashes of all other files; loads no model.
"""

import json
from pathlib import Path
from typing import Final

__all__ = ["differ_in_run_alone", "learned_the_same"]

_DESCRIPTION: Final = "model.json"


def differ_in_run_alone(one: Path, other: Path) -> bool:
    """Whether nothing tells two model folders apart but their run: rows, recipe, code, and what was learned.

    Raises:
        OSError: A folder holds no description.
    """
    return _without(one, "run_id") == _without(other, "run_id")


def learned_the_same(one: Path, other: Path) -> bool:
    """Whether two model folders answer alike because all that was learned is equal, wherever it was learned from.

    Raises:
        OSError: A folder holds no description.
    """
    return _without(one) == _without(other)


def _without(folder: Path, *facts: str) -> dict[str, object]:
    """A description without some facts of its lineage, or without the whole lineage."""
    document: dict[str, dict[str, object]] = json.loads((folder / _DESCRIPTION).read_bytes())
    lineage = document["info"].pop("lineage", {})
    kept = {name: value for name, value in dict(lineage).items() if name not in facts} if facts else {}  # type: ignore[call-overload]  # an object in the file
    return {**document, "lineage": kept}
