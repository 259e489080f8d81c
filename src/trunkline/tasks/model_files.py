"""The files of a model's folder: from a model to bytes and back.

``model.json`` is canonical JSON (sorted keys), so equal models have equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trunkline.tasks.base_matrix import BaseMatrix
from trunkline.tasks.files import MODEL_FILE, read_folder
from trunkline.tasks.info import ModelInfo
from trunkline.tasks.members import Boosted, Grown, Linear
from trunkline.tasks.model import ONNX_FILE, Model, Part
from trunkline.tasks.views import View

__all__ = ["model_files", "read_model"]


def model_files(model: Model, *, model_format: int) -> dict[str, bytes]:
    """Give the content of each file by name; ``model.json`` last, with the sha256 of the others."""
    files = {ONNX_FILE: model.onnx}
    parts = []
    for part in model.parts:
        members: list[dict[str, object]] = []
        for number, member in enumerate(part.members, start=1):
            if isinstance(member, Linear):
                members.append({"linear": member.to_data()})
                continue
            booster = member.mean if isinstance(member, Grown) else member
            ending = "txt" if booster.library == "lightgbm" else "json"
            name = f"{part.name}.{ending}" if len(part.members) == 1 else f"{part.name}.{number}.{ending}"
            files[name] = booster.text.encode()
            entry: dict[str, object] = {"library": booster.library, "file": name}
            if isinstance(member, Grown):
                entry["mean_of_classes"] = member.classification
            members.append(entry)
        parts.append({"name": part.name, "weight": part.weight, "view": part.view.to_data(), "members": members})
    document = {
        "format": model_format,
        "info": model.info.model_dump(mode="json"),
        "base": model.base.to_data(),
        "parts": parts,
        "typical": [value if np.isfinite(value) else None for value in model.typical.astype(float).tolist()],
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return {**files, MODEL_FILE: text.encode()}


def read_model(folder: Path, *, fingerprint: str | None, model_format: int) -> Model:
    """Read and verify a model's folder.

    Raises:
        TamperedError: A file is missing or not what was written, or the format is unknown.
        ValueError: ``model.json`` is malformed.
        KeyError: It lacks an entry.
        TypeError: An entry has the wrong form.
    """
    document, files = read_folder(folder, fingerprint=fingerprint, formats=(model_format,))
    typical = [np.nan if value is None else value for value in document["typical"]]
    return Model(
        info=ModelInfo.model_validate(document["info"]),
        base=BaseMatrix.from_data(document["base"]),
        onnx=files[ONNX_FILE],
        parts=tuple(_part(part, files) for part in document["parts"]),
        typical=np.array(typical, dtype=np.float32),
    )


def _part(data: Mapping[str, object], files: Mapping[str, bytes]) -> Part:
    members, view, weight = data["members"], data["view"], data["weight"]
    if not isinstance(members, list) or not isinstance(view, Mapping) or not isinstance(weight, float | int):
        raise TypeError("malformed part")
    return Part(str(data["name"]), float(weight), View.from_data(view), tuple(_member(m, files) for m in members))


def _member(data: Mapping[str, object], files: Mapping[str, bytes]) -> Linear | Boosted | Grown:
    linear = data.get("linear")
    if isinstance(linear, Mapping):
        return Linear(
            np.array(linear["coefficients"], dtype=np.float64),
            float(linear["intercept"]),
            np.array(linear["centre"], dtype=np.float64),
        )
    library = data["library"]
    if library not in ("lightgbm", "xgboost"):
        raise ValueError(f"unknown library {library!r}")
    booster = Boosted("lightgbm" if library == "lightgbm" else "xgboost", files[str(data["file"])].decode())
    return Grown(booster, bool(data["mean_of_classes"])) if "mean_of_classes" in data else booster
