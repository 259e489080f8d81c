"""The Open Inference Protocol, version 2: named tensors in, named tensors out.

Reference: kserve/open-inference-protocol, specification/protocol/inference_rest.md. Each input tensor is one column of
the use case's contract, of shape ``[rows]`` or ``[rows, 1]``; columns that are left out are null where the contract
allows it, the entity key always is. Outputs are ``score`` (FP64) and, for a classification, ``decision`` (BOOL).
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Scope

from trunkline.contracts.kinds import KindName
from trunkline.serve.deployments import Deployment, Loaded
from trunkline.serve.refusals import Answer, RefusedRequestError, json_answer
from trunkline.serve.service import Endpoint, Service

__all__ = ["InferEndpoint", "ModelMetadata", "TensorMetadata", "metadata"]

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]

_DATATYPE: Final[Mapping[KindName, Datatype]] = {
    "text": "BYTES",
    "category": "BYTES",
    "integer": "INT64",
    "number": "FP64",
    "flag": "BOOL",
    "instant": "BYTES",
    "day": "BYTES",
}


class _Input(BaseModel):
    model_config = ConfigDict(extra="ignore")  # tensors may carry parameters

    name: str = Field(max_length=200)
    shape: list[int]
    datatype: Datatype
    data: list[object]


class _Output(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str | None = Field(default=None, max_length=200)
    inputs: list[_Input] = Field(min_length=1)
    outputs: list[_Output] | None = None


class TensorMetadata(BaseModel):
    """A tensor of a model.

    Attributes:
        name: Its name.
        datatype: Its type in the protocol.
        shape: Its shape; -1 is the number of rows.
    """

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives.

    Attributes:
        name: The use case.
        versions: Versions that answer here.
        platform: How it runs.
        inputs: Columns it reads.
        outputs: What it answers.
    """

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferEndpoint(Endpoint):
    """``POST /v2/models/{model}/infer``, with and without a version."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, route="infer", role="reader")

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """Answer one inference request."""
        parameters: Mapping[str, str] = scope["path_params"]
        deployment = self.service.deployment(parameters["model"])
        version = parameters.get("version")
        loaded = deployment.loaded() if version is None else deployment.version(version)
        try:
            request = _Request.model_validate(orjson.loads(body))
        except (orjson.JSONDecodeError, ValidationError) as error:
            raise RefusedRequestError(
                "the body is not an inference request", status=400, next_step=_where(error)
            ) from None
        columns = {tensor.name: _column(tensor) for tensor in request.inputs}
        if len(columns) != len(request.inputs):
            raise RefusedRequestError("two inputs have one name", status=400)
        if len({len(values) for values in columns.values()}) != 1:
            raise RefusedRequestError("the inputs differ in their number of rows", status=400)
        self.service.refuse_many(len(next(iter(columns.values()), ())))
        offered = ("score",) if loaded.threshold is None else ("score", "decision")
        wanted = [one.name for one in request.outputs] if request.outputs else list(offered)
        if unknown := [name for name in wanted if name not in offered]:
            raise RefusedRequestError(
                f"there is no output {unknown[0][:40]!r}", status=400, next_step=f"ask for {', '.join(offered)}"
            )
        judge = deployment.keyless_validator.judge
        judged = [judge(dict(zip(columns, cells, strict=True))) for cells in zip(*columns.values(), strict=True)]
        if not judged:
            raise RefusedRequestError("the inputs hold no row", status=400)
        found = await self.service.predict(deployment, loaded, judged)
        outputs: dict[str, tuple[Datatype, Sequence[object]]] = {"score": ("FP64", found.scores)}
        if loaded.threshold is not None:
            outputs["decision"] = ("BOOL", found.decisions)
        return json_answer(
            {
                "model_name": deployment.usecase.name,
                "model_version": loaded.live.version,
                "id": request.id or found.request,
                "outputs": [
                    {"name": name, "datatype": outputs[name][0], "shape": [len(judged)], "data": outputs[name][1]}
                    for name in wanted
                ],
            }
        )


def metadata(deployment: Deployment, loaded: Loaded) -> ModelMetadata:
    """Describe the model that answers."""
    read = set(loaded.features)
    inputs = [
        TensorMetadata(name=column.name, datatype=_DATATYPE[column.kind], shape=[-1])
        for column in deployment.usecase.contract.columns
        if column.name in read or column.name in deployment.usecase.entity_key
    ]
    outputs = [TensorMetadata(name="score", datatype="FP64", shape=[-1])]
    if loaded.threshold is not None:
        outputs.append(TensorMetadata(name="decision", datatype="BOOL", shape=[-1]))
    return ModelMetadata(
        name=deployment.usecase.name,
        versions=[loaded.live.version],
        platform="onnxruntime_onnx",
        inputs=inputs,
        outputs=outputs,
    )


def _column(tensor: _Input) -> list[object]:
    """Give the cells of one input.

    Raises:
        RefusedRequestError: Its shape is not one column, or does not fit its data.
    """
    rows = tensor.shape[0] if tensor.shape else -1
    if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1) or rows < 0:
        raise RefusedRequestError(
            f"input {tensor.name[:40]!r} is not one column", status=400, next_step="send the shape [rows] or [rows, 1]"
        )
    cells = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in tensor.data]
    if len(cells) != rows:
        raise RefusedRequestError(f"input {tensor.name[:40]!r} has not as many values as its shape says", status=400)
    return cells


def _where(error: orjson.JSONDecodeError | ValidationError) -> str:
    """Where it is wrong, without what was sent."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return f"it is not JSON: line {error.lineno}, column {error.colno}"
