"""Other tools that bring the CSV of `ingest.py` to Parquet; runs in an environment of their own, prints seconds.

Takes: which tool, the CSV, an empty folder, the number of threads. Run through `ingest.py`.
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


def pydantic_rows(path: Path, scratch: Path, _threads: int) -> float:
    """A model per row, on a twentieth of the rows; the time is multiplied."""
    from datetime import datetime
    from typing import Annotated, Self

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import BaseModel, Field, ValidationError, model_validator

    class Usage(BaseModel):
        usage_id: Annotated[int, Field(ge=0)]
        subscriber: Annotated[str, Field(max_length=20, pattern=r"^s[0-9]+$")]
        at: datetime
        is_roaming: bool | None
        plan: Annotated[str, Field(max_length=12)] | None
        n0: Annotated[int, Field(ge=0, le=10_000)] | None
        n1: Annotated[int, Field(ge=0)] | None
        n2: Annotated[int, Field(ge=0)] | None
        n3: int | None
        n4: int | None
        x0: Annotated[float, Field(ge=0, le=1)] | None
        x1: Annotated[float, Field(ge=0)] | None
        x2: float | None
        x3: float | None
        x4: float | None
        x5: float | None
        x6: float | None
        x7: float | None
        x8: float | None
        x9: float | None

        @model_validator(mode="after")
        def rules(self) -> Self:
            for name in SHARES:
                share = getattr(self, name)
                if share is not None and not 0 <= share <= 1:
                    raise ValueError(name)
            for name in WHOLE:
                number = getattr(self, name)
                if number is not None and number >= 1_000_000:
                    raise ValueError(name)
            x0, x1, x3, x4 = self.x0 or 0.0, self.x1 or 0.0, self.x3 or 0.0, self.x4 or 0.0
            n0 = self.n0 or 0
            if x0 + x1 > 2 or (x3 + x4) / 2 > 1 or n0 - (self.n1 or 0) >= 1_000_000:
                raise ValueError("together")
            if (self.is_roaming and n0 < 0) or (self.plan == "gold" and (self.x2 or 0.0) < 0):
                raise ValueError("roaming or gold")
            return self

    with path.open("rb") as lines:
        rows = sum(1 for _ in lines) - 1
    started = time.perf_counter()
    good: list[dict[str, object]] = []
    bad: list[tuple[int, int]] = []
    keys: dict[int, int] = {}
    with path.open(newline="") as stream:
        for number, row in enumerate(islice(csv.DictReader(stream), rows // SHARE)):
            try:
                usage = Usage.model_validate(row)
            except ValidationError as error:
                bad.append((number, error.error_count()))
                continue
            keys[usage.usage_id] = len(good)
            good.append(usage.model_dump())
    pq.write_table(pa.Table.from_pylist([good[place] for place in keys.values()]), scratch / "rows.parquet")
    return (time.perf_counter() - started) * SHARE


def dlt(path: Path, scratch: Path, threads: int) -> float:
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
    started = time.perf_counter()
    pipeline.run(resource, loader_file_format="parquet")
    return time.perf_counter() - started


def pandera(path: Path, scratch: Path, _threads: int) -> float:
    """A Polars schema, all failures gathered, bad rows left out."""
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
        drop_invalid_rows=True,
    )
    started = time.perf_counter()
    rows = pl.read_csv(path, schema_overrides=kinds | {"at": pl.String})
    rows = rows.with_columns(column("at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))
    schema.validate(rows, lazy=True).write_parquet(scratch / "rows.parquet")
    return time.perf_counter() - started


if __name__ == "__main__":
    tool_name, file, folder, thread_count = sys.argv[1:]
    run = {"pydantic_rows": pydantic_rows, "dlt": dlt, "pandera": pandera}[tool_name]
    print(run(Path(file), Path(folder), int(thread_count)))
