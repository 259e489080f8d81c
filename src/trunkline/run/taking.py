"""Sources as people name them, resolved and taken in: paths, folders, globs, URLs, and names from the settings.

A path, a folder and a glob stand for files. A URL whose scheme a source knows (``postgresql://``, ``sqlite://``,
``s3://``, ``https://``, ...) is pulled as if it had been declared under a name made of its hash. Anything else is
looked up under ``[sources]`` of the settings.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline.errors import InputError, SourceError, UnknownNameError
from trunkline.ingest import FILE_SUFFIXES, Ingested, Target, ingest_file
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import declared_from_url, open_source
from trunkline.spec.sources import AnySource, FolderSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Handed", "declared_names", "recorded", "resolve", "source_files", "take"]

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
        elif path.exists():
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
    """Take sources in, one after the other.

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
        SourceError: A source cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
        RowsRefusedError: No row of a file was good.
        UnavailableError: A server did not answer.
    """
    keeps = workspace.settings.landing.keep_files if keep_files is None else keep_files
    for position, one in enumerate(handed):
        progress(f"ingest {one.name}", position / len(handed))
        target = Target(usecase.name, one.dataset, usecase.datasets[one.dataset])
        landing = workspace.landing(target.table)
        if one.path is not None:
            yield (
                one,
                ingest_file(
                    one.path,
                    target,
                    lake=workspace.lake,
                    run_id=run_id,
                    clock=workspace.clock,
                    mapping=one.mapping,
                    piece=landing.keep(one.path) if keeps else None,
                ),
            )
        elif one.declared is not None:
            pulled = pull(
                open_source(one.name, one.declared),
                target,
                landing=landing,
                locks=workspace.folder("locks"),
                lake=workspace.lake,
                run_id=run_id,
                clock=workspace.clock,
                mapping=one.mapping,
            )
            for taken in pulled:
                progress(f"ingest {one.name}: {taken.receipt.source}", position / len(handed))
                yield one, taken


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
