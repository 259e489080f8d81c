"""By which names sources call their columns, and simulated files where there are no others."""

import tomllib
from pathlib import Path

from trunkline.errors import InputError
from trunkline.spec import UseCase

__all__ = ["read_mapping", "simulate_files"]


def read_mapping(path: Path | None) -> dict[str, str]:
    """Read a mapping file: TOML with a table ``[columns]`` of source column = field.

    Raises:
        InputError: The file is missing or not of that form.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "the mapping file does not exist", where=str(path), next_step="check the path of --map"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            "the mapping file is not TOML",
            where=f"{path} ({str(error)[:120]})",
            next_step='write e.g.\n[columns]\n"Customer No" = "subscriber_id"',
        ) from None
    columns = content.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns.values()):
        raise InputError(
            "the mapping file has no table [columns] of texts",
            where=str(path),
            next_step='write e.g.\n[columns]\n"Customer No" = "subscriber_id"',
        )
    return dict(columns)


def simulate_files(usecase: UseCase, *, rows: int, seed: int, out: Path) -> tuple[dict[str, Path], float]:
    """Write simulated tables as Parquet files named after use case, dataset, rows and seed.

    Args:
        usecase: A use case with a simulator.
        rows: Entities to make.
        seed: Seed of the simulator.
        out: Folder for the files.

    Returns:
        Dataset to file, and the best score possible.

    Raises:
        InputError: The use case has no simulator, or ``rows`` is not positive.
    """
    import pyarrow.parquet as pq

    if usecase.simulate is None:
        raise InputError(
            f"the use case {usecase.name!r} has no simulator",
            where=f"use case {usecase.name!r}",
            next_step="see `trunkline usecases --json` for those that have one",
        )
    if rows < 1:
        raise InputError("the number of rows must be at least 1", where="--rows", next_step="e.g. --rows 1000")
    made = usecase.simulate(rows=rows, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for dataset in (*made.tables, *made.streams):
        path = out / f"{usecase.name}-{dataset}-{rows}-{seed}.parquet"
        if dataset in made.tables:
            pq.write_table(made.tables[dataset], path)
        else:
            stream = made.streams[dataset]
            with pq.ParquetWriter(path, stream.schema) as writer:
                for batch in stream:
                    writer.write_batch(batch)
        files[dataset] = path
    return files, made.best_score
