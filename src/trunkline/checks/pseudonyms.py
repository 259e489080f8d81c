"""Identifiers replaced by keyed hashes, the same everywhere: in a block of a file, in one message, in a look-up.

Takes a contract and a key per identifier type, gives rows in which each protected field holds ``hmac:KEYID:HASH``:
HMAC-SHA256 (RFC 2104, FIPS 198-1) of the canonical form, in base64url. One identifier has one pseudonym under one key,
whatever source or dataset it comes from, so joins, keys and references work as before. Without the key nobody can
compute it, not even from a list of all numbers. A value that is a pseudonym already stays what it is.

A block is done over its distinct values: they are hashed by OpenSSL one by one, written as text by whole arrays.
"""

import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, cast

from trunkline.checks.blocks import JudgedBlock
from trunkline.contracts import Column, Contract
from trunkline.contracts.keys import joined_key, key_parts
from trunkline.contracts.kinds import Scalar
from trunkline.contracts.privacy import canonical, is_pseudonym

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["Originals", "PseudonymKey", "Pseudonyms", "protected_columns", "pseudonym", "pseudonym_of_canonical"]

_BLOCK: Final = 64
_HASH_CHARS: Final = 43
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True)
class PseudonymKey:
    """A key of one identifier type.

    Attributes:
        key_id: Eight hexadecimal digits; stands in every pseudonym.
        secret: 32 bytes; never printed.
    """

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Name the key without showing it."""
        return f"PseudonymKey({self.key_id!r})"


@dataclass(frozen=True)
class Originals:
    """What one field of a block was replaced by, for fields whose originals are kept.

    Attributes:
        kind: Identifier type.
        pseudonyms: The distinct pseudonyms, text.
        values: Their originals in canonical form, text.
    """

    kind: str
    pseudonyms: "pa.Array"
    values: "pa.Array"


class KeysOf(Protocol):
    """Gives the current key of an identifier type."""

    def __call__(self, kind: str, /) -> PseudonymKey:
        """Give it, made on first need."""
        ...


def protected_columns(contract: type[Contract]) -> tuple[Column, ...]:
    """Give the fields whose values the lake does not hold in clear."""
    return tuple(column for column in contract.columns if column.is_protected)


def pseudonym(value: str, column: Column, key: PseudonymKey) -> str:
    """Give the pseudonym of one identifier.

    Args:
        value: The identifier as a source spells it, or a pseudonym, which stays what it is.
        column: A protected field of its type: says what the canonical form is.
        key: A key of the type.
    """
    return _Hasher(key).text(value, column)


def pseudonym_of_canonical(value: str, key: PseudonymKey) -> str:
    """Give the pseudonym of an identifier that is in canonical form, whatever that of its field is.

    Args:
        value: The identifier, no pseudonym.
        key: A key of its type.
    """
    return _Hasher(key).canonical(value)


class Pseudonyms:
    """Replaces the protected fields of rows of one contract. Threads may share it.

    Args:
        contract: The contract.
        keys: Gives the current key of an identifier type.
    """

    def __init__(self, contract: type[Contract], keys: KeysOf) -> None:
        self.columns = protected_columns(contract)
        hashers = {kind: _Hasher(keys(kind)) for kind in sorted({column.pii for column in self.columns})}
        self._hashers = {column.name: hashers[column.pii] for column in self.columns}
        self._by_name = {column.name: column for column in self.columns}

    @property
    def keeps_originals(self) -> bool:
        """Whether a field's originals are kept."""
        return any(column.keep == "encrypted" for column in self.columns)

    def of_block(
        self, judged: JudgedBlock, *, originals: "Callable[[Sequence[Originals]], None] | None" = None
    ) -> JudgedBlock:
        """Replace the protected fields of a judged block.

        Args:
            judged: Typed rows in clear with their verdicts.
            originals: Takes what is to be kept of the originals of rows that broke nothing.
        """
        import numpy as np

        rows, found = judged.rows, []
        is_good = np.ones(rows.num_rows, dtype=bool)
        is_good[judged.refused] = False
        for column in self.columns:
            place = rows.schema.get_field_index(column.name)
            encoded = rows.column(place).combine_chunks().dictionary_encode()
            names, values = self._replaced(encoded.dictionary, column)
            rows = rows.set_column(place, rows.schema.field(place), names.take(encoded.indices))
            if originals is not None and column.keep == "encrypted":
                found.append(_kept(column.pii, names, values, encoded.indices, is_good))
        if originals is not None and found:
            originals(found)
        return replace(judged, rows=rows)

    def row(self, row: Mapping[str, Scalar | None]) -> dict[str, Scalar | None]:
        """Replace the protected fields of one typed row."""
        replaced = dict(row)
        for column in self.columns:
            value = replaced.get(column.name)
            if isinstance(value, str):
                replaced[column.name] = self._hashers[column.name].text(value, column)
        return replaced

    def value(self, name: str, value: str) -> str:
        """Replace a value of one field; that of a field in clear stays."""
        column = self._by_name.get(name)
        return value if column is None else self._hashers[name].text(value, column)

    def key(self, fields: Sequence[str], joined: str) -> str:
        """Replace the protected parts of an entity's key, whose parts are joined by ``|``.

        Args:
            fields: The key's fields.
            joined: The key; one of another number of parts stays what it is.
        """
        if len(fields) == 1:
            return self.value(fields[0], joined)
        parts = key_parts(joined)
        if len(parts) != len(fields):
            return joined
        return joined_key([self.value(name, part) for name, part in zip(fields, parts, strict=True)])

    def _replaced(self, distinct: "pa.Array", column: Column) -> "tuple[pa.Array, list[str | None]]":
        """Give the pseudonyms of distinct values, and these in canonical form."""
        import pyarrow.compute as pc

        form, country = column.form, column.country
        may_be_pseudonyms = pc.match_substring(distinct, "hmac:", ignore_case=True)
        if distinct.null_count or pc.any(may_be_pseudonyms).as_py():
            values = [None if value is None else _canonical(value, column) for value in distinct.to_pylist()]
            return self._hashers[column.name].texts(values), values
        clear = [canonical(value, form, country=country) for value in distinct.to_pylist()]
        return self._hashers[column.name].texts_in_clear(clear), cast("list[str | None]", clear)


def _kept(
    kind: str,
    names: "pa.Array",
    values: Sequence[str | None],
    indices: "pa.Array",
    is_good: "npt.NDArray[np.bool_]",
) -> Originals:
    """Choose the distinct values that a good row has, and that came in clear."""
    import numpy as np
    import pyarrow as pa

    places = np.unique(indices.filter(pa.array(is_good)).drop_null().to_numpy())
    kept = [place for place in places.tolist() if (value := values[place]) is not None and not is_pseudonym(value)]
    return Originals(kind, names.take(pa.array(kept, pa.int64())), pa.array([values[at] for at in kept], pa.string()))


class _Hasher:
    """HMAC-SHA256 under one key: both pads are hashed once."""

    def __init__(self, key: PseudonymKey) -> None:
        padded = key.secret.ljust(_BLOCK, b"\x00")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self._prefix = f"hmac:{key.key_id}:"

    def text(self, value: str, column: Column) -> str:
        meant = _canonical(value, column)
        return meant if is_pseudonym(meant) else self.canonical(meant)

    def canonical(self, value: str) -> str:
        return self._prefix + _written([self._digest(value.encode())]).decode()

    def texts(self, values: Sequence[str | None]) -> "pa.Array":
        """Give the pseudonyms of values in canonical form; null stays null."""
        import pyarrow as pa

        if any(value is None or is_pseudonym(value) for value in values):
            own = self.texts_in_clear([value for value in values if value is not None and not is_pseudonym(value)])
            left = iter(own.to_pylist())
            return pa.array(
                [value if value is None or is_pseudonym(value) else next(left) for value in values], pa.string()
            )
        return self.texts_in_clear(cast("Sequence[str]", values))

    def texts_in_clear(self, values: Sequence[str]) -> "pa.Array":
        """Give the pseudonyms of values in canonical form that are none themselves."""
        import numpy as np
        import pyarrow as pa

        if not values:
            return pa.array([], pa.string())
        new_inner, new_outer, prefix = self._inner.copy, self._outer.copy, self._prefix.encode()
        digests = []
        for value in values:  # what `_digest` does, without a call for each
            inner, outer = new_inner(), new_outer()
            inner.update(value.encode())
            outer.update(inner.digest())
            digests.append(outer.digest())
        hashes = _written(digests)
        count, width = len(values), len(prefix) + _HASH_CHARS
        characters = np.empty((count, width), dtype=np.uint8)
        characters[:, : len(prefix)] = np.frombuffer(prefix, dtype=np.uint8)
        characters[:, len(prefix) :] = np.frombuffer(hashes, dtype=np.uint8).reshape(count, -1)[:, :_HASH_CHARS]
        ends = np.arange(0, (count + 1) * width, width, dtype=np.int32)
        return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(characters)])

    def _digest(self, value: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.digest()


def _written(digests: Sequence[bytes]) -> bytes:
    """Write hashes of 32 bytes as base64url: 43 characters each, and an ``A`` between them where there are several.

    A zero byte after each makes 33 of them, which are 44 whole characters: all are written by one call.
    """
    if len(digests) == 1:
        return binascii.b2a_base64(digests[0], newline=False).translate(_URL_SAFE)[:_HASH_CHARS]
    joined = b"\x00".join((*digests, b""))
    return binascii.b2a_base64(joined, newline=False).translate(_URL_SAFE)


def _canonical(value: str, column: Column) -> str:
    return value if is_pseudonym(value) else canonical(value, column.form, country=column.country)
