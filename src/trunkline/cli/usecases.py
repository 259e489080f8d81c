"""``usecases``, ``new`` and ``simulate``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, table, tell_broken
from trunkline.errors import InputError


def usecases(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List what is installed."""
    with opened(common) as workspace:
        installed = workspace.installed()
    rows = [
        {
            "name": usecase.name,
            "title": usecase.title,
            "question": usecase.question,
            "task": usecase.task.name if usecase.task else None,
            "metric": usecase.metric,
            "datasets": list(usecase.datasets),
            "derived": list(usecase.derived),
            "simulator": usecase.simulate is not None,
        }
        for usecase in installed.usecases.values()
    ]
    emit(
        {"usecases": rows, "broken": tell_broken(installed.broken)},
        common=common,
        text=lambda: table(
            "use cases",
            ["name", "task", "metric", "question"],
            [[row["name"], row["task"], row["metric"], row["question"]] for row in rows],
        ),
    )
    return 0


def new(
    name: str,
    /,
    *,
    copy_of: Annotated[
        str | None, Parameter(name="--from", help="Use case to copy, shipped or your own; house_prices by default.")
    ] = None,
    from_data: Annotated[
        Path | None, Parameter(help="File to infer the contract from: rows, or a JSON Schema.")
    ] = None,
    label: Annotated[
        str | None, Parameter(help="Column to predict, with --from-data; guessed by its name otherwise.")
    ] = None,
    key: Annotated[
        tuple[str, ...],
        Parameter(
            help="Column that identifies a row, with --from-data; may be given again for several together. Guessed"
            " otherwise.",
            negative="",
        ),
    ] = (),
    no_label: Annotated[
        bool, Parameter(help="Predict nothing, with --from-data: a use case of pure ingestion.", negative="")
    ] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Copy a use case into a plug-in of your own, or infer one from a file for you to edit.

    Args:
        name: Name of the new use case: lower-case letters, digits, underscores.
        copy_of: Use case to copy, shipped or your own; house_prices by default.
        from_data: File to infer the contract from: rows, or a JSON Schema.
        label: Column to predict, with --from-data; guessed by its name otherwise.
        key: Columns that identify a row together, with --from-data; guessed otherwise.
        no_label: Predict nothing, with --from-data: a use case of pure ingestion.
        common: Options of every command.
    """
    from trunkline.plugins.scaffold import copy_usecase, infer_usecase
    from trunkline.run.scratch import scratch_folder
    from trunkline.settings import load_settings

    if from_data is not None and copy_of is not None:
        raise InputError("a use case is either copied or inferred", allowed=("--from", "--from-data"))
    if label is not None and no_label:
        raise InputError("either something is predicted or nothing", allowed=("--label COLUMN", "--no-label"))
    if from_data is None and (label or key or no_label):
        raise InputError(
            "--label, --key and --no-label are about columns of a file, and none is given",
            next_step="name it with --from-data FILE",
        )
    settings = load_settings(workspace=common.workspace)
    if from_data is not None:
        with ExitStack() as stack:
            scratch = None
            if settings.workspace.exists():
                scratch = stack.enter_context(scratch_folder(settings.workspace / "tmp", purpose="drafting"))
            made = infer_usecase(
                name,
                source=from_data,
                into=settings.plugin_dir,
                label=label,
                key=key,
                predicts=not no_label,
                scratch=scratch,
            )
    else:
        made = copy_usecase(name, copy_of=copy_of or "house_prices", into=settings.plugin_dir)

    def text() -> None:
        print(f"made {made.folder}")
        for note in made.notes:
            print(f"  {note}")
        how = f"ingest {name} FILE" if no_label else f"run {name} --source FILE"
        print(f"next: edit {made.folder}/contracts.py, then `trunkline {how}`")

    emit({"usecase": name, "folder": str(made.folder), "notes": list(made.notes)}, common=common, text=text)
    return 0


def simulate(
    usecase: str,
    /,
    *,
    rows: Annotated[int, Parameter(help="Entities to make.")],
    out: Annotated[Path, Parameter(help="Folder for the files.")],
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Write realistic data with known truth, one Parquet file per dataset.

    Args:
        usecase: Name of a use case with a simulator.
        rows: Entities to make.
        out: Folder for the files.
        common: Options of every command.
    """
    from trunkline.run import simulate_files

    with opened(common) as workspace:
        found = workspace.usecase(usecase)
        files, best = simulate_files(found, rows=rows, seed=workspace.settings.seed, out=out)
    document = {
        "usecase": usecase,
        "files": {name: str(path) for name, path in files.items()},
        "rows": rows,
        "best_score": {found.metric: best},
    }

    def text() -> None:
        for dataset, path in files.items():
            print(f"{dataset}: {path}")
        if found.metric:
            print(f"best possible {found.metric}: {best:.4f}")

    emit(document, common=common, text=text)
    return 0
