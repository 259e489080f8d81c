"""``maintain``: compaction and retention of the lake."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, progress, table
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.run.upkeep import Upkeep


def maintain(
    *,
    erase: Annotated[
        str | None,
        Parameter(help="Erase one person everywhere instead: IDENTIFIER_TYPE=VALUE, e.g. subscriber=7590-VHVEG."),
    ] = None,
    rotate_keys: Annotated[
        str | None,
        Parameter(help="Change a key instead: `encryption`, or an identifier type whose originals are kept."),
    ] = None,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Compact tables, remove what retention lets go, and candidates that have become versions.

    Versions of tables that a live model was trained on, or that an unfinished run needs, are kept. An erasure keeps
    nothing of the person in any version, and lists what is out of reach.

    Args:
        erase: Erase one person everywhere instead: IDENTIFIER_TYPE=VALUE, e.g. subscriber=7590-VHVEG.
        rotate_keys: Change a key instead: ``encryption``, or an identifier type whose originals are kept.
        common: Options of every command.
    """
    if erase is not None and rotate_keys is not None:
        raise InputError("an erasure and a change of keys are two calls", where="--erase, --rotate-keys")
    if erase is not None:
        return _erase(erase, common)
    if rotate_keys is not None:
        return _rotate(rotate_keys, common)
    from trunkline.run.upkeep import maintain as tidy

    with opened(common) as workspace, progress() as told:
        found = tidy(workspace, progress=told)
    emit(found.model_dump(mode="json"), common=common, text=lambda: _show(found))
    return 0


def _rotate(use: str, common: Common) -> int:
    from trunkline.run.rotating import rotate_keys

    with opened(common) as workspace, progress() as told:
        found = rotate_keys(workspace, use, progress=told)

    def text() -> None:
        print(f"{found.use}: the key is {found.key_id} from now on")
        if found.rows or found.log_records:
            rows = [[name, count] for name, count in found.rows.items()]
            table("new pseudonyms", ["where", "rows"], [*rows, ["durable log, records", found.log_records]])

    emit(found.model_dump(mode="json"), common=common, text=text)
    return 0


def _erase(said: str, common: Common) -> int:
    from trunkline.run.erasing import erase_person

    kind, sign, value = said.partition("=")
    if not (kind and sign and value.strip()):
        raise InputError(
            "an erasure needs the type of the identifier and its value",
            where="--erase",
            next_step="e.g. --erase subscriber=7590-VHVEG",
        )
    with opened(common) as workspace, progress() as told:
        found = erase_person(workspace, kind, value, progress=told)

    def text() -> None:
        if not (found.tables or found.log_records or found.raw_files or found.sources or found.unread):
            print(f"nobody was found by that {kind}; nothing was erased")
            return
        gone = [[name, rows] for name, rows in found.tables.items()]
        table(
            "erased",
            ["where", "rows"],
            [*gone, ["durable log, records", found.log_records], ["landing zone, raw files", found.raw_files]],
        )
        for title, left in (
            ("models that learned from these rows", found.models),
            ("files as handed over", found.files),
            ("sources that had brought the person", found.sources),
            ("raw copies that cannot be read", found.unread),
        ):
            if left:
                print(f"out of reach, {title}: {', '.join(left)}")

    emit(found.model_dump(mode="json"), common=common, text=text)
    return 0


def _show(found: "Upkeep") -> None:
    table(
        "maintained",
        ["table", "version", "pinned", "compacted", "files removed"],
        [
            [row.table, row.version, ", ".join(map(str, row.pinned)), row.compacted, row.files_removed]
            for row in found.tables
        ],
    )
    if found.candidates_removed:
        print(f"candidates of {len(found.candidates_removed)} runs removed: they are versions of the registry")
    if found.landing_freed_bytes:
        print(f"{found.landing_freed_bytes / 1e6:.1f} MB of raw files removed from the landing zone")
    for problem in found.problems:
        print(f"DAMAGED  {problem}")
