"""Other tools that bring the CSV of `ingest.py` to Parquet; runs in an environment of their own, prints seconds.

Takes: which tool, the CSV, an empty folder, the number of threads. Run through `ingest.py`. What each of them does is
said there. Cases with ``_checked`` do what an ingestion has to: limits, rules, the last row of each key, and bad rows
put aside with their reasons; the others do the part that their tool is quick at.
"""

import csv
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

SHARE = 20
WHOLE = [f"n{place}" for place in range(5)]
SHARES = [f"x{place}" for place in range(10)]
NULLS = frozenset(("", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?"))


Taken = tuple[float, float]
"""Seconds, and seconds of processor."""


class Clock:
    """Measures from its beginning."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def taken(self, *, times: int = 1) -> Taken:
        """How long it took, multiplied."""
        return (time.perf_counter() - self._wall) * times, (time.process_time() - self._processor) * times


def model() -> Any:  # noqa: ANN401 - a model class of a library that is imported here
    """A Pydantic model with the same limits and rules; those of one field are constraints, for Pydantic's core."""
    from datetime import datetime
    from typing import Annotated, Self

    from pydantic import BaseModel, ConfigDict, Field, model_validator

    share = Annotated[float, Field(ge=0, le=1)]

    class Usage(BaseModel):
        model_config = ConfigDict(str_strip_whitespace=True)

        usage_id: Annotated[int, Field(ge=0)]
        subscriber: Annotated[str, Field(max_length=20, pattern=r"^s[0-9]+$")]
        at: datetime
        is_roaming: bool | None
        plan: Annotated[str, Field(max_length=12)] | None
        n0: Annotated[int, Field(ge=0, le=10_000)] | None
        n1: Annotated[int, Field(ge=0, lt=1_000_000)] | None
        n2: Annotated[int, Field(ge=0, lt=1_000_000)] | None
        n3: Annotated[int, Field(lt=1_000_000)] | None
        n4: Annotated[int, Field(lt=1_000_000)] | None
        x0: share | None
        x1: share | None
        x2: share | None
        x3: share | None
        x4: share | None
        x5: share | None
        x6: share | None
        x7: share | None
        x8: share | None
        x9: share | None

        @model_validator(mode="after")
        def rules(self) -> Self:
            x0, x1, x3, x4 = self.x0 or 0.0, self.x1 or 0.0, self.x3 or 0.0, self.x4 or 0.0
            n0 = self.n0 or 0
            if x0 + x1 > 2 or (x3 + x4) / 2 > 1 or n0 - (self.n1 or 0) >= 1_000_000:
                raise ValueError("together")
            if (self.is_roaming and n0 < 0) or (self.plan == "gold" and (self.x2 or 0.0) < 0):
                raise ValueError("roaming or gold")
            return self

    return Usage


def rows_of(path: Path) -> int:
    """Count the rows of the file."""
    with path.open("rb") as lines:
        return sum(1 for _ in lines) - 1


def pydantic_rows(path: Path, scratch: Path, _threads: int) -> Taken:
    """A model per row, on a twentieth of the rows; the time is multiplied. Bad rows are put aside with their errors.

    Null tokens become null and texts are trimmed, as the contract says: else an empty cell of a nullable field would
    refuse its row. Each row keeps where it comes from. What does not grow with the rows is left out, because the time
    is multiplied: the hash of the file, the commit, the receipt.
    """
    from datetime import UTC, datetime

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import ValidationError

    usage, rows = model(), rows_of(path)
    origin = {"_run_id": "bench", "_batch_id": "0" * 24, "_ingested_at": datetime.now(UTC)}
    clock = Clock()
    good: dict[int, dict[str, object]] = {}
    bad: list[dict[str, object]] = []
    with path.open(newline="") as stream:
        for number, row in enumerate(islice(csv.DictReader(stream), rows // SHARE)):
            said = {name: None if text in NULLS else text for name, text in row.items()}
            try:
                valid = usage.model_validate(said)
            except ValidationError as error:
                bad.append({"number": number, "errors": error.json(include_url=False), "row": str(row)})
                continue
            good[valid.usage_id] = valid.model_dump() | {"_row": number}
    table = pa.Table.from_pylist(list(good.values()))
    for name, value in origin.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    pq.write_table(table, scratch / "rows.parquet")
    pq.write_table(pa.Table.from_pylist(bad), scratch / "bad.parquet")
    return clock.taken(times=SHARE)


def dlt_checked(path: Path, scratch: Path, _threads: int) -> Taken:
    """Dlt with the Pydantic model as its schema contract: bad rows are discarded; a twentieth of the rows."""
    tool = import_module("dlt")
    usage, rows = model(), rows_of(path)
    pipeline = tool.pipeline(
        "bench",
        destination=tool.destinations.filesystem(str(scratch / "lake")),
        dataset_name="rows",
        pipelines_dir=str(scratch / "state"),
    )

    def read() -> Iterator[dict[str, Any]]:
        with path.open(newline="") as stream:
            yield from islice(csv.DictReader(stream), rows // SHARE)

    contract = {"columns": "discard_row", "data_type": "discard_row"}
    resource = tool.resource(read, name="usage", columns=usage, schema_contract=contract, write_disposition="append")
    clock = Clock()
    pipeline.run(resource, loader_file_format="parquet")
    return clock.taken(times=SHARE)


def dlt(path: Path, scratch: Path, threads: int) -> Taken:
    """Arrow batches appended to Parquet files."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    tool = import_module("dlt")  # it is installed where this runs, and nowhere else
    pa.set_cpu_count(threads)
    pipeline = tool.pipeline(
        "bench",
        destination=tool.destinations.filesystem(str(scratch / "lake")),
        dataset_name="rows",
        pipelines_dir=str(scratch / "state"),
    )

    def usage() -> Iterator[pa.Table]:
        yield from (pa.Table.from_batches([batch]) for batch in pa_csv.open_csv(path))

    resource = tool.resource(usage, name="usage", write_disposition="append")
    clock = Clock()
    pipeline.run(resource, loader_file_format="parquet")
    return clock.taken()


def pandera(path: Path, scratch: Path, _threads: int) -> Taken:
    """A Polars schema, all failures gathered, bad rows left out; no keys, and nobody learns which rows were bad."""
    return _pandera(path, scratch, is_checked=False)


def pandera_checked(path: Path, scratch: Path, _threads: int) -> Taken:
    """The same, with the failures written, the bad rows written, and the last row of each key kept."""
    return _pandera(path, scratch, is_checked=True)


def _pandera(path: Path, scratch: Path, *, is_checked: bool) -> Taken:
    pa, pl = import_module("pandera.polars"), import_module("polars")

    def rule(condition: Any, name: str) -> Any:  # noqa: ANN401 - of a library that is not here
        return pa.Check(lambda data: data.lazyframe.select(condition.fill_null(value=True)), name=name)

    column = pl.col
    rules = [rule(column(name).is_between(0, 1), f"{name}_is_a_share") for name in SHARES]
    rules += [rule(column(name) < 1_000_000, f"{name}_is_small") for name in WHOLE]
    rules += [
        rule(column("x0") + column("x1") <= 2, "two_shares"),
        rule((column("x3") + column("x4")) / 2 <= 1, "mean_of_shares"),
        rule((column("is_roaming") != "Yes") | (column("n0") >= 0), "roaming_counts"),
        rule((column("plan") != "gold") | (column("x2") >= 0), "gold_has_a_share"),
        rule(column("n0") - column("n1") < 1_000_000, "n_not_apart"),
    ]
    limits = {
        "usage_id": [pa.Check.ge(0)],
        "subscriber": [pa.Check.str_matches(r"^s[0-9]+$"), pa.Check.str_length(max_value=20)],
        "plan": [pa.Check.str_length(max_value=12)],
        "n0": [pa.Check.in_range(0, 10_000)],
        "n1": [pa.Check.ge(0)],
        "n2": [pa.Check.ge(0)],
        "x0": [pa.Check.in_range(0, 1)],
        "x1": [pa.Check.ge(0)],
    }
    kinds = {
        "usage_id": pl.Int64,
        "subscriber": pl.String,
        "at": pl.Datetime,
        "is_roaming": pl.String,
        "plan": pl.String,
    }
    kinds |= dict.fromkeys(WHOLE, pl.Int64) | dict.fromkeys(SHARES, pl.Float64)
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(nullable=name not in ("usage_id", "subscriber", "at"), checks=limits.get(name))
            for name in kinds
        },
        checks=rules,
        drop_invalid_rows=not is_checked,
    )
    clock = Clock()
    rows = pl.read_csv(path, schema_overrides=kinds | {"at": pl.String})
    rows = rows.with_columns(column("at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))
    if is_checked:
        try:
            schema.validate(rows, lazy=True)
        except pa.errors.SchemaErrors as error:
            # as its documentation has it: the failures name the rows, by place
            failures = error.failure_cases
            failures.write_parquet(scratch / "failures.parquet")
            rows = rows.with_row_index("place").with_columns(column("place").cast(pl.Int64))
            places = failures.select(column("index").cast(pl.Int64)).unique()
            rows.join(places, left_on="place", right_on="index", how="semi").write_parquet(scratch / "bad.parquet")
            rows = rows.join(places, left_on="place", right_on="index", how="anti").drop("place")
        rows = rows.unique("usage_id", keep="last")
    else:
        rows = schema.validate(rows, lazy=True)
    rows.write_parquet(scratch / "rows.parquet")
    return clock.taken()


if __name__ == "__main__":
    tool_name, file, folder, thread_count = sys.argv[1:]
    run = {one.__name__: one for one in (pydantic_rows, dlt, dlt_checked, pandera, pandera_checked)}[tool_name]
    print(*run(Path(file), Path(folder), int(thread_count)))
