"""Personal data on its way in: identifiers become pseudonyms, refused rows are encrypted.

Takes judged blocks and rows of the quarantine with their contract, and the lake with its keys. Does nothing, and asks
for no key, where a contract protects nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from trunkline.checks import JudgedBlock, Originals
from trunkline.checks.sealing import is_sealed_text
from trunkline.contracts import Contract
from trunkline.lake import Keyring, Lake

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["keeps_originals", "opening", "protection", "sealed"]

_PURPOSE: Final = "quarantine"


def keeps_originals(contract: type[Contract]) -> bool:
    """Say whether the vault keeps originals of a contract's rows."""
    return any(column.keep == "encrypted" for column in contract.columns)


def protection(
    contract: type[Contract], *, lake: Lake, originals: Callable[[Sequence[Originals]], None] | None = None
) -> Callable[[JudgedBlock], JudgedBlock] | None:
    """Give what replaces personal identifiers in judged blocks; None where the contract protects none.

    Args:
        contract: The contract.
        lake: Has the keys.
        originals: Takes what is to be kept of them, from several threads.

    Raises:
        InputError: The keys cannot be read or made.
        TamperedError: A key is lost.
    """
    if not any(column.is_protected for column in contract.columns):
        return None
    pseudonyms = lake.keys.pseudonyms(contract)
    return None if pseudonyms is None else lambda judged: pseudonyms.of_block(judged, originals=originals)


def sealed(
    batches: "Iterator[pa.RecordBatch]", contract: type[Contract] | None, *, lake: Lake
) -> "Iterator[pa.RecordBatch]":
    """Encrypt the raw rows of the quarantine, each bound to its table, batch and number.

    Args:
        batches: Rows with all columns of the quarantine; those that are encrypted already stay.
        contract: Their contract; None for one that is not known any more: nothing is encrypted then.
        lake: Has the keys.
    """
    import pyarrow as pa

    if contract is None or not lake.has_keys or not lake.keys.is_encrypted(contract):
        yield from batches
        return
    sealer = lake.keys.sealer(_PURPOSE)
    for batch in batches:
        rows = [
            row if row is None or is_sealed_text(row) else sealer.seal_text(row, bound=bound)
            for row, bound in zip(batch.column("row").to_pylist(), _places(batch), strict=True)
        ]
        place = batch.schema.get_field_index("row")
        yield batch.set_column(place, batch.schema.field(place), pa.array(rows, batch.schema.field(place).type))


def opening(keys: Keyring, *, usecase: str, dataset: str, batch_id: str) -> Callable[[int, str], str]:
    """Give what decrypts the raw rows of a batch in the quarantine, by number and text; those in clear stay.

    It raises ``InputError`` where the keys cannot be read, ``TamperedError`` where one is lost, or a row was changed or
    stands where it was not written.

    Args:
        keys: The keys of the workspace.
        usecase: The use case.
        dataset: The dataset.
        batch_id: The batch.
    """
    sealer = keys.sealer(_PURPOSE)
    return lambda number, row: sealer.open_text(row, bound=_place(usecase, dataset, batch_id, number))


def _places(batch: "pa.RecordBatch") -> list[str]:
    columns = (batch.column(name).to_pylist() for name in ("usecase", "dataset", "batch_id", "row_number"))
    return [_place(*said) for said in zip(*columns, strict=True)]


def _place(usecase: str, dataset: str, batch_id: str, row_number: int) -> str:
    return f"quarantine of {usecase}.{dataset}|{batch_id}|row|{row_number}"
