"""What every use case must hold.

Takes a use case, gives nothing, and raises ``AssertionError`` with what its author has to mend.
"""

import inspect
import sys
from pathlib import Path

from trunkline.checks import Judged, arrow_schema, edge_validator, json_schema
from trunkline.spec import UseCase

__all__ = ["check_usecase", "judged"]


def judged(usecase: UseCase, body: bytes, *, dataset: str | None = None) -> Judged:
    """Judge one row of a dataset, given as JSON under any names that the contract knows.

    Args:
        usecase: The use case.
        body: One JSON object.
        dataset: The dataset, of ``usecase.datasets``; None is the main one.

    Raises:
        InputError: The body is not JSON.
    """
    (row,) = edge_validator(usecase.datasets[dataset or usecase.main]).rows(body)
    return row


def check_usecase(usecase: UseCase, *, rows: int = 400) -> None:
    """Check a use case as the platform relies on it.

    Its README stands beside it; every contract has a description and fields; the features of its task are columns, and
    none is the label or an identifier; its simulator, where there is one, repeats itself and keeps to the contract.

    Args:
        usecase: The use case.
        rows: Rows to simulate.

    Raises:
        AssertionError: It does not hold; the message says what to mend.
    """
    readme = _folder(usecase) / usecase.documentation
    _hold(readme.is_file(), f"{usecase.name}: {readme} is missing")
    _hold(usecase.question.endswith("?"), f"{usecase.name}: the question is no question")
    for dataset, contract in usecase.contracts.items():
        where = f"{usecase.name}.{dataset}"
        _hold(bool(inspect.getdoc(contract)), f"{where}: say in the docstring what one row is")
        schema = json_schema(contract)
        _hold(schema["properties"] != {}, f"{where}: the contract has no field")
    if usecase.task is not None:
        _hold(bool(usecase.gates), f"{usecase.name}: a task without gates lets anything out")
        names = set(arrow_schema(usecase.contract).names)
        if usecase.table_features is None:
            unknown = sorted(set(usecase.task.columns) - names)
            _hold(not unknown, f"{usecase.name}: the task reads {', '.join(unknown)}, which the contract lacks")
        inputs = {feature.name for feature in usecase.task.features}
        _hold(usecase.task.label not in inputs, f"{usecase.name}: the label is among the features")
        _hold(not inputs & set(usecase.entity_key), f"{usecase.name}: an identifier is among the features")
    if usecase.simulate is not None:
        _check_simulator(usecase, rows)


def _check_simulator(usecase: UseCase, rows: int) -> None:
    import orjson

    if usecase.simulate is None:
        return
    made, again = usecase.simulate(rows=rows, seed=5), usecase.simulate(rows=rows, seed=5)
    _hold(made.best_score == again.best_score, f"{usecase.name}: the simulator does not repeat itself")
    for dataset, table in made.tables.items():
        _hold(dataset in usecase.datasets, f"{usecase.name}: the simulator makes an unknown dataset {dataset!r}")
        _hold(table.equals(again.tables[dataset]), f"{usecase.name}: the simulator does not repeat itself")
        validator = edge_validator(usecase.datasets[dataset])
        for row in table.slice(0, 50).to_pylist():
            reasons = validator.judge(orjson.loads(orjson.dumps(row))).reasons
            _hold(not reasons, f"{usecase.name}.{dataset}: a simulated row breaks the contract: {', '.join(reasons)}")


def _folder(usecase: UseCase) -> Path:
    """The folder of the module that the main contract stands in."""
    file = sys.modules[usecase.contract.__module__].__file__
    _hold(file is not None, f"{usecase.name}: its contract stands in no file")
    return Path(str(file)).parent


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)
