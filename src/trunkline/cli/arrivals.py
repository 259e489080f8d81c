"""``watch``: take in the files of a folder, or the records of a topic, as they arrive."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened
from trunkline.cli.stopping import until_told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from trunkline.contracts.records import Receipt
    from trunkline.run import Arrived, Workspace
    from trunkline.spec.sources import FolderSource, TopicSource

_REFUSED: Final = 2


def watch(  # noqa: PLR0913 - the options of one command
    usecase: str,
    source: str,
    /,
    *,
    dataset: Annotated[
        str | None, Parameter(help="Dataset of the rows; told by the columns of files by default.")
    ] = None,
    map_file: Annotated[
        Path | None, Parameter(name="--map", help="TOML file with a table `columns`: source column = field.")
    ] = None,
    pattern: Annotated[str, Parameter(help="Which files, as in a shell.")] = "*",
    recursive: Annotated[bool, Parameter(help="Files of the folders below it, too.", negative="")] = False,
    settle: Annotated[float, Parameter(help="Seconds for which a whole file has not changed.")] = 2.0,
    done_marker: Annotated[
        str, Parameter(help="Suffix of the empty file that says that its namesake is whole, e.g. .done.")
    ] = "",
    archive: Annotated[Path | None, Parameter(help="Move files that were taken in below this folder, by day.")] = None,
    delete: Annotated[bool, Parameter(help="Remove files that were taken in.", negative="")] = False,
    once: Annotated[bool, Parameter(help="End when all that is there has been taken in.", negative="")] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Ingest files or records as they arrive in a folder or a topic, each once, until the process is told to stop.

    Args:
        usecase: Name of the use case.
        source: The folder, ``kafka://host:9092/TOPIC``, ``mqtt://host/TOPIC/FILTER``, or the name of one of them in the
            settings' ``sources``.
        dataset: Dataset of the rows. By default each file goes to the dataset whose contract knows most of its
            columns, and records to the main one.
        map_file: TOML file with a table ``columns`` of source column = field.
        pattern: Which files, as in a shell.
        recursive: Files of the folders below it, too.
        settle: Seconds for which a whole file has not changed.
        done_marker: Suffix of the empty file that says that its namesake is whole, e.g. .done.
        archive: Move files that were taken in below this folder, by day.
        delete: Remove files that were taken in.
        once: End when all that is there has been taken in; with exit code 2 if a file was refused.
        common: Options of every command.
    """
    from trunkline.errors import InputError
    from trunkline.run import new_run_id, read_mapping, watch_folder
    from trunkline.run.publishing_beside import publishing_beside
    from trunkline.spec.sources import TOPIC_SCHEMES, FolderSource

    if source.startswith(TOPIC_SCHEMES):
        files_alone = (pattern, recursive, settle, done_marker, archive, delete) != ("*", False, 2.0, "", None, False)
        return _watch_topic(
            usecase,
            source,
            dataset=dataset,
            columns=read_mapping(map_file),
            files_alone=files_alone,
            once=once,
            common=common,
        )
    scheme, is_address, _ = source.partition("://")
    if is_address:  # only its beginning is shown: there may be a password in it
        raise InputError(
            f"nothing is watched at {scheme[:20]}:// addresses",
            where="the command line",
            allowed=("a folder", *(f"{one}..." for one in TOPIC_SCHEMES)),
            next_step="what is asked for and not watched comes in by `trunkline ingest` and its schedule",
        )
    directory = Path(source)
    if delete and archive is not None:
        raise InputError("--archive and --delete exclude each other", where="the command line")
    if settle < 0:
        raise InputError("--settle is a number of seconds, 0 or more", where="the command line")
    declared = FolderSource(
        kind="folder",
        usecase=usecase,
        dataset=dataset,
        columns=read_mapping(map_file),
        path=directory,
        pattern=pattern,
        recursive=recursive,
        settle_s=settle,
        done_marker=done_marker,
        afterwards="archive" if archive is not None else "delete" if delete else "keep",
        archive=archive,
    )
    arrived: list[Arrived] = []
    refused = False
    with opened(common) as workspace, until_told() as stop:
        topic = _declared_topic(workspace, source, said=declared)
        if topic is not None:
            return _consume(workspace, usecase, topic, stop=stop, once=once, common=common)
        declared = _declared(workspace, source, said=declared)
        found = workspace.usecase(usecase)
        run_id = new_run_id(workspace)
        with publishing_beside(workspace.settings, {usecase: found}, run_id=run_id):
            for one in watch_folder(workspace, found, declared, run_id=run_id, stop=stop, once=once):
                refused = refused or one.error is not None
                if common.json:
                    arrived.append(one)
                else:
                    print(_said(one), flush=True)
    emit(_document(usecase, run_id, arrived), common=common, text=lambda: None)
    return _REFUSED if once and refused else 0


def _watch_topic(
    usecase: str,
    url: str,
    *,
    dataset: str | None,
    columns: "Mapping[str, str]",
    files_alone: bool,
    once: bool,
    common: Common,
) -> int:
    """Take in the records of a topic that is named by its address."""
    from pydantic import SecretStr

    from trunkline.errors import InputError
    from trunkline.spec.sources import TopicSource

    if files_alone:
        raise InputError(
            "a topic has no files: --pattern, --settle, --done-marker, --archive and --delete are for folders",
            where="the command line",
        )
    declared = TopicSource(kind="topic", usecase=usecase, dataset=dataset, columns=columns, url=SecretStr(url))
    with opened(common) as workspace, until_told() as stop:
        return _consume(workspace, usecase, declared, stop=stop, once=once, common=common)


def _consume(
    workspace: "Workspace", usecase: str, declared: "TopicSource", *, stop: "Event", once: bool, common: Common
) -> int:
    from trunkline.run import new_run_id, watch_topic
    from trunkline.run.publishing_beside import publishing_beside
    from trunkline.run.windowing import window_thread

    found = workspace.usecase(usecase)
    run_id = new_run_id(workspace)
    receipts = []
    settings = workspace.settings
    with (
        publishing_beside(settings, {usecase: found}, run_id=run_id),
        window_thread(settings, {usecase: found}, run_id=run_id),
    ):
        for receipt in watch_topic(workspace, found, declared, run_id=run_id, stop=stop, once=once):
            if common.json:
                receipts.append(receipt.model_dump(mode="json"))
            else:
                print(f"{receipt.source}: {_counted(receipt)}", flush=True)
    document = {"usecase": usecase, "run_id": run_id, "batches": receipts}
    emit(document, common=common, text=lambda: None)
    return 0


def _declared_topic(workspace: "Workspace", name: str, *, said: "FolderSource") -> "TopicSource | None":
    """The topic that the settings declare under a name; None where no topic is meant."""
    from trunkline.errors import InputError
    from trunkline.spec.sources import FolderSource, TopicSource

    declared = workspace.settings.sources.get(name)
    if not isinstance(declared, TopicSource):
        return None
    if declared.usecase != said.usecase or said != FolderSource(kind="folder", usecase=said.usecase, path=said.path):
        raise InputError(
            f"{name!r} is declared in the settings, for {declared.usecase!r}, and takes no other options",
            where="the command line",
            next_step="change the declaration, or name the topic by its address",
        )
    return declared


def _declared(workspace: "Workspace", name: str, *, said: "FolderSource") -> "FolderSource":
    """Take what the settings declare of a folder where one of this name is, as `ingest` does: `./NAME` is a path."""
    from trunkline.errors import InputError
    from trunkline.spec.sources import FolderSource

    declared = workspace.settings.sources.get(name)
    if not isinstance(declared, FolderSource):
        return said
    if said != FolderSource(kind="folder", usecase=declared.usecase, path=said.path):
        raise InputError(
            f"{name!r} is declared in the settings, for {declared.usecase!r}, and takes no other options",
            where="the command line",
            next_step=f"change the declaration, or name the folder itself, e.g. ./{name}",
        )
    return declared


def _said(one: "Arrived") -> str:
    name = f"{one.path.name}#{one.member}" if one.member else one.path.name
    if one.passed_over:
        return f"{name}: passed over, as they hold no rows by their names: {', '.join(map(str, one.passed_over))}"
    return f"{name}: {_counted(one.receipt) if one.receipt else str(one.error).splitlines()[0]}"


def _counted(receipt: "Receipt") -> str:
    counts = f"{receipt.accepted} accepted, {receipt.quarantined} quarantined, {receipt.duplicates} duplicate"
    return f"{receipt.read} read, {counts}, batch {receipt.batch_id}"


def _document(usecase: str, run_id: str, arrived: "list[Arrived]") -> dict[str, object]:
    return {
        "usecase": usecase,
        "run_id": run_id,
        "files": [
            {
                "path": one.name,
                "receipt": one.receipt.model_dump(mode="json") if one.receipt else None,
                "error": one.error.what if one.error else None,
                **({"passed_over": [some.model_dump() for some in one.passed_over]} if one.passed_over else {}),
            }
            for one in arrived
        ],
    }
