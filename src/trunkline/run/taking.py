"""Sources as people name them, resolved and taken in: paths, folders, globs, URLs, and names from the settings.

A path, a folder and a glob stand for files. A URL whose scheme a source knows (``postgresql://``, ``sqlite://``,
``s3://``, ``https://``, ...) is pulled as if it had been declared under a name made of its hash. Anything else is
looked up under ``[sources]`` of the settings.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from trunkline.errors import InputError, SourceError, TrunklineError, UnknownNameError
from trunkline.ingest import FILE_SUFFIXES, Ingested, Target
from trunkline.ingest.files import split_sheet
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import declared_from_url, open_source
from trunkline.run.declared import declared_names, refuse_misdeclared
from trunkline.run.taking_files import taken_files
from trunkline.spec.sources import AnySource, FolderSource, TopicSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["HIDDEN", "Handed", "Outcome", "dataset_of", "recorded", "resolve", "source_files", "take"]

_logger = logging.getLogger(__name__)

HIDDEN: Final = "***"
"""Stands where a URL that was written down had a credential."""

_NAME_DIGITS: Final = 12
_MAY_BE_SECRET: Final = re.compile(r"key|token|secret|passw|pwd|sig|auth|cred")


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


def recorded(source: str) -> str:
    """Write a source down: paths whole, URLs without what may be secret, which :data:`HIDDEN` stands for."""
    if "://" in source:
        return _public(source)
    path = Path(source)
    return str(path.absolute()) if path.exists() or has_magic(source) else source


def _public(url: str) -> str:
    """A URL without its password and without the values of options that may be credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = "" if parts.username is None else f"{parts.username}:{HIDDEN}@" if parts.password else f"{parts.username}@"
    options = [
        (name, HIDDEN if _MAY_BE_SECRET.search(name.lower()) else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    query = f"?{urlencode(options, safe='*')}" if options else ""
    return f"{parts.scheme}://{user}{host}{parts.path}{query}"  # geturl() would drop the slashes of an empty host


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
        if HIDDEN in text and "://" in text:
            raise InputError(
                "the URL lacks its credentials, which are not kept",
                where=text,
                next_step="name the source again with its credentials, or declare it under [sources] of trunkline.toml",
            )
        declared = workspace.settings.sources.get(text)
        name = text
        if declared is None and "://" in text and urlsplit(text).scheme != "file":
            declared = declared_from_url(text, usecase=usecase.name, dataset=dataset)
            # by what is no secret: a new password does not make it another source, with a position of its own
            name = f"url-{hashlib.sha256(_public(text).encode()).hexdigest()[:_NAME_DIGITS]}"
        if declared is None:
            try:
                files = source_files((text,))
            except SourceError as error:
                raise _with_names(error, workspace, text) from None
            target = dataset_of(usecase, dataset)
            found += [Handed(path.name, path.absolute(), None, target, mapping) for path in files]
            continue
        if text in workspace.settings.sources:
            refuse_misdeclared(workspace, text, declared)
        if declared.usecase != usecase.name:
            raise InputError(
                f"the source {text!r} belongs to the use case {declared.usecase!r}",
                where=f"use case {usecase.name!r}",
                allowed=declared_names(workspace, usecase.name),
            )
        target = dataset_of(usecase, dataset or declared.dataset)
        if isinstance(declared, TopicSource):
            raise InputError(
                f"the source {text!r} is a topic, and topics are watched",
                where=f"use case {usecase.name!r}",
                next_step=f"trunkline watch {usecase.name} {name} --once",
            )
        if isinstance(declared, FolderSource):
            files = source_files((str(declared.path),))
            found += [
                Handed(path.name, path.absolute(), None, target, {**declared.columns, **mapping}) for path in files
            ]
        else:
            found.append(Handed(name, None, declared, target, {**declared.columns, **mapping}))
    return found


@dataclass(frozen=True)
class Outcome:
    """What became of a file, or of a piece of a pulled source.

    Attributes:
        handed: The source.
        ingested: The receipt; None where nothing was written.
        error: What was wrong; a batch of which every row was refused has both.
    """

    handed: Handed
    ingested: Ingested | None
    error: TrunklineError | None


def take(
    workspace: "Workspace",
    usecase: "UseCase",
    handed: Sequence[Handed],
    *,
    run_id: str,
    progress: Callable[[str, float], None],
    keep_files: bool | None = None,
) -> Iterator[Outcome]:
    """Take sources in, one after the other; small files share commits. A source that fails stops none of the others.

    Args:
        workspace: The workspace.
        usecase: The use case that takes them in.
        handed: From :func:`resolve`.
        run_id: The run that asks for it.
        progress: Told what is being done and which share of it, in [0, 1].
        keep_files: Whether files leave a copy in the landing zone; None does as the settings say.

    Yields:
        One outcome per file and per piece of a pulled source, as soon as its receipt is written; and one with the error
        of a pulled source that did not give all.

    Raises:
        UnavailableError: The lake or the landing zone did not take what was read.
        BusyError: Another writer held a table for too long.
    """
    keeps = workspace.settings.landing.keep_files if keep_files is None else keep_files
    done = 0
    for _, alike in groupby(handed, key=_kind):
        some = list(alike)
        one = some[0]
        target = Target(usecase.name, one.dataset, usecase.datasets[one.dataset])
        told = f"ingest {one.name}" + (f" and {len(some) - 1} more" if len(some) > 1 else "")
        progress(told, done / len(handed))
        outcomes: Iterator[Outcome]
        if one.path is not None:
            files = taken_files(
                workspace,
                [file.path for file in some if file.path is not None],
                target,
                run_id=run_id,
                mapping=one.mapping,
                keeps=keeps,
            )
            outcomes = (Outcome(file, found.ingested, found.error) for file, found in zip(some, files, strict=True))
        else:
            outcomes = _pulled(workspace, one, target, run_id=run_id)
        for outcome in outcomes:
            _log(outcome, usecase=usecase.name, run_id=run_id)
            if outcome.error is None and outcome.ingested is not None and one.path is None:
                progress(f"{told}: {outcome.ingested.receipt.source}", done / len(handed))
            yield outcome
        done += len(some)


def _pulled(workspace: "Workspace", one: Handed, target: Target, *, run_id: str) -> Iterator[Outcome]:
    assert one.declared is not None, "what is no file is declared"
    try:
        for taken in pull(
            open_source(one.name, one.declared),
            target,
            landing=workspace.landing(target.table),
            locks=workspace.folder("locks"),
            lake=workspace.lake,
            run_id=run_id,
            clock=workspace.clock,
            mapping=one.mapping,
            limits=workspace.settings.ingest,
        ):
            yield Outcome(one, taken, None)
    except TrunklineError as error:
        yield Outcome(one, None, error)


def _log(outcome: Outcome, *, usecase: str, run_id: str) -> None:
    """Say what became of a batch: names and counts, no values."""
    named = {"usecase": usecase, "dataset": outcome.handed.dataset, "source": outcome.handed.name, "run_id": run_id}
    if outcome.error is not None:
        # the caller says why: as text that is enough
        _logger.error("source refused: %s", type(outcome.error).__name__, extra={**named, "state": "refused"})
    if outcome.ingested is None:
        return
    receipt = outcome.ingested.receipt
    _logger.info(
        "batch known already" if outcome.ingested.known else "batch taken in",
        extra={
            **named,
            "source": receipt.source,
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


def dataset_of(usecase: "UseCase", dataset: str | None) -> str:
    """Give a dataset's name, the main one's for None.

    Raises:
        UnknownNameError: There is no such dataset.
    """
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
