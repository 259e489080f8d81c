"""Keys changed: those that data is encrypted under at once, those of pseudonyms wherever the vault has the originals.

A new encryption key costs nothing: the keyring is encrypted under a new master key, and what is written from now on
under a new data key; older data stays readable. A new key of an identifier type gives every person a new pseudonym, so
the tables are written anew: the vault's originals are hashed under the new key, and what every table, key of an answer
and record of the log has is replaced. Where originals are not kept that cannot be done, and is refused before anything
is changed. A pseudonym that the vault never knew (of rows that came with it from elsewhere) stays as it is, and is
counted.

Killed on the way, the same call completes it: it finds what is under an older key, and makes no further one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, ConfigDict

from trunkline.checks.pseudonyms import PseudonymKey, pseudonym_of_canonical
from trunkline.contracts import Column
from trunkline.contracts.records import VAULT
from trunkline.errors import BusyError, InputError
from trunkline.lake import vault
from trunkline.lake.keys import ENCRYPTION
from trunkline.settings.drills import point

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.run.workspace import Workspace

__all__ = ["CRASH_POINTS", "Rotated", "rotate_keys"]

CRASH_POINTS: Final = ("rotate.after_key", "rotate.after_vault", "rotate.after_table", "rotate.after_log")
"""Points at which a drill may kill a rotation."""

_HASH: Final = "[A-Za-z0-9_-]{43}"


class Rotated(BaseModel):
    """What became of a rotation.

    Attributes:
        use: ``encryption``, or the identifier type.
        key_id: The key that is used from now on.
        rows: Lake table to rows that have new pseudonyms.
        log_records: Records of the durable log that have.
        strangers: Lake table to rows that keep a pseudonym under an older key, because the vault has no original of it.
    """

    model_config = ConfigDict(frozen=True)

    use: str
    key_id: str
    rows: dict[str, int]
    log_records: int
    strangers: dict[str, int] = {}


def rotate_keys(workspace: "Workspace", use: str, *, progress: Callable[[str, float], None]) -> Rotated:
    """Change a key.

    Args:
        workspace: The workspace.
        use: ``encryption``, or an identifier type.
        progress: Told what is being done, and which share of it.

    Raises:
        InputError: No contract protects such a type; the vault does not have all originals; or the keys cannot be
            written.
        TamperedError: A key is lost.
        BusyError: A server or a run goes on, somebody else makes pseudonyms, or a writer held a table for too long.
    """
    columns = _protected(workspace)
    if use == ENCRYPTION:
        return Rotated(use=use, key_id=workspace.keys.rotate(use).key_id, rows={}, log_records=0)
    tables = columns.get(use)
    if tables is None:
        raise InputError(
            f"no contract protects identifiers of the type {use[:40]!r}",
            where="--rotate-keys",
            allowed=(ENCRYPTION, *sorted(columns)),
        )
    _refuse_without_originals(use, tables)
    if workspace.is_flushing():
        raise BusyError(
            "a server makes pseudonyms under the present key", holder="the server", next_step="stop it, then try again"
        )
    with ExitStack() as held:
        for name in sorted({table.partition(".")[0] for table in tables}):
            held.enter_context(workspace.run_lock(name))
        held.enter_context(workspace.keys.renaming())  # whoever makes pseudonyms without a run: replays, predictions
        return _Rotation(workspace, use, tables, progress).done()


def _protected(workspace: "Workspace") -> dict[str, dict[str, list[Column]]]:
    """Identifier type to table to its protected columns."""
    found: dict[str, dict[str, list[Column]]] = {}
    for usecase in map(workspace.usecase, workspace.usecases()):
        for dataset, contract in usecase.contracts.items():
            for column in contract.columns:
                if column.is_protected:
                    found.setdefault(column.pii, {}).setdefault(usecase.table_name(dataset), []).append(column)
    return found


def _refuse_without_originals(use: str, tables: Mapping[str, list[Column]]) -> None:
    without = [f"{table}.{column.name}" for table, marked in tables.items() for column in marked
               if column.keep != "encrypted"]  # fmt: skip
    if without:
        raise InputError(
            f"pseudonyms of the type {use!r} cannot be made anew: no originals are kept of {', '.join(without)}",
            where="--rotate-keys",
            next_step='say keep="encrypted" in the contract and take the data in once more (trunkline ingest --again), '
            "or keep the key",
        )


class _Rotation:
    """The rotation of one identifier type."""

    def __init__(
        self,
        workspace: "Workspace",
        kind: str,
        tables: Mapping[str, list[Column]],
        progress: Callable[[str, float], None],
    ) -> None:
        self._workspace, self._kind, self._tables, self._progress = workspace, kind, tables, progress
        self._lake = workspace.lake
        self._of_entities = workspace.entity_tables()

    def done(self) -> Rotated:
        """Rotate, or complete what was begun."""
        keys = self._workspace.keys.pseudonym_keys(self._kind)
        current = keys[-1] if keys else None
        if current is None or not self._is_begun(keys[:-1]):
            self._refuse_without_vault(keys)
            made = self._workspace.keys.rotate(self._kind)
            point("rotate.after_key")
            keys = self._workspace.keys.pseudonym_keys(self._kind)
            current = keys[-1]
            assert current.key_id == made.key_id
        self._progress("vault", 0.0)
        old = [key.key_id for key in keys[:-1]]
        if not old or not self._lake.exists(VAULT):
            return Rotated(use=self._kind, key_id=current.key_id, rows={}, log_records=0)
        mapping = vault.rename(
            self._lake,
            self._kind,
            under=old,
            name=lambda value: pseudonym_of_canonical(value, current),  # as its field spelled it, whichever that was
            batch_id=f"rotation-{current.key_id}",
            earlier=self._earlier(keys[:-2]),
        )
        point("rotate.after_vault")
        counts = self._counts(keys[:-1])  # also of who was asked for and never taken in: they keep their names
        for place, table in enumerate(sorted(counts)):
            self._progress(f"pseudonyms of {table}", 0.1 + 0.8 * place / len(counts))
            self._rewrite(table, mapping, keys[:-1])
            point("rotate.after_table")
        records = self._rewrite_log(keys[:-1], current)
        point("rotate.after_log")
        vault.retire(self._lake, mapping)
        self._progress("done", 1.0)
        left = self._counts(keys[:-1])
        renamed = {table: count - left.get(table, 0) for table, count in counts.items() if count > left.get(table, 0)}
        # who is asked for and was never taken in keeps a pseudonym that nothing refers to
        strangers = {table: count for table, count in left.items() if table not in self._of_entities}
        return Rotated(use=self._kind, key_id=current.key_id, rows=renamed, log_records=records, strangers=strangers)

    def _earlier(self, keys: tuple[PseudonymKey, ...]) -> list[Callable[[str], str]]:
        """Give what names originals under keys from before the last one, of which tables have pseudonyms still.

        Rows that came back out of an archive do: the vault has their originals, under later keys.
        """
        return [partial(pseudonym_of_canonical, key=key) for key in keys if self._counts((key,))]

    def _is_begun(self, keys: tuple[PseudonymKey, ...]) -> bool:
        """Whether an earlier rotation was killed: its last act takes the entries under older keys out of the vault."""
        ids = [key.key_id for key in keys]
        if not ids or not self._lake.exists(VAULT):
            return False
        rows = self._lake.read(VAULT)
        rows = rows.filter((rows["kind"] == self._kind) & _is_under(rows["pseudonym"], ids)).limit(1)
        return bool(self._lake.engine.arrow(rows).num_rows)

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Give the tables that there are, with the columns that may hold pseudonyms of the type."""
        for table, columns in self._tables.items():
            if self._lake.exists(table):
                present = self._lake.schema(table).names
                yield from ((table, column.name) for column in columns if column.name in present)
        yield from ((table, "entity_key") for table in self._of_entities if self._lake.exists(table))

    @property
    def _most_parts(self) -> int:
        """How many pseudonyms the key of an entity may hold."""
        workspace = self._workspace
        return max([1, *(len(workspace.usecase(name).entity_key) for name in workspace.usecases())])

    def _counts(self, keys: tuple[PseudonymKey, ...]) -> dict[str, int]:
        """Count the rows that have a pseudonym under one of the keys, by table."""
        counts: dict[str, int] = {}
        ids = [key.key_id for key in keys]
        for table, column in self._texts() if ids else ():

            def held(rows: "ir.Table", name: str = column) -> "ir.Table":
                found = rows.filter(_is_under(rows[name], ids))
                return found.aggregate(rows=found.count())

            count = int(self._lake.collect(held, table).column("rows")[0].as_py() or 0)
            if count:
                counts[table] = counts.get(table, 0) + count
        return counts

    def _refuse_without_vault(self, keys: tuple[PseudonymKey, ...]) -> None:
        """Refuse where there are pseudonyms and the vault has the original of none: it is lost, or was never kept."""
        ids = [key.key_id for key in keys]
        tables = [(table, column) for table, column in self._texts() if table not in self._of_entities]
        earlier = [partial(pseudonym_of_canonical, key=key) for key in keys]
        without: list[str] = []
        for table, column in tables if ids else ():
            rows = self._lake.read(table)
            named = rows.select(pseudonym=_found(rows[column], ids)).filter(lambda one: one["pseudonym"] != "")
            if self._lake.exists(VAULT):  # asked first: where it knows one, no pseudonym is held in memory
                known = named.semi_join(self._lake.read(VAULT).select("pseudonym"), "pseudonym").limit(1)
                if self._lake.engine.arrow(known).num_rows:
                    return
            found = set(self._lake.engine.arrow(named.distinct()).column("pseudonym").to_pylist())
            if not found:
                continue
            if len(set(vault.unknown(self._lake, self._kind, found, earlier=earlier))) < len(found):
                return
            without.append(table)
        if without:
            raise InputError(
                f"the vault has no original of any pseudonym in {', '.join(sorted(set(without)))}",
                where=f"--rotate-keys {self._kind}",
                next_step='restore the lake\'s platform.vault, or take the batches in once more with keep="encrypted" '
                "(trunkline ingest --again)",
            )

    def _rewrite(self, table: str, mapping: "ir.Table", keys: tuple[PseudonymKey, ...]) -> None:
        columns = [column for name, column in self._texts() if name == table]
        ids = [key.key_id for key in keys]
        most = self._most_parts if table in self._of_entities else 1

        def changed(rows: "ir.Table") -> "ir.Table":
            names = rows.columns
            for column in columns:
                # who is first in a key may keep the old name, and who comes next not: each is looked for by place
                rows = rows.mutate(**{f"_old{place}": _found(rows[column], ids, place) for place in range(most)})
                for place in range(most):
                    renames = mapping.select(_was=mapping["old"], _is=mapping["new"])
                    joined = rows.left_join(renames, rows[f"_old{place}"] == renames["_was"])
                    text = cast("ir.StringValue", joined[column])
                    renamed = text.replace(joined[f"_old{place}"], joined["_is"])
                    rows = joined.mutate(**{column: joined["_is"].isnull().ifelse(text, renamed)}).drop("_was", "_is")
                rows = rows.select(*names)
            return rows

        self._lake.rewrite(table, changed, metadata={"rotated": self._kind})

    def _rewrite_log(self, keys: tuple[PseudonymKey, ...], current: PseudonymKey) -> int:
        """Replace pseudonyms in what no server has brought into the lake yet, and in what retention keeps."""
        from trunkline.brokers import EmbeddedLog

        workspace = self._workspace
        path = workspace.root / "log" / "log.db"
        if not path.exists() or not keys:
            return 0
        form = re.compile(f"hmac:(?:{'|'.join(key.key_id for key in keys)}):{_HASH}".encode())
        usecases = map(workspace.usecase, workspace.usecases())
        contracts = [contract for usecase in usecases for contract in usecase.contracts.values()]
        log = EmbeddedLog(
            path,
            settings=workspace.settings.broker,
            clock=workspace.clock,
            keys=workspace.keys,
            seals=workspace.keys.is_encrypted(*contracts),
        )

        def renamed(value: bytes) -> bytes:
            old = {found.decode() for found in form.findall(value)}
            known = vault.originals(self._lake, old, kind=self._kind) if old else {}
            new = {name.encode(): pseudonym_of_canonical(known[name], current).encode() for name in known}
            return form.sub(lambda found: new.get(found[0], found[0]), value)

        try:
            return sum(log.erase(topic, renamed) for topic in log.topics())
        finally:
            log.close()


def _is_under(text: "ir.Value", ids: list[str]) -> "ir.BooleanValue":
    """Whether a text has a pseudonym under one of some keys."""
    words = cast("ir.StringValue", text)
    return cast("ir.BooleanValue", words.re_search(f"hmac:({'|'.join(ids)}):{_HASH}").fill_null(False))


def _found(text: "ir.Value", ids: list[str], place: int = 0) -> "ir.StringValue":
    """The pseudonym under one of some keys that a text has, after so many others; empty where it has none."""
    words, one = cast("ir.StringValue", text), f"hmac:(?:{'|'.join(ids)}):{_HASH}"
    return cast("ir.StringValue", words.re_extract(f"(?:{one}.*?){{{place}}}({one})", 1).fill_null(""))
