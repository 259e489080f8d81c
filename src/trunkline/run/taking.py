"""Sources as people name them, resolved and taken in: paths, folders, globs, URLs, and names from the settings.

A path, a folder and a glob stand for files. A URL whose scheme a source knows (``postgresql://``, ``sqlite://``,
``s3://``, ``https://``, ...) is pulled as if it had been declared under a name made of its hash. Anything else is
looked up under ``[sources]`` of the settings.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from trunkline.checks import arrow_schema
from trunkline.contracts.records import Receipt
from trunkline.errors import InputError, SourceError, TrunklineError, UnknownNameError
from trunkline.ingest import FILE_SUFFIXES, FileResult, Ingested, Target, ingest_files
from trunkline.ingest.files import split_sheet
from trunkline.ingest.landing import Landed
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import declared_from_url, open_source
from trunkline.spec.sources import AnySource, FolderSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Handed", "declared_names", "recorded", "resolve", "source_files", "take"]

_logger = logging.getLogger(__name__)

_NAME_DIGITS: Final = 12


@dataclass(frozen=True)
class Handed:
    """One source, resolved.

    Attributes:
        name: The file's name, or the source's.
        path: The file; None for a source that is pulled.
        declared: What is said of a source that is pulled; None for a file.
        dataset: The dataset its rows belong to.
        mapping: Source column to field name.
    """

    name: str
    path: Path | None
    declared: AnySource | None
    dataset: str
    mapping: Mapping[str, str] = field(default_factory=dict)


def source_files(sources: Sequence[str]) -> tuple[Path, ...]:
    """List the files behind paths: a file is itself, a folder its files of known forms, sorted by name.

    Raises:
        SourceError: A source does not exist, or a folder or glob holds no such file.
    """
    files: list[Path] = []
    for source in sources:
        path = Path(source.removeprefix("file://"))
        if path.is_dir():
            inside = sorted(found for found in path.iterdir() if _is_data_file(found))
            if not inside:
                raise SourceError("the folder holds no data file", where=str(path), allowed=FILE_SUFFIXES)
            files += inside
        elif split_sheet(path)[0].exists():
            files.append(path)
        elif has_magic(source):
            matching = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
            inside = sorted(found for found in matching if _is_data_file(found))
            if not inside:
                raise SourceError("no data file matches", where=source, allowed=FILE_SUFFIXES)
            files += inside
        else:
            raise SourceError("the file does not exist", where=source, next_step="check the path")
    return tuple(files)


def declared_names(workspace: "Workspace", usecase: str, *, dataset: str | None = None) -> tuple[str, ...]:
    """Name the declared sources of a use case that can be pulled, in the order of the settings.

    Args:
        workspace: Its settings hold the declarations.
        usecase: The use case.
        dataset: Only sources of this dataset; None takes all.
    """
    return tuple(
        name
        for name, declared in workspace.settings.sources.items()
        if declared.usecase == usecase
        and not isinstance(declared, FolderSource)
        and (dataset is None or declared.dataset in (None, dataset))
    )


def recorded(source: str) -> str:
    """Write a source down so that a run can go on with it: paths whole, URLs without their password."""
    if "://" in source:
        parts = urlsplit(source)
        if parts.password is None:
            return source
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{parts.username or ''}:***@{host}").geturl()
    path = Path(source)
    return str(path.absolute()) if path.exists() or has_magic(source) else source


def resolve(
    workspace: "Workspace",
    usecase: "UseCase",
    sources: Sequence[str],
    *,
    dataset: str | None,
    mapping: Mapping[str, str],
) -> list[Handed]:
    """Say what sources are, before anything is read.

    Args:
        workspace: Its settings declare sources by name.
        usecase: The use case that takes them in.
        sources: Paths, folders, globs, URLs, names.
        dataset: The dataset of all of them; None leaves it to the declaration, else the main one.
        mapping: Source column to field name; wins over a declaration's own.

    Raises:
        SourceError: A file does not exist.
        InputError: A URL is malformed, or a name belongs to another use case.
        UnknownNameError: There is no such dataset.
    """
    found: list[Handed] = []
    for text in sources:
        declared = workspace.settings.sources.get(text)
        name = text
        if declared is None and "://" in text and urlsplit(text).scheme != "file":
            declared = declared_from_url(text, usecase=usecase.name, dataset=dataset)
            name = f"url-{hashlib.sha256(text.encode()).hexdigest()[:_NAME_DIGITS]}"
        if declared is None:
            try:
                files = source_files((text,))
            except SourceError as error:
                raise _with_names(error, workspace, text) from None
            target = _dataset(usecase, dataset)
            found += [Handed(path.name, path, None, target, mapping) for path in files]
            continue
        if declared.usecase != usecase.name:
            raise InputError(
                f"the source {text!r} belongs to the use case {declared.usecase!r}",
                where=f"use case {usecase.name!r}",
                allowed=declared_names(workspace, usecase.name),
            )
        target = _dataset(usecase, dataset or declared.dataset)
        if isinstance(declared, FolderSource):
            files = source_files((str(declared.path),))
            found += [Handed(path.name, path, None, target, {**declared.columns, **mapping}) for path in files]
        else:
            found.append(Handed(name, None, declared, target, {**declared.columns, **mapping}))
    return found


def take(
    workspace: "Workspace",
    usecase: "UseCase",
    handed: Sequence[Handed],
    *,
    run_id: str,
    progress: Callable[[str, float], None],
    keep_files: bool | None = None,
) -> Iterator[tuple[Handed, Ingested]]:
    """Take sources in, one after the other; small files share commits.

    Args:
        workspace: The workspace.
        usecase: The use case that takes them in.
        handed: From :func:`resolve`.
        run_id: The run that asks for it.
        progress: Told what is being done and which share of it, in [0, 1].
        keep_files: Whether files leave a copy in the landing zone; None does as the settings say.

    Yields:
        Each batch with its source, as soon as its receipt is written.

    Raises:
        SourceError: A source cannot be read whole, or has no rows. Of several files, the others are taken in before.
        SchemaError: Its columns do not fit; likewise.
        RowsRefusedError: No row of a file was good, or more broke the contract than the budget allows; likewise.
        UnavailableError: A server did not answer.
    """
    keeps = workspace.settings.landing.keep_files if keep_files is None else keep_files
    errors: list[TrunklineError] = []
    done = 0
    for one, files in groupby(handed, key=_kind):
        target = Target(usecase.name, one.dataset, usecase.datasets[one.dataset])
        landing = workspace.landing(target.table)
        some = list(files)
        told = f"ingest {some[0].name}" + (f" and {len(some) - 1} more" if len(some) > 1 else "")
        progress(told, done / len(handed))
        if some[0].path is not None:
            for file, result in _taken_files(workspace, some, target, run_id=run_id, keeps=keeps):
                done += 1
                progress(told, done / len(handed))
                if result.error is not None:
                    errors.append(result.error)
                elif result.ingested is not None:
                    _log(result.ingested)
                    yield file, result.ingested
        elif some[0].declared is not None:
            pulled = pull(
                open_source(some[0].name, some[0].declared),
                target,
                landing=landing,
                locks=workspace.folder("locks"),
                lake=workspace.lake,
                run_id=run_id,
                clock=workspace.clock,
                mapping=one.mapping,
                limits=workspace.settings.ingest,
            )
            for taken in pulled:
                progress(f"{told}: {taken.receipt.source}", done / len(handed))
                _log(taken)
                yield some[0], taken
            done += 1
    if errors:
        raise errors[0]


def _log(taken: Ingested) -> None:
    """Say what became of a batch: names and counts, no values."""
    receipt = taken.receipt
    _logger.info(
        "batch known already" if taken.known else "batch taken in",
        extra={
            "usecase": receipt.usecase,
            "dataset": receipt.dataset,
            "source": receipt.source,
            "run_id": receipt.run_id,
            "batch_id": receipt.batch_id,
            "read": receipt.read,
            "accepted": receipt.accepted,
            "quarantined": receipt.quarantined,
            "duplicates": receipt.duplicates,
            "seconds": round((receipt.finished_at - receipt.started_at).total_seconds(), 3),
        },
    )


class _Kind(NamedTuple):
    """What files must share to be taken in together; a pulled source shares its name with none."""

    source: str
    dataset: str
    mapping: Mapping[str, str]


def _kind(one: Handed) -> _Kind:
    return _Kind(one.name if one.path is None else "", one.dataset, one.mapping)


def _taken_files(
    workspace: "Workspace", files: Sequence[Handed], target: Target, *, run_id: str, keeps: bool
) -> Iterator[tuple[Handed, FileResult]]:
    """Take files in, each with a copy in the landing zone; that of a file that was refused goes again."""
    landing = workspace.landing(target.table)
    by_path = {file.path: file for file in files if file.path is not None}
    # of a spreadsheet of which one sheet is meant no copy is kept: it would stand for another content
    pieces = {path: landing.keep(path) for path in by_path if split_sheet(path)[1] is None} if keeps else {}
    for result in ingest_files(
        list(by_path),
        target,
        lake=workspace.lake,
        run_id=run_id,
        clock=workspace.clock,
        mapping=files[0].mapping,
        pieces=pieces,
        limits=workspace.settings.ingest,
    ):
        if result.error is not None and result.ingested is None and result.path in pieces:
            _give_up(workspace, target, pieces[result.path])
        yield by_path[result.path], result


def _give_up(workspace: "Workspace", target: Target, piece: Landed) -> None:
    """Take a copy back, unless a batch of an earlier time or another contract rests on it."""
    receipts, lake = "platform.receipts", workspace.lake
    rests = (
        lake.exists(receipts)
        and lake.arrow(
            receipts,
            columns=["batch_id"],
            schema=arrow_schema(Receipt),
            where=lambda table: (
                (table["usecase"] == target.usecase)
                & (table["dataset"] == target.dataset)
                & (table["content_sha256"] == piece.content_sha256)
            ),
        ).num_rows
    )
    if not rests:
        workspace.landing(target.table).discard(piece)


def _dataset(usecase: "UseCase", dataset: str | None) -> str:
    name = dataset or usecase.main
    if name not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {name!r}", allowed=usecase.datasets)
    return name


def _is_data_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and any(suffix in FILE_SUFFIXES for suffix in path.suffixes)


def _with_names(error: SourceError, workspace: "Workspace", text: str) -> SourceError:
    """Add the declared sources to what was said of a path that does not exist."""
    names = tuple(workspace.settings.sources)
    if error.allowed or not names or "/" in text:
        return error
    return SourceError(
        "there is neither a file nor a declared source of that name",
        where=text,
        allowed=names,
        next_step="check the path, or declare the source under [sources] of trunkline.toml",
    )
