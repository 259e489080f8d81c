"""Sources as people name them, resolved: paths, folders, globs, URLs, and names from the settings.

A path, a folder and a glob stand for files. A URL whose scheme a source knows (``postgresql://``, ``sqlite://``,
``s3://``, ``https://``, ...) is pulled as if it had been declared under a name made of its hash. Anything else is
looked up under ``[sources]`` of the settings.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import ValidationError

from trunkline.errors import InputError, SourceError, UnknownNameError
from trunkline.ingest import FILE_SUFFIXES
from trunkline.ingest.archives import archive_of
from trunkline.ingest.beside_data import Beside, beside_data
from trunkline.ingest.files import split_sheet
from trunkline.ingest.sources import declared_from_url
from trunkline.ingest.watching import Arrivals
from trunkline.run.declared import declared_names, missing_folder, refuse_misdeclared
from trunkline.settings.ingest import IngestSettings
from trunkline.settings.refusals import dialect_refusal
from trunkline.spec.dialect import CsvDialect
from trunkline.spec.source import FileSpec
from trunkline.spec.sources import AnySource, FolderSource, ObjectSource, TopicSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["HIDDEN", "Handed", "dataset_of", "file_dataset", "recorded", "resolve", "source_files"]

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
        dataset: The dataset its rows belong to; None where nobody said and the columns of the files tell.
        mapping: Source column to field name.
        origin: What the file was unpacked from, as receipts name it; None for one that was handed over as it is.
        csv: What the call and its declaration say of the dialect of CSV files.
        beside: What it is where it surely holds no rows and nobody named it: it is passed over, and told.
        error: Why it is refused before it is opened: there is no such file.
    """

    name: str
    path: Path | None
    declared: AnySource | None
    dataset: str | None
    mapping: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    csv: CsvDialect = field(default_factory=CsvDialect)
    beside: Beside | None = None
    error: SourceError | None = None

    def limits(self, general: IngestSettings) -> IngestSettings:
        """Give the limits under which it is read: those of the settings, with its own dialect."""
        return general.with_dialect(self.csv)


def source_files(sources: Sequence[str]) -> tuple[Path, ...]:
    """List the files behind paths: a file is itself; a folder its files, sorted by name, but those that hold no rows.

    Raises:
        SourceError: A source does not exist, or a folder or glob holds no such file.
    """
    return tuple(path for source in sources for path, beside in _found(source) if beside is None)


def _found(source: str) -> list[tuple[Path, Beside | None]]:
    """List the files behind a path, each with what it is where it surely holds no rows and was not named itself."""
    path = Path(source.removeprefix("file://"))
    if path.is_dir():
        return _of_many(path.iterdir(), "the folder holds no data file", below=path)
    if split_sheet(path)[0].exists() or archive_of(path)[0].exists():
        return [(path, None)]
    if has_magic(source):
        matching = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        named = Path(*takewhile(lambda part: not has_magic(part), path.parts))
        return _of_many(matching, "no data file matches", below=named, where=source)
    raise SourceError("the file does not exist", where=source, next_step="check the path")


def _of_many(
    paths: Iterable[Path], what: str, *, below: Path, where: str | None = None
) -> list[tuple[Path, Beside | None]]:
    """Leave hidden files out, and refuse what has no other but such as hold no rows; what was named is ``below``."""
    told = [(path, beside_data(path.relative_to(below).as_posix())) for path in sorted(paths) if path.is_file()]
    found: list[tuple[Path, Beside | None]] = [one for one in told if one[1] != "hidden file"]
    if all(beside is not None for _, beside in found):
        raise SourceError(what, where=where or str(below), allowed=FILE_SUFFIXES)
    return found


def recorded(source: str) -> str:
    """Write a source down: paths whole, URLs without what may be secret, which :data:`HIDDEN` stands for."""
    if "://" in source:
        return _public(source)
    path = Path(source)
    return str(path.absolute()) if path.exists() or has_magic(source) or "/" in source else source


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
    csv: CsvDialect | None = None,
) -> list[Handed]:
    """Say what sources are, before anything is read. One that does not exist is refused, and stops none of the others.

    Args:
        workspace: Its settings declare sources by name.
        usecase: The use case that takes them in.
        sources: Paths, folders, globs, URLs, names.
        dataset: The dataset of all of them; None leaves it to the declaration, else to the columns of files, and takes
            the main one for whatever else is pulled.
        mapping: Source column to field name; wins over a declaration's own.
        csv: What is said of the dialect of CSV files; wins over a declaration's own, and that over the settings.

    Raises:
        SourceError: No source exists, or a folder that is declared holds no file.
        InputError: A URL is malformed, a name belongs to another use case, or two characters of a dialect are the same.
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
            target = file_dataset(usecase, dataset)
            own = _dialect(workspace, csv, CsvDialect())
            found += _of_path(workspace, usecase.name, text, target=target, mapping=mapping, csv=own)
            continue
        if text in workspace.settings.sources:
            refuse_misdeclared(workspace, text, declared)
        if declared.usecase != usecase.name:
            raise InputError(
                f"the source {text!r} belongs to the use case {declared.usecase!r}",
                where=f"use case {usecase.name!r}",
                allowed=declared_names(workspace, usecase.name),
            )
        told = dataset or declared.dataset
        if isinstance(declared, TopicSource):
            raise InputError(
                f"the source {text!r} is a topic, and topics are watched",
                where=f"use case {usecase.name!r}",
                next_step=f"trunkline watch {usecase.name} {name} --once",
            )
        if isinstance(declared, FolderSource):
            if not declared.path.exists():
                raise missing_folder(workspace, declared)
            target = file_dataset(usecase, told)
            present = Arrivals(declared).present()
            columns = {**declared.columns, **mapping}
            own = _dialect(workspace, csv, declared.csv)
            for path, beside in _of_many(present, "the folder holds no data file", below=declared.path):
                name = path.relative_to(declared.path).as_posix()
                found.append(Handed(name, path.absolute(), None, target, columns, csv=own, beside=beside))
        else:
            of_files = isinstance(declared, ObjectSource)
            target = file_dataset(usecase, told) if of_files else dataset_of(usecase, told)
            own = _dialect(workspace, csv, declared.csv) if isinstance(declared, FileSpec) else CsvDialect()
            found.append(Handed(name, None, declared, target, {**declared.columns, **mapping}, csv=own))
    missing = [one.error for one in found if one.error is not None]
    if missing and len(missing) == len(found):
        raise missing[0]
    return found


def _of_path(
    workspace: "Workspace", usecase: str, text: str, *, target: str | None, mapping: Mapping[str, str], csv: CsvDialect
) -> list[Handed]:
    """Give the files behind a path, or the path with why there are none."""
    try:
        files = _found(text)
    except SourceError as error:
        path = Path(text.removeprefix("file://"))
        told = _with_names(error, workspace, usecase, text)
        return [Handed(path.name, path.absolute(), None, target, mapping, error=told)]
    return [Handed(path.name, path.absolute(), None, target, mapping, csv=csv, beside=beside) for path, beside in files]


def _dialect(workspace: "Workspace", said: CsvDialect | None, declared: CsvDialect) -> CsvDialect:
    """Put what a call says of the dialect over what a declaration says.

    Raises:
        InputError: With what the settings say, two characters are the same.
    """
    if said is None or not said.said:
        return declared
    try:
        csv = said.over(declared)
        workspace.settings.ingest.with_dialect(csv)
    except ValidationError as error:
        raise dialect_refusal(
            error,
            "what --csv says does not go with what the settings say of the dialect",
            where="the command line, [ingest.csv] and [sources]",
            next_step="say both anew, e.g. --csv 'delimiter=;' --csv 'quote=~'",
        ) from None
    return csv


def dataset_of(usecase: "UseCase", dataset: str | None) -> str:
    """Give a dataset's name, the main one's for None.

    Raises:
        UnknownNameError: There is no such dataset.
    """
    name = dataset or usecase.main
    if name not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {name!r}", allowed=usecase.datasets)
    return name


def file_dataset(usecase: "UseCase", dataset: str | None) -> str | None:
    """Give the name of the dataset of files; None where nobody said and there are several.

    Raises:
        UnknownNameError: There is no such dataset.
    """
    return None if dataset is None and len(usecase.datasets) > 1 else dataset_of(usecase, dataset)


def _with_names(error: SourceError, workspace: "Workspace", usecase: str, text: str) -> SourceError:
    """Add the declared sources of a use case to what was said of a path that does not exist."""
    names = tuple(name for name, declared in workspace.settings.sources.items() if declared.usecase == usecase)
    if error.allowed or not names or "/" in text:
        return error
    return SourceError(
        "there is neither a file nor a declared source of that name",
        where=text,
        allowed=names,
        next_step="check the path, or declare the source under [sources] of trunkline.toml",
    )
