"""The vault: originals of pseudonyms, encrypted, and the one door through which they come out again.

Takes originals while a batch is taken in, and gives them back to whoever says who asks and why: that is written down
first, and then answered. Only fields whose contract says ``keep="encrypted"`` are in it. Nobody else reads the table:
neither the API, nor the console, nor a query of a use case.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from trunkline.checks import Originals, arrow_schema, table_from_rows
from trunkline.contracts import Contract
from trunkline.contracts.records import REIDENTIFICATIONS, VAULT, Reidentification, VaultEntry
from trunkline.errors import InputError
from trunkline.lake.staging import StagedRows
from trunkline.lake.tables import Lake
from trunkline.lake.versions import newest

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["Vaulted", "originals", "reidentify", "rename", "retire", "unknown"]

_PURPOSE: Final = "vault"
_STREAMED_ROWS: Final = 20_000
_LONGEST_WHO: Final = 200
_SHORTEST_WHY: Final = 3
_LONGEST_WHY: Final = 1_000


class Vaulted:
    """The originals of one batch on their way into the vault; threads may add to it.

    Inside its ``with`` block, which has to span the rows' way from being judged to being written, no key of pseudonyms
    is changed: what the rows call somebody is what the vault does.

    Args:
        lake: The lake, with its keys.
        contract: Says whether any are kept; if not, all of this does nothing.
        batch_id: The batch.
    """

    def __init__(self, lake: Lake, contract: type[Contract], *, batch_id: str) -> None:
        self._lake, self._batch_id = lake, batch_id
        self._staged: StagedRows | None = None
        self._naming = ExitStack()
        if any(column.keep == "encrypted" for column in contract.columns):
            self._staged = lake.staged(VAULT, arrow_schema(VaultEntry))
            self._sealer = lake.keys.sealer(_PURPOSE)

    def add(self, found: Sequence[Originals]) -> None:
        """Encrypt originals and put them aside.

        Raises:
            InputError: The keys cannot be read or made.
            OSError: The store refused.
        """
        if self._staged is None:
            return
        for one in found:
            self._staged.write(self._entries(one))

    def commit(self) -> None:
        """Write those that the vault does not have yet; doing it again changes nothing.

        Raises:
            BusyError: Another writer held the vault for too long.
            UnavailableError: The store refused.
        """
        if self._staged is not None:
            _append_new(self._lake, self._staged)

    def _entries(self, found: Originals) -> pa.Table:
        values = dict(zip(found.pseudonyms.to_pylist(), found.values.to_pylist(), strict=True))
        return _sealed_entries(self._lake, found.kind, list(values.items()), batch_id=self._batch_id)

    def __enter__(self) -> Self:
        """Enter a ``with`` block.

        Raises:
            BusyError: The pseudonyms are being changed.
        """
        if self._staged is not None:
            try:
                self._naming.enter_context(self._lake.keys.naming())
            except BaseException:
                self._staged.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not committed."""
        if self._staged is not None:
            with self._naming:
                self._staged.__exit__(kind, error, trace)


def _append_new(lake: Lake, staged: StagedRows) -> None:
    """Commit the staged entries that the vault does not have yet.

    No transaction makes it once: what an erasure took in between has to come again. Two that write at the same moment
    leave an entry twice, which maintenance folds.
    """
    staged.finish()
    if staged.rows and lake.exists(VAULT):
        new = staged.table(lake.engine, ["pseudonym"])
        kept = lake.read(VAULT).select("pseudonym")
        held = lake.engine.arrow(new.semi_join(kept, "pseudonym").distinct()).column("pseudonym")
        if len(held):
            staged.drop(held.combine_chunks(), column="pseudonym")
    if staged.rows:
        lake.append_staged(VAULT, staged)


def rename(
    lake: Lake,
    kind: str,
    *,
    under: Sequence[str],
    name: Callable[[str], str],
    batch_id: str,
    earlier: Sequence[Callable[[str], str]] = (),
) -> ir.Table:
    """Keep the originals of a type under other pseudonyms, too.

    Args:
        lake: The lake, with its keys.
        kind: Identifier type.
        under: Ids of the keys whose pseudonyms are replaced.
        name: Gives the new pseudonym of an original.
        batch_id: Noted in the entries.
        earlier: Give pseudonyms that an original had before, and whose entries are gone: they are replaced as well.

    Returns:
        Each pseudonym (``old``) and what it is replaced by (``new``), lazily.
    """
    rows = lake.read(VAULT, schema=arrow_schema(VaultEntry))
    of_kind = rows["pseudonym"].re_search(f"^hmac:({'|'.join(under)}):") & (rows["kind"] == kind)
    with lake.staged(VAULT, arrow_schema(VaultEntry)) as staged:
        for batch in lake.engine.batches(rows.filter(of_kind).select("pseudonym", "original"), rows=_STREAMED_ROWS):
            tokens = dict(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
            values = _opened(lake, tokens, kind)
            replaces = [(old, value) for old, value in values.items()]
            replaces += [(had(value), value) for had in earlier for value in values.values()]
            staged.write(
                _sealed_entries(
                    lake,
                    kind,
                    [(name(value), value) for _, value in replaces],  # several old names may have one new
                    batch_id=batch_id,
                    replaces=[old for old, _ in replaces],
                )
            )
        staged.finish()
        if staged.rows:
            lake.append_staged(VAULT, staged)
    found = lake.read(VAULT, schema=arrow_schema(VaultEntry))
    found = found.filter((found["batch_id"] == batch_id) & found["replaces"].notnull())
    return found.select(old=found["replaces"], new=found["pseudonym"]).distinct()


def unknown(lake: Lake, kind: str, names: Iterable[str], *, earlier: Sequence[Callable[[str], str]]) -> set[str]:
    """Give those of some pseudonyms that no original of the vault ever had; takes as long as reading all of it.

    Args:
        lake: The lake, with its keys.
        kind: Identifier type.
        names: Pseudonyms.
        earlier: Give the pseudonyms that an original had, one under each key.
    """
    left = set(names)
    if not left or not lake.exists(VAULT):
        return left
    rows = lake.read(VAULT, schema=arrow_schema(VaultEntry))
    rows = rows.filter(rows["kind"] == kind).select("pseudonym", "original")
    for batch in lake.engine.batches(rows, rows=_STREAMED_ROWS):
        tokens = dict(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
        left -= {had(value) for value in _opened(lake, tokens, kind).values() for had in earlier}
    return left


def retire(lake: Lake, renamed: ir.Table) -> None:
    """Take entries whose originals have other names by now out of the newest version, and those that are there twice.

    Args:
        lake: The lake.
        renamed: From :func:`rename`; entries that it does not name stay, whatever key they are under.
    """

    def kept(rows: ir.Table) -> ir.Table:
        rows = rows.anti_join(renamed, rows["pseudonym"] == renamed["old"])
        return newest(rows, key=("pseudonym",), newest_by=("kept_at", "original"), table=VAULT)

    lake.rewrite(VAULT, kept)


def _sealed_entries(
    lake: Lake,
    kind: str,
    values: Sequence[tuple[str, str]],
    *,
    batch_id: str,
    replaces: Sequence[str] | None = None,
) -> pa.Table:
    """Encrypt originals as rows of the vault.

    Args:
        lake: Has the keys and the clock.
        kind: Identifier type.
        values: Pseudonyms with their originals.
        batch_id: The batch that brought them.
        replaces: The pseudonyms that they take the place of, in the same order; None where they are the first.
    """
    import pyarrow as pa

    sealer = lake.keys.sealer(_PURPOSE)
    tokens = [sealer.seal_text(value, bound=_place(kind, name)) for name, value in values]
    count, schema = len(tokens), arrow_schema(VaultEntry)
    columns = {
        "pseudonym": pa.array([name for name, _ in values], pa.string()),
        "kind": pa.repeat(pa.scalar(kind), count),
        "original": pa.array(tokens, pa.string()),
        "batch_id": pa.repeat(pa.scalar(batch_id), count),
        "replaces": pa.nulls(count, pa.string()) if replaces is None else pa.array(replaces, pa.string()),
        "kept_at": pa.repeat(pa.scalar(lake.clock().astimezone(UTC), schema.field("kept_at").type), count),
    }
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def reidentify(lake: Lake, pseudonyms: Iterable[str], *, kind: str, who: str, why: str) -> Mapping[str, str]:
    """Say whose pseudonyms these are. Every call leaves a record that nobody can take away, found or not.

    Args:
        lake: The lake, with its keys.
        pseudonyms: Pseudonyms.
        kind: Their identifier type.
        who: The person or service that asks; at most 200 characters.
        why: For what, e.g. the campaign; at least 3 characters, at most 1,000.

    Returns:
        Pseudonym to original, of those that the vault has.

    Raises:
        InputError: It was not said who asks and why, or the keys cannot be read.
        TamperedError: A key is lost, or an entry was changed.
        UnavailableError: The record could not be written; nothing was answered.
    """
    if not who.strip() or len(who) > _LONGEST_WHO or not _SHORTEST_WHY <= len(why.strip()) <= _LONGEST_WHY:
        raise InputError(
            "nobody is named without saying who asks, and why",
            where="who, why",
            allowed=(f"who: at most {_LONGEST_WHO} characters", f"why: {_SHORTEST_WHY} to {_LONGEST_WHY}"),
        )
    asked = sorted(set(pseudonyms))
    found = _tokens(lake, asked, kind)
    lake.append(
        REIDENTIFICATIONS,
        table_from_rows(
            Reidentification,
            [
                {
                    "audit_id": uuid.uuid4().hex,
                    "asked_at": lake.clock().astimezone(UTC),
                    "who": who.strip(),
                    "why": why.strip(),
                    "kind": kind,
                    "asked": len(asked),
                    "found": len(found),
                }
            ],
        ),
    )
    return _opened(lake, found, kind)


def originals(lake: Lake, pseudonyms: Iterable[str], *, kind: str) -> Mapping[str, str]:
    """Decrypt entries for the upkeep of the lake itself: erasing somebody, changing keys. Nothing of it leaves it.

    Raises:
        InputError: The keys cannot be read.
        TamperedError: A key is lost, or an entry was changed.
    """
    return _opened(lake, _tokens(lake, sorted(set(pseudonyms)), kind), kind)


def _tokens(lake: Lake, pseudonyms: Sequence[str], kind: str) -> dict[str, str]:
    import pyarrow as pa

    if not pseudonyms or not lake.exists(VAULT):
        return {}

    def wanted(rows: ir.Table) -> ir.Table:
        asked = lake.engine.table(pa.table({"pseudonym": pa.array(pseudonyms, pa.string())}))
        return rows.filter(rows["kind"] == kind).semi_join(asked, "pseudonym").select("pseudonym", "original")

    rows = lake.collect(wanted, VAULT)
    return dict(zip(rows.column("pseudonym").to_pylist(), rows.column("original").to_pylist(), strict=True))


def _opened(lake: Lake, tokens: Mapping[str, str], kind: str) -> dict[str, str]:
    sealer = lake.keys.sealer(_PURPOSE)
    return {name: sealer.open_text(token, bound=_place(kind, name)) for name, token in tokens.items()}


def _place(kind: str, pseudonym: str) -> str:
    return f"vault, {kind}|{pseudonym}|original"
