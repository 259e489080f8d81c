"""What the settings declare under ``[sources]``, held against the use cases that are installed."""

from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, UnknownNameError
from trunkline.settings import SETTINGS_FILE
from trunkline.spec.sources import WATCHED, AnySource, FolderSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["declared_names", "missing_folder", "refuse_misdeclared", "refuse_nothing_to_ingest"]

_NEXT: Final = f"mend the name in {SETTINGS_FILE}"


def declared_names(workspace: "Workspace", usecase: str, *, dataset: str | None = None) -> tuple[str, ...]:
    """Name the declared sources of a use case that can be pulled, in the order of the settings.

    Args:
        workspace: Its settings hold the declarations.
        usecase: The use case.
        dataset: Only sources of this dataset; None takes all.

    Raises:
        UnknownNameError: Some source names a use case that is not installed, or a dataset that this one has not.
    """
    sources = workspace.settings.sources
    for name, declared in sources.items():
        refuse_misdeclared(workspace, name, declared, usecase=usecase)
    names = _names(workspace, usecase, dataset=dataset)
    return tuple(name for name in names if not isinstance(sources[name], WATCHED))


def refuse_misdeclared(workspace: "Workspace", name: str, declared: AnySource, *, usecase: str | None = None) -> None:
    """Look whether the use case and the dataset that a source names are there.

    Args:
        workspace: Knows the use cases.
        name: The source's name.
        declared: What is said of it.
        usecase: The only use case whose datasets are looked at; None looks at those of whichever is named.

    Raises:
        UnknownNameError: They are not.
    """
    where = f"[sources.{name}] of {SETTINGS_FILE}"
    if declared.usecase not in workspace.usecases():
        raise UnknownNameError(
            f"the source {name!r} names the use case {declared.usecase[:40]!r}, and there is none of that name",
            where=where,
            allowed=workspace.usecases(),
            next_step=_NEXT,
        )
    if declared.dataset is None or usecase not in (None, declared.usecase):
        return
    datasets = workspace.usecase(declared.usecase).datasets
    if declared.dataset not in datasets:
        raise UnknownNameError(
            f"the source {name!r} names the dataset {declared.dataset[:40]!r}, and {declared.usecase!r} has none such",
            where=where,
            allowed=datasets,
            next_step=_NEXT,
        )


def refuse_nothing_to_ingest(workspace: "Workspace", usecase: str, *, dataset: str | None) -> None:
    """Refuse to ingest where no source is given, and none declared: nobody who asks for it means simulated rows.

    A use case with derived tables whose inputs have come is let through: they are refreshed.

    Args:
        workspace: Its settings hold the declarations.
        usecase: Name of the use case.
        dataset: The dataset that was asked for; None for all.

    Raises:
        UnknownNameError: There is no such use case or dataset, or a source names one that is not there.
        InputError: There is nothing to ingest.
    """
    found = workspace.usecase(usecase)
    if dataset is not None and dataset not in found.datasets:
        raise UnknownNameError(f"{usecase!r} has no dataset {dataset!r}", allowed=found.datasets)
    if declared_names(workspace, usecase, dataset=dataset):
        return
    lake = workspace.lake
    if found.derived and any(lake.exists(found.table_name(name)) for name in found.datasets):
        return
    sources = workspace.settings.sources
    watched = [name for name in _names(workspace, usecase, dataset=dataset) if isinstance(sources[name], WATCHED)]
    if not watched:
        standing = "none is declared"
        next_step = f"trunkline ingest {usecase} FILE|FOLDER|URL, or declare a source (docs/sources.md); "
        next_step += f"trunkline run {usecase} simulates rows"
    else:
        several = "watched sources are" if len(watched) > 1 else "watched source is"
        standing = f"{len(watched)} {several} declared ({', '.join(watched)})"
        next_step = f"trunkline watch {usecase} {watched[0]} --once"
        folder = next((name for name in watched if isinstance(sources[name], FolderSource)), None)
        next_step += f", or trunkline ingest {usecase} {folder}" if folder else ""
    raise InputError(
        f"there is nothing to ingest for {usecase!r}: no source is given, and {standing}",
        where=f"the command line, and [sources] of {SETTINGS_FILE}",
        next_step=next_step,
    )


def missing_folder(workspace: "Workspace", said: FolderSource) -> InputError:
    """Say that a folder to watch is not there: as its declaration, or with the names that are declared.

    Args:
        workspace: Its settings hold the declarations.
        said: The folder, declared or named on the command line.
    """
    sources = workspace.settings.sources
    name = next((name for name, one in sources.items() if one == said), None)
    if name is not None:
        return InputError(
            f"the folder of the source {name!r} is not there: {said.path}",
            where=f"[sources.{name}] of {SETTINGS_FILE}",
            next_step="make it, or mend its `path`",
        )
    text = str(said.path)
    if text in sources:
        return InputError(
            f"the source {text!r} is pulled and not watched",
            where=f"[sources.{text}] of {SETTINGS_FILE}",
            next_step=f"trunkline ingest {sources[text].usecase} {text}, or ./{text} for a folder of that name",
        )
    watched = [one for one in _names(workspace, said.usecase, dataset=None) if isinstance(sources[one], WATCHED)]
    if said.path.name != text or not watched:
        return InputError("there is no such folder", where=text, next_step="make it, or check the path")
    return InputError(
        f"there is neither a folder nor a declared source of {said.usecase!r} of that name",
        where=text,
        allowed=watched,
        next_step=f"check the path, or declare the folder under [sources] of {SETTINGS_FILE}",
    )


def _names(workspace: "Workspace", usecase: str, *, dataset: str | None) -> tuple[str, ...]:
    return tuple(
        name
        for name, declared in workspace.settings.sources.items()
        if declared.usecase == usecase and (dataset is None or declared.dataset in (None, dataset))
    )
