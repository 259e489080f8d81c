"""The commands: what each takes, and what it asks to be run."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from trunkline.cli.dialect import Csv
from trunkline.cli.mapping import mapping_of
from trunkline.cli.output import Common, emit, opened, progress
from trunkline.cli.steps.executing import executed, taken_again
from trunkline.cli.steps.showing import show_metrics

__all__ = ["evaluate", "ingest", "monitor", "predict", "register", "report", "rollout", "run", "train"]

Source = Annotated[
    tuple[str, ...],
    Parameter(name="--source", help="File or folder; may be given again.", negative="", show_default=False),
]
PastRunId = Annotated[str | None, Parameter(name="--run-id", help="The run; the newest one by default.")]
RunId = Annotated[str | None, Parameter(name="--run-id", help="Go on with this run, or start one under this id.")]
Map = Annotated[Path | None, Parameter(name="--map", help="TOML file with a table `columns`: source column = field.")]


def run(
    usecase: str,
    /,
    *,
    source: Source = (),
    map_file: Map = None,
    csv: Csv = (),
    until: Annotated[str | None, Parameter(help="Last step to execute.")] = None,
    run_id: RunId = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Execute a use case's whole plan.

    Args:
        usecase: Name of the use case.
        source: Files or folders, each file for the dataset whose contract knows most of its columns; without any the
            simulator makes some.
        map_file: TOML file with a table ``columns`` of source column = field.
        csv: Dialect of the CSV files, in the names of the setting ingest.csv, over what settings and declarations say.
        until: Last step to execute.
        run_id: Go on with this run, or start one under this id.
        common: Options of every command.
    """
    return executed(usecase, common, source=source, map_file=map_file, csv=csv, until=until, run_id=run_id)


def ingest(  # noqa: PLR0913 - the options of one command
    usecase: str,
    /,
    *sources: str,
    dataset: Annotated[
        str | None, Parameter(help="Dataset of the rows; told by the columns of files by default.")
    ] = None,
    map_file: Map = None,
    again: Annotated[
        str | None, Parameter(help="Take this batch in again from its raw copy, by the contract as it is now.")
    ] = None,
    csv: Csv = (),
    reject_budget: Annotated[
        float | None,
        Parameter(validator=Number(gte=0, lte=1), help="Stop a batch when a larger share breaks the contract; 0 to 1."),
    ] = None,
    refresh: Annotated[
        str, Parameter(help="Derived tables to refresh: all, none, or one alone by its name, with nothing taken in.")
    ] = "all",
    dry_run: Annotated[
        bool,
        Parameter(
            negative=(), help="Say what would be read or refused, and what BigQuery would bill; take nothing in."
        ),
    ] = False,
    run_id: RunId = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Take sources into the lake by contract; without any, those that the settings declare for the use case.

    Args:
        usecase: Name of the use case.
        sources: Files, folders, globs, URLs, or names of declared sources.
        dataset: Dataset of the rows. By default each file goes to the dataset whose contract knows most of its
            columns, and other sources to the one that is declared, or the main one.
        map_file: TOML file with a table ``columns`` of source column = field.
        again: Take this batch in again from its raw copy, by the contract as it is now, in the dialect it was read in.
        csv: Dialect of the CSV files, in the names of the setting ingest.csv, e.g. delimiter=; or encoding=cp1251; over
            what settings and declarations say, and with --again over what the batch was read in.
        reject_budget: Stop a batch of which a larger share breaks the contract, and write nothing of it; 0 to 1.
        refresh: Derived tables to refresh: all, none, or one alone by its name, with nothing taken in. The name of a
            step that leads to a table computes that step and counts its rows.
        dry_run: Say what would be read or refused, and what BigQuery would bill; take nothing in.
        run_id: Go on with this run, or start one under this id.
        common: Options of every command.
    """
    if again is not None:
        return taken_again(usecase, again, common, sources=sources, map_file=map_file, said=csv)
    if dry_run:
        from trunkline.cli.previewing import previewed

        return previewed(usecase, sources, common, dataset=dataset, map_file=map_file, csv=csv)
    if refresh not in ("all", "none"):
        from trunkline.cli.steps.refreshing import refreshed

        return refreshed(
            usecase, refresh, common, sources=sources, map_file=map_file, csv=csv, dataset=dataset, run_id=run_id
        )
    given = {} if reject_budget is None else {"ingest": {"reject_budget": reject_budget}}
    return executed(
        usecase,
        common,
        source=sources,
        map_file=map_file,
        csv=csv,
        dataset=dataset,
        run_id=run_id,
        only="ingest",
        derives=refresh == "all",
        given=given,
        needs_source=not sources and run_id is None,
    )


def train(usecase: str, /, *, run_id: RunId = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Learn a candidate from the run's rows, or from all current rows of the lake.

    Args:
        usecase: Name of the use case.
        run_id: Take the rows of this run; all current rows of the lake by default.
        common: Options of every command.
    """
    return executed(usecase, common, run_id=run_id, only="train")


def evaluate(
    usecase: str,
    /,
    *,
    source: Source = (),
    map_file: Map = None,
    run_id: RunId = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Judge a run's candidate by the gates; or, with a source, score the champion on labelled rows it has never seen.

    Args:
        usecase: Name of the use case.
        source: File with labelled rows.
        map_file: TOML file with a table ``columns`` of source column = field.
        run_id: The run whose candidate is judged; the newest trained one by default.
        common: Options of every command.
    """
    if not source:
        return executed(usecase, common, run_id=run_id, only="evaluate")
    from trunkline.run import evaluate_files, source_files

    with opened(common) as workspace, progress() as told, mapping_of(map_file) as mapping:
        told(f"evaluate {usecase}", 0.0)
        found = evaluate_files(workspace, workspace.usecase(usecase), files=source_files(source), mapping=mapping)
    document = found.model_dump(mode="json")
    emit(document, common=common, text=lambda: show_metrics(f"{usecase}, version {found.model_version}", document))
    if not common.json:
        print(f"{found.rows} rows scored, {found.seen} left out as seen in training, {found.refused} refused")
        print(f"intervals are drawn by {found.drawn_by}")
        if found.ece_noise is not None:
            print(
                f"noise floor of ece on so many rows: {found.ece_noise.mean:.4f}, "
                f"95 % below {found.ece_noise.quantile_95:.4f}"
            )
    return 0


def register(usecase: str, /, *, run_id: RunId = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Put a run's judged candidate into the registry.

    Args:
        usecase: Name of the use case.
        run_id: The run whose candidate it is; the newest judged one by default.
        common: Options of every command.
    """
    return executed(usecase, common, run_id=run_id, only="register")


def rollout(usecase: str, /, *, run_id: RunId = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Make a run's registered version the champion.

    Args:
        usecase: Name of the use case.
        run_id: The run that registered it; the newest one by default.
        common: Options of every command.
    """
    return executed(usecase, common, run_id=run_id, only="rollout")


def predict(
    usecase: str,
    /,
    *,
    source: Annotated[Path | None, Parameter(help="File with rows to score.")] = None,
    out: Annotated[Path | None, Parameter(help="Where the scores go: .csv, .parquet or .ndjson.")] = None,
    reasons: Annotated[int, Parameter(validator=Number(gte=0), help="Reasons per row, strongest first.")] = 0,
    map_file: Map = None,
    run_id: RunId = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Score a file by the champion; without a file, the run's rows or all current rows of the lake. All go to the log.

    Args:
        usecase: Name of the use case.
        source: File with rows to score.
        out: Where the scores go: .csv, .parquet or .ndjson.
        reasons: Reasons per row, strongest first.
        map_file: TOML file with a table ``columns`` of source column = field.
        run_id: The run to score under.
        common: Options of every command.
    """
    from trunkline.errors import InputError

    if source is None:
        if out is not None:
            raise InputError("--out needs --source", where="the command line", next_step="name the file to score")
        if map_file is not None:
            raise InputError("--map needs --source", where="the command line", next_step="name the file to score")
        return executed(usecase, common, run_id=run_id, only="predict", reasons=reasons)
    if out is None:
        raise InputError(
            "--source needs --out", where="the command line", next_step="say where the scores go, e.g. --out scores.csv"
        )
    from trunkline.run import new_run_id, predict_file

    with opened(common) as workspace, progress() as told, mapping_of(map_file) as mapping:
        found = predict_file(
            workspace,
            workspace.usecase(usecase),
            source=source,
            out=out,
            mapping=mapping,
            run_id=run_id or new_run_id(workspace),
            reasons=reasons,
            progress=told,
        )

    if found.absent:
        print(
            f"trunkline: warning: the source has no value in {len(found.absent)} columns that the model reads, "
            f"so the scores rest on the others: {', '.join(found.absent)}",
            file=sys.stderr,
        )

    def text() -> None:
        print(f"{found.scored} of {found.rows} rows scored by version {found.model_version} into {found.out}")
        if found.refused:
            print(f"{found.refused} rows refused: " + ", ".join(f"{k} ({n})" for k, n in found.reasons.items()))

    emit(found.model_dump(mode="json"), common=common, text=text)
    return 0


def monitor(
    usecase: str,
    /,
    *,
    source: Source = (),
    map_file: Map = None,
    run_id: RunId = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Read drift and performance of the champion over the logged answers of the last 30 days, or over a file.

    Args:
        usecase: Name of the use case.
        source: File whose rows are compared with the champion's training, without taking them in.
        map_file: TOML file with a table ``columns`` of source column = field.
        run_id: Go on with this run, or start one under this id.
        common: Options of every command.
    """
    return executed(usecase, common, source=source, map_file=map_file, run_id=run_id, only="monitor")


def report(usecase: str, /, *, run_id: PastRunId = None, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Write the page of a run, from what is stored of it.

    Args:
        usecase: Name of the use case.
        run_id: The run; the newest one by default.
        common: Options of every command.
    """
    return executed(usecase, common, run_id=run_id, only="report", again=True)
