"""``maintain``: compaction and retention of the lake."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, progress, table
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.run.upkeep import Upkeep

_FAILED: Final = 1


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
    open_archive: Annotated[
        str | None,
        Parameter(help="Write an archive as Parquet in clear instead: its folder, e.g. shop.calls/1a2b3c4d-000001."),
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder for the files of --open-archive.")] = None,
    dry_run: Annotated[
        bool, Parameter(help="Change nothing, and show what would go and what each table costs.", negative="")
    ] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Let go of rows past their time, compact tables, remove what nobody needs, and say what each table costs.

    Rows go where their contract or the settings say how long they are kept; they are archived first, and the archive is
    read back before they go. Versions of tables that a live model was trained on, or that an unfinished run needs, are
    kept. An erasure keeps nothing of the person in any version or archive, and lists what is out of reach.

    Args:
        erase: Erase one person everywhere instead: IDENTIFIER_TYPE=VALUE, e.g. subscriber=7590-VHVEG.
        rotate_keys: Change a key instead: ``encryption``, or an identifier type whose originals are kept.
        open_archive: Write an archive as Parquet in clear instead: its folder, as ``platform.archives`` lists it.
        out: Folder for the files of ``--open-archive``.
        dry_run: Change nothing, and show what would go and what each table costs.
        common: Options of every command.
    """
    instead = {"--erase": erase, "--rotate-keys": rotate_keys, "--open-archive": open_archive}
    asked = [name for name, value in instead.items() if value is not None]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are separate calls", where=", ".join(asked))
    if dry_run and asked:
        raise InputError("--dry-run looks at maintenance alone", where="--dry-run", next_step="leave the others out")
    if (open_archive is None) != (out is None):
        raise InputError("--open-archive needs --out, and nothing else does", where="--open-archive, --out")
    if erase is not None:
        return _erase(erase, common)
    if rotate_keys is not None:
        return _rotate(rotate_keys, common)
    if open_archive is not None and out is not None:
        return _open_archive(open_archive, out, common)
    from trunkline.run.upkeep import maintain as tidy

    with opened(common) as workspace, progress() as told:
        found = tidy(workspace, progress=told, act=not dry_run)
    document = found.model_dump(mode="json") | {"cost_per_month": round(found.cost_per_month, 6)}
    emit(document, common=common, text=lambda: _show(found))
    for fault in found.failed:
        print(f"trunkline: {fault}", file=sys.stderr)
    return _FAILED if found.failed else 0


def _rotate(use: str, common: Common) -> int:
    from trunkline.run.rotating import rotate_keys

    with opened(common) as workspace, progress() as told:
        found = rotate_keys(workspace, use, progress=told)

    def text() -> None:
        print(f"{found.use}: the key is {found.key_id} from now on")
        if found.rows or found.log_records:
            rows = [[name, count] for name, count in found.rows.items()]
            table("new pseudonyms", ["where", "rows"], [*rows, ["durable log, records", found.log_records]])
        for name, count in found.strangers.items():
            print(f"{name}: {count} rows keep an older pseudonym, of which the vault has no original")

    emit(found.model_dump(mode="json"), common=common, text=text)
    return 0


def _open_archive(archive: str, out: Path, common: Common) -> int:
    from trunkline.run.upkeep import copy_in_clear

    with opened(common) as workspace:
        files = copy_in_clear(workspace, archive, out)
    emit(
        {"archive": archive, "files": [str(path) for path in files]},
        common=common,
        text=lambda: print(*files, "in clear, readable by their owner alone", sep="\n"),
    )
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
        if not any((found.tables, found.log_records, found.raw_files, found.sources, found.unread, found.archived)):
            print(f"nobody was found by that {kind}; nothing was erased")
            return
        gone = [[name, rows] for name, rows in found.tables.items()]
        table(
            "erased",
            ["where", "rows"],
            [*gone, ["durable log, records", found.log_records], ["landing zone, raw files", found.raw_files]],
        )
        if found.archived:
            print(f"removed from the archives of watched folders: {', '.join(found.archived)}")
        for title, left in (
            ("models that learned from these rows", found.models),
            ("files as handed over", found.files),
            ("sources that had brought the person", found.sources),
            ("raw copies and archived files that cannot be read, or are not there now", found.unread),
            ("topics of the broker, until its own retention", found.brokers),
            ("sinks of published rows by key, added rows and messages", found.sinks),
        ):
            if left:
                print(f"out of reach, {title}: {', '.join(left)}")

    emit(found.model_dump(mode="json"), common=common, text=text)
    return 0


def _show(found: "Upkeep") -> None:
    table(
        "maintained" if found.done else "would be done; nothing was changed",
        [
            "table",
            "version",
            "pinned",
            "rows past their time",
            "kept for",
            *(["compacted"] if found.done else []),
            "files removed",
            "files",
            "MB",
            "superseded MB",
            "versions",
            "log MB",
            "a month",
        ],
        [
            [
                row.table,
                row.version,
                ", ".join(map(str, row.pinned)),
                row.rows_retired or None,
                row.keeps,
                *([row.compacted] if found.done else []),
                row.files_removed,
                row.stock.files,
                _mb(row.stock.live_bytes),
                _mb(row.stock.superseded_bytes),
                row.stock.versions,
                _mb(row.stock.log_bytes),
                f"{row.stock.cost_per_month:.4f}",
            ]
            for row in found.tables
        ],
    )
    print(f"all tables: {found.cost_per_month:.4f} a month (lake.price_per_gb_month)")
    went = "removed" if found.done else "would be removed"
    if found.candidates_removed:
        print(f"candidates of {len(found.candidates_removed)} runs {went}: they are versions of the registry")
    if found.landing_freed_bytes:
        print(f"{_mb(found.landing_freed_bytes)} MB of raw files {went} from the landing zone")
    if found.records_folded:
        print(f"{found.records_folded} records of raw files that are gone were folded")
    for problem in found.problems:
        print(f"DAMAGED  {problem}")


def _mb(size: int) -> str:
    return f"{size / 1e6:.2f}"
