"""What the ledger says of one use case: its versions, its aliases, and whom to go back to. Pure.

Champions form a stack: a promotion puts a version on top, a rollback takes off everything above the version it returns
to, so that two rollbacks in a row go back two steps and never to and fro: what a rollback went back from is champion
again only once somebody promotes it. A version that becomes champion stops being
the challenger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trunkline.registry.ledger import LedgerEntry
from trunkline.registry.live import Alias

__all__ = ["Standing", "standing"]


@dataclass(frozen=True)
class Standing:
    """State of one use case after its entries.

    Attributes:
        registered: The ``registered`` entry of each version, oldest first.
        retired: Versions that may no longer be given an alias.
        granted: For each alias the entry that gave it.
        champions: The stack of champions, the present one last.
        crowned: Versions that have ever been champion.
        taken_back: Versions that a rollback went back from and that nobody has made champion again since.
    """

    registered: Mapping[str, LedgerEntry]
    retired: frozenset[str]
    granted: Mapping[Alias, LedgerEntry]
    champions: tuple[str, ...]
    crowned: frozenset[str]
    taken_back: frozenset[str]

    @property
    def previous(self) -> str | None:
        """The version a rollback returns to; None when there is none.

        Never the present champion, nor one that a rollback went back from, though either may stand in the stack twice.
        """
        barred = {*self.retired, *self.taken_back, *self.champions[-1:]}
        return next((version for version in reversed(self.champions[:-1]) if version not in barred), None)

    def by_run(self, run_id: str) -> LedgerEntry | None:
        """Find the version that a run registered."""
        return next((entry for entry in self.registered.values() if entry.run_id == run_id), None)


def standing(entries: Iterable[LedgerEntry], *, usecase: str) -> Standing:
    """Replay the ledger for one use case.

    Args:
        entries: All entries, oldest first; those of other use cases are skipped.
        usecase: The use case.
    """
    registered: dict[str, LedgerEntry] = {}
    retired: set[str] = set()
    granted: dict[Alias, LedgerEntry] = {}
    champions: list[str] = []
    crowned: set[str] = set()
    taken_back: set[str] = set()
    for entry in entries:
        if entry.usecase != usecase:
            continue
        if entry.event == "registered":
            registered[entry.version] = entry
        elif entry.event == "retired":
            retired.add(entry.version)
            granted = _without(granted, version=entry.version)
        elif entry.event in ("promoted", "rolled_back"):
            alias: Alias = "challenger" if entry.alias == "challenger" else "champion"
            if alias == "champion":
                granted = _without(granted, version=entry.version)
                stacked = _stacked(champions, entry)
                if entry.event == "rolled_back":
                    taken_back.update(champions[len(stacked) :])
                champions = stacked
                crowned.add(entry.version)
                taken_back.discard(entry.version)
            granted[alias] = entry
    return Standing(
        registered, frozenset(retired), granted, tuple(champions), frozenset(crowned), frozenset(taken_back)
    )


def _without(granted: Mapping[Alias, LedgerEntry], *, version: str) -> dict[Alias, LedgerEntry]:
    return {alias: entry for alias, entry in granted.items() if entry.version != version}


def _stacked(champions: Sequence[str], entry: LedgerEntry) -> list[str]:
    if entry.event == "rolled_back":
        while champions and champions[-1] != entry.version:
            champions = champions[:-1]
        return list(champions) or [entry.version]
    return [*champions, entry.version] if list(champions[-1:]) != [entry.version] else list(champions)
