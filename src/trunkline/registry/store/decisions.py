"""Who answers: an alias is given to a version, taken back, or barred."""

from typing import Final

from pydantic import JsonValue

from trunkline.errors import InputError
from trunkline.registry.live import Alias, LiveManifest
from trunkline.registry.standing import Standing
from trunkline.registry.store.registering import Registering
from trunkline.settings import drills

__all__ = ["ANYBODY", "Registry"]

ANYBODY: Final = "*"
"""Whoever is champion: what a person decides, who has looked."""


class Registry(Registering):
    """Versions, aliases and their history in one workspace."""

    def settled(self, usecase: str) -> LiveManifest:
        """Carry out what a killed process had decided, and give the live manifest: what a new decision may rest on.

        Raises:
            TamperedError: The ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
        """
        with self._locked():
            return self._carry_out(usecase)

    def promote(
        self,
        usecase: str,
        version: str,
        *,
        alias: Alias = "champion",
        approver: str,
        evidence: JsonValue,
        expecting: str | None = ANYBODY,
    ) -> LiveManifest:
        """Give an alias to a version. Promoting what has the alias already changes nothing.

        Args:
            usecase: The use case.
            version: A registered version.
            alias: The alias.
            approver: Who decided: a person's name, or ``gates``.
            evidence: Why.
            expecting: The champion that the evidence speaks of, None where there was none: another one that is live by
                now stops the promotion, and so does a version that has been champion and is none any more.

        Returns:
            The live manifest as written.

        Raises:
            UnknownNameError: There is no such version.
            InputError: The version is retired, or the champion is not the expected one.
            TamperedError: The model folder, the ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
        """
        with self._locked():
            self._carry_out(usecase)
            state = self._standing(usecase)
            self._usable(usecase, version, state)
            champion = state.granted.get("champion")
            if alias == "challenger" and champion is not None and champion.version == version:
                raise InputError(
                    f"version {version} of {usecase!r} is the champion and cannot challenge itself",
                    allowed=[known for known in state.registered if known not in {version, *state.retired}],
                )
            given = state.granted.get(alias)
            if given is None or given.version != version:
                if expecting != ANYBODY:
                    _refuse_stale(usecase, version, state, expecting=expecting)
                drills.point("registry.before_promoted")
                self._give("promoted", usecase, version, alias=alias, approver=approver, evidence=evidence)
            return self._completed(usecase)

    def rollback(
        self, usecase: str, *, approver: str, evidence: JsonValue = None, leaving: str | None = None
    ) -> LiveManifest:
        """Go back to the champion before the present one, with its whole folder, preprocessing included.

        A rollback that was killed is completed by repeating it. Only one that was killed after its last write, when
        everything was done but nobody told, would go back a second step: naming the version to leave prevents that.

        Args:
            usecase: The use case.
            approver: Who decided.
            evidence: Why.
            leaving: The version to get away from; when it is not the champion (any more), nothing is done.

        Returns:
            The live manifest as written.

        Raises:
            UnknownNameError: There is no version ``leaving``.
            InputError: There is no earlier champion.
            TamperedError: The earlier champion's folder, the ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
        """
        with self._locked():
            state = self._standing(usecase)
            champion, pending = state.granted.get("champion"), self._pending(usecase, state)
            if pending and champion is not None and champion.event == "rolled_back":
                return self._completed(usecase)
            if leaving is not None and (champion is None or champion.version != leaving):
                self._known(usecase, leaving, state)
                return self._completed(usecase)
            if state.previous is None:
                raise _no_way_back(usecase, state)
            self._usable(usecase, state.previous, state)
            drills.point("registry.before_promoted")
            self._give("rolled_back", usecase, state.previous, alias="champion", approver=approver, evidence=evidence)
            return self._completed(usecase)

    def retire(self, usecase: str, version: str, *, approver: str, evidence: JsonValue = None) -> LiveManifest:
        """Bar a version from being given an alias ever again; its folder stays, for lineage.

        Raises:
            UnknownNameError: There is no such version.
            InputError: It is the champion.
            TamperedError: The ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
        """
        with self._locked():
            self._carry_out(usecase)
            state = self._standing(usecase)
            self._known(usecase, version, state)
            champion = state.granted.get("champion")
            if champion is not None and champion.version == version:
                raise InputError(
                    f"version {version} of {usecase!r} is the champion and answers",
                    next_step=f"let another answer first: trunkline models rollback {usecase}",
                )
            if version not in state.retired:
                self._give("retired", usecase, version, alias=None, approver=approver, evidence=evidence)
            return self._completed(usecase)


def _no_way_back(usecase: str, state: Standing) -> InputError:
    """Say why nothing can be rolled back, and which versions could be promoted instead, if there are any."""
    champion = state.granted.get("champion")
    others = [
        version
        for version in state.registered
        if version not in state.retired and (champion is None or version != champion.version)
    ]
    if not state.registered:
        why = "no version was registered yet"
    elif champion is None:
        why = "no version is champion"
    elif len(state.registered) == 1:
        why = f"version {champion.version} is the only one"
    elif len(state.champions) == 1:
        why = f"there was none before version {champion.version}"
    else:
        earlier = set(state.champions) - {champion.version}
        barred = [
            name for name, some in (("retired", state.retired), ("taken back", state.taken_back)) if earlier & some
        ]
        why = f"those before version {champion.version} are {' or '.join(barred)}"
    step = f"promote another version: trunkline models promote {usecase} VERSION" if others else ""
    return InputError(
        f"use case {usecase!r} has no earlier champion to go back to: {why}",
        allowed=others,
        next_step=step or f"make {'another' if state.registered else 'a'} version first: trunkline run {usecase}",
    )


def _refuse_stale(usecase: str, version: str, state: Standing, *, expecting: str | None) -> None:
    """Refuse what was decided against another champion than the one that answers; waiting would not mend it.

    Raises:
        InputError: It was.
    """
    live = state.champions[-1] if state.champions else None
    if version not in state.crowned and live == expecting:
        return
    judged = f"version {expecting}" if expecting else "no champion"
    why = "has been champion and was taken back" if version in state.crowned else f"was judged against {judged}"
    raise InputError(
        f"version {version} {why}, and {f'version {live}' if live else 'no version'} is live now",
        where=f"use case {usecase!r}",
        next_step=f"start a new run, or decide yourself: trunkline models promote {usecase} {version}",
    )
