"""Whom an erasure looks for: an identifier in every spelling that sources have, and every form that the lake has.

Takes an identifier type and a value, in clear or as a pseudonym, with the columns that contracts mark with the type and
the keys of the workspace. Gives the pseudonyms under every key that the type ever had, and says of a cell, a line or a
key whether it is that person. Of a pseudonym the vault is asked for the original; where it has none, raw texts are
found by the batches that brought them alone.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from trunkline.checks.pseudonyms import pseudonym
from trunkline.contracts import Column
from trunkline.contracts.judging import value_of
from trunkline.contracts.kinds import Malformed, Scalar
from trunkline.contracts.privacy import canonical, is_pseudonym
from trunkline.run.raw_copies import Sought

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Wanted"]


class Wanted:
    """One person.

    Args:
        workspace: Has the keys, and the vault.
        kind: Identifier type.
        value: The identifier, as a source spells it or as the lake has it.
        columns: The columns that contracts mark with the type; at least one.

    Raises:
        InputError: The keys cannot be read.
        TamperedError: A key is lost.
    """

    def __init__(self, workspace: "Workspace", kind: str, value: str, columns: Sequence[Column]) -> None:
        self.kind = kind
        self.given = value.strip()
        self._workspace = workspace
        self._columns = columns
        self._protected = [column for column in columns if column.is_protected]
        self.text = self._clear()
        self.pseudonyms = self._pseudonyms()

    def values(self, column: Column, texts: Iterable[str] = ()) -> list[Scalar]:
        """Give the values that a column of the lake may hold, also from a time when its policy was another.

        Args:
            column: The column.
            texts: What a protected one holds in clear from such a time; the spellings of the identifier are chosen.
        """
        values: list[Scalar] = list(self.pseudonyms) if column.kind == "text" else []
        for text in {self.given, self.text}:
            with suppress(Malformed):
                values.append(value_of(column, text))
        return list(dict.fromkeys([*values, *filter(self.is_cell, texts)]))

    @property
    def has_spellings(self) -> bool:
        """Whether one identifier may be spelled in several ways."""
        return bool(self._protected)

    @cached_property
    def texts(self) -> frozenset[str]:
        """What a part of an entity's key may be."""
        return frozenset((self.given, self.text, *self.pseudonyms))

    def is_cell(self, cell: str) -> bool:
        """Say whether a raw cell, or what a column or a key had in clear, is the identifier, however it is spelled."""
        cell = cell.strip()
        return cell in self.texts or any(
            canonical(cell, column.form, country=column.country)
            == canonical(self.text, column.form, country=column.country)
            for column in self._protected
        )

    def is_in_line(self, line: str) -> bool:
        """Say whether the identifier is anywhere in a line that is no row."""
        return any(text in line for text in self.texts) or self.sought.is_in_text(line)

    @cached_property
    def sought(self) -> Sought:
        """What to look for in raw texts."""
        return Sought(self.text, self._columns)

    def _clear(self) -> str:
        from trunkline.lake.vault import originals

        if not is_pseudonym(self.given):
            return self.given
        return originals(self._workspace.lake, [self.given], kind=self.kind).get(self.given, self.given)

    def _pseudonyms(self) -> tuple[str, ...]:
        keys = self._workspace.keys.pseudonym_keys(self.kind)
        found = [self.given] if is_pseudonym(self.given) else []
        found += [pseudonym(self.text, column, key) for key in keys for column in self._columns]
        return tuple(dict.fromkeys(found))
