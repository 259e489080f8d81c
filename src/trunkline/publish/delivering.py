"""Brings what a use case publishes to the sinks: what is owed first, then what is new; each sink for itself.

A sink that does not answer is tried again with growing waits, and then left: what it is owed stays written down, and
the others go on. Nothing here raises for a sink's fault; every publication has its result.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict

from trunkline.errors import TrunklineError, UnavailableError, UnknownNameError
from trunkline.lake import Lake
from trunkline.publish.changes import versions_of
from trunkline.publish.composing import Asking, Composed, composed, needed, reads, recipe, streamed
from trunkline.publish.opening import open_sink
from trunkline.publish.outbox import Memory, Outbox, Plan, Position
from trunkline.publish.protocol import Delivery, Latest, Sink, SumsUp
from trunkline.publish.refusing import refuse_unknown
from trunkline.publish.targets import Planned, fitted, planned
from trunkline.settings.drills import point
from trunkline.settings.publish import PublishSettings, SinkSettings
from trunkline.spec import UseCase

if TYPE_CHECKING:
    from tenacity import Retrying

__all__ = ["CRASH_POINTS", "Published", "Publisher"]

CRASH_POINTS: Final = ("publish.planned", "publish.delivered", "publish.settled")
"""Points at which a drill kills a process that publishes."""

_logger = logging.getLogger(__name__)


class Published(BaseModel):
    """What became of one publication at one sink.

    Attributes:
        sink: Name of the sink in the settings.
        to: Its address, without secrets.
        publication: What was published.
        target: Under which name.
        state: ``delivered``; ``unchanged``: it had everything; ``owed``: it did not answer and is tried again next
            time; ``refused``: something has to be mended first; ``absent``: the lake has no such table yet.
        rows: Rows that went.
        error: Why it is owed or refused; empty otherwise.
        next_step: What to do about it.
    """

    model_config = ConfigDict(frozen=True)

    sink: str
    to: str
    publication: str
    target: str
    state: Literal["delivered", "unchanged", "owed", "refused", "absent"]
    rows: int = 0
    error: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Publisher:
    """Everything that publishing needs.

    Attributes:
        lake: The lake.
        outbox: What sinks have, and are owed.
        settings: Sinks, and how hard they are tried.
        clock: The current instant, with a zone.
        opening: Opens a sink by its settings.
        lock: Keeps all others from publishing a use case for a ``with`` block; nobody by default.
    """

    lake: Lake
    outbox: Outbox
    settings: PublishSettings
    clock: Callable[[], datetime]
    opening: Callable[..., Sink] = open_sink
    lock: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()

    def publish(self, usecase: UseCase, *, run_id: str) -> tuple[Published, ...]:
        """Deliver what a use case publishes, to all its sinks.

        Args:
            usecase: The use case.
            run_id: The run that publishes.

        Raises:
            UnknownNameError: The settings name a sink or a table that is not there.
            BusyError: Another process publishes it, and did not end in time.
        """
        refuse_unknown(self.settings, usecase)
        found: list[Published] = []
        with self.lock(usecase.name):
            for name, said in self._sinks(usecase):
                found += self._to(name, said, usecase, run_id)
        return tuple(found)

    def preview(self, usecase: UseCase) -> tuple[tuple[Published, tuple[str, ...]], ...]:
        """Say what would be delivered, and by which statements; nothing is written, neither there nor here.

        Args:
            usecase: The use case.

        Raises:
            UnknownNameError: The settings name a sink or a table that is not there.
            TrunklineError: A sink's address is malformed.
        """
        refuse_unknown(self.settings, usecase)
        found: list[tuple[Published, tuple[str, ...]]] = []
        for name, said in self._sinks(usecase):
            sink = self.opening(said, settings=self.settings, memory=Memory(self.outbox, name))
            try:
                for one in self._fitting(sink, self._wanted(said, usecase)):
                    until = self._until(sink, usecase, one)
                    state: Literal["delivered", "unchanged", "absent"] = "absent" if until is None else "unchanged"
                    rows, statements = 0, list[str]()
                    if until is not None:
                        position = self.outbox.position(name, usecase.name, one.name)
                        since = _since(position, until, is_fixed=_is_fixed(sink, one))
                        if since == until.versions:
                            found.append((self._said(name, sink, one, state, rows), ()))
                            continue
                        state = "delivered"
                        plan = self._plan(usecase, one, until, since, run_id="preview")
                        parts = composed(
                            self.lake,
                            usecase,
                            one,
                            versions=until.versions,
                            since=plan.since,
                            keeps=sink.capabilities.keeps,
                        )
                        for part in parts:
                            rows += self._count(name, sink, plan, part)
                            statements += sink.would(_delivery(plan, part))
                        if isinstance(sink, SumsUp):
                            statements += [sink.summing(view) for view in one.summed]
                    found.append((self._said(name, sink, one, state, rows), tuple(statements)))
            finally:
                sink.close()
        return tuple(found)

    # -- inside

    def _count(self, name: str, sink: Sink, plan: Plan, part: Composed) -> int:
        """Count the rows that would go."""
        if sink.capabilities.keeps:
            return int(self.lake.engine.arrow(part.rows.aggregate(n=part.rows.count()))["n"][0].as_py())
        memory, place = Memory(self.outbox, name), _place(sink, plan, part)
        pieces = streamed(self.lake, part, chunk_rows=plan.chunk_rows, ordered=True, asking=Asking("", ""), place=place)
        return sum(memory.lacks(piece).num_rows for piece in pieces())

    def _said(
        self, name: str, sink: Sink, one: Planned, state: Literal["delivered", "unchanged", "absent"], rows: int
    ) -> Published:
        return Published(sink=name, to=sink.shown, publication=one.name, target=one.target.name, state=state, rows=rows)

    def _sinks(self, usecase: UseCase) -> Sequence[tuple[str, SinkSettings]]:
        only = self.settings.only
        return [
            (name, said)
            for name, said in self.settings.sinks.items()
            if (not only or name in only) and said.takes(usecase.name)
        ]

    def _wanted(self, said: SinkSettings, usecase: UseCase) -> tuple[Planned, ...]:
        prefix = self.settings.prefix if said.prefix is None else said.prefix
        every = planned(usecase, prefix=prefix, reidentifies=bool(said.reidentify))
        return tuple(one for one in every if one.name in said.tables or not (said.tables or one.publication.by_name))

    def _fitting(self, sink: Sink | None, wanted: tuple[Planned, ...]) -> tuple[Planned, ...]:
        """Give publications in a mode that the sink follows: as a whole, or as what is new."""
        return wanted if sink is None else tuple(fitted(one, sink.capabilities) for one in wanted)

    def _to(self, name: str, said: SinkSettings, usecase: UseCase, run_id: str) -> list[Published]:
        wanted = self._wanted(said, usecase)
        sink: Sink | None = None
        down: TrunklineError | None = None
        found = []
        try:
            try:
                sink = self.opening(said, settings=self.settings, memory=Memory(self.outbox, name))
                self._patiently()(sink.check)
            except TrunklineError as error:
                down = error
            shown = sink.shown if sink is not None else ""
            for one in self._fitting(sink, wanted):
                result = Published(sink=name, to=shown, publication=one.name, target=one.target.name, state="unchanged")
                if sink is None or down is not None:
                    found.append(self._failed(result, down, usecase))
                    continue
                try:
                    found.append(self._one(name, sink, said, usecase, one, run_id, result))
                except TrunklineError as fault:
                    found.append(self._failed(result, fault, usecase))
                    down = fault if isinstance(fault, UnavailableError) else None
        finally:
            if sink is not None:
                sink.close()
        return found

    def _failed(self, result: Published, error: TrunklineError | None, usecase: UseCase) -> Published:
        assert error is not None, "only what failed comes here"
        _logger.warning(
            "a sink has not got %s: %s",
            result.publication,
            error.what,
            extra={"usecase": usecase.name, "sink": result.sink, "state": "owed"},
        )
        self.outbox.fail(result.sink, usecase.name, result.publication, error=error.what, at=self.clock())
        state: Literal["owed", "refused"] = "owed" if isinstance(error, UnavailableError) else "refused"
        where = f" ({error.where})" if error.where else ""
        return result.model_copy(update={"state": state, "error": f"{error.what}{where}", "next_step": error.next_step})

    def _one(
        self,
        name: str,
        sink: Sink,
        said: SinkSettings,
        usecase: UseCase,
        one: Planned,
        run_id: str,
        result: Published,
    ) -> Published:
        """Deliver what was begun before, then what is new."""
        rows, delivered = 0, False
        asking = Asking(self.settings.who, said.reidentify)
        for finishing in (True, False):
            begun = self._begun(name, sink, usecase, one) if finishing else None
            plan = begun if finishing else self._next(name, sink, usecase, one, run_id)
            if plan is None:
                continue
            if not finishing:
                self.outbox.begin(name, usecase.name, one.name, plan)
            point("publish.planned")
            rows += self._deliver(sink, usecase, one, plan, asking)
            point("publish.delivered")
            self.outbox.settle(name, usecase.name, one.name, position=plan.until, at=self.clock())
            point("publish.settled")
            delivered = True
        if delivered:
            return result.model_copy(update={"state": "delivered", "rows": rows})
        if self._until(sink, usecase, one) is None:
            return result.model_copy(update={"state": "absent"})
        self.outbox.settle(name, usecase.name, one.name, position=None, at=self.clock())  # it failed once, and has all
        return result

    def _begun(self, name: str, sink: Sink, usecase: UseCase, one: Planned) -> Plan | None:
        """Give the delivery that was begun and not finished, as long as the same rows can be made again."""
        for owed in self.outbox.owed(usecase=usecase.name):
            if (owed.sink, owed.publication) != (name, one.name) or owed.plan is None:
                continue
            until = owed.plan.until
            same = until.recipe == _recipe(sink, usecase, one) and all(
                self.lake.exists(table) and self.lake.identity(table) == identity
                for table, identity in until.identities.items()
            )
            if same and self._is_readable(until):
                return owed.plan
            self.outbox.settle(name, usecase.name, one.name, position=None, at=self.clock())
        return None

    def _is_readable(self, until: Position) -> bool:
        try:
            for table, version in until.versions.items():
                self.lake.schema(table, version=version)
        except UnknownNameError:
            return False
        return True

    def _next(self, name: str, sink: Sink, usecase: UseCase, one: Planned, run_id: str) -> Plan | None:
        until = self._until(sink, usecase, one)
        if until is None:
            return None
        position = self.outbox.position(name, usecase.name, one.name)
        since = _since(position, until, is_fixed=_is_fixed(sink, one))
        # a table that was dropped, or came back from a backup, holds another batch than the one that was delivered
        stands = (
            position is None
            or not sink.capabilities.remembers
            or bool(one.dated_by)
            or sink.held(one.target) == position.batch_id
        )
        if since is not None and not stands:
            _logger.warning(
                "the table %s is not there any more as it was delivered: it is filled from the lake",
                one.target.name,
                extra={"usecase": usecase.name, "sink": name},
            )
            since = None
        if since is not None and since == until.versions:
            return None
        return self._plan(usecase, one, until, since, run_id=run_id)

    def _until(self, sink: Sink, usecase: UseCase, one: Planned) -> Position | None:
        tables = reads(usecase, one)
        versions = versions_of(self.lake, tables)
        if not versions or any(table not in versions for table in needed(usecase, one)):
            return None
        identities = {table: self.lake.identity(table) for table in versions}
        return Position(_recipe(sink, usecase, one), identities, versions)

    def _plan(
        self, usecase: UseCase, one: Planned, until: Position, since: "dict[str, int] | None", *, run_id: str
    ) -> Plan:
        said = [usecase.name, one.name, one.target.name, until.to_json(), since]
        batch_id = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
        return Plan(since, replace(until, batch_id=batch_id), run_id, self.clock(), self.settings.chunk_rows)

    def _deliver(self, sink: Sink, usecase: UseCase, one: Planned, plan: Plan, asking: Asking) -> int:
        count = 0
        able = sink.capabilities
        parts = composed(self.lake, usecase, one, versions=plan.until.versions, since=plan.since, keeps=able.keeps)
        for part in parts:
            rows = streamed(
                self.lake,
                part,
                chunk_rows=plan.chunk_rows,
                ordered=not able.remembers,
                asking=asking,
                place=_place(sink, plan, part),
            )
            delivery = _delivery(plan, part)
            count += self._patiently()(sink.deliver, delivery, rows)
            _logger.info(
                "delivered %s",
                part.target.name,
                extra={"usecase": usecase.name, "run_id": plan.run_id, "batch_id": plan.batch_id},
            )
        if one.view and parts and sink.capabilities.views:
            self._patiently()(sink.show, Latest(one.view, parts[-1].target))
        if isinstance(sink, SumsUp):
            for view in one.summed:
                self._patiently()(sink.sum_up, view)
        return count

    def _patiently(self) -> "Retrying":
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        return Retrying(
            retry=retry_if_exception_type(UnavailableError),
            stop=stop_after_attempt(self.settings.attempts),
            wait=wait_random_exponential(multiplier=self.settings.wait_s, max=60.0),
            reraise=True,
        )


def _recipe(sink: Sink, usecase: UseCase, one: Planned) -> str:
    """Hash of what the rows look like; a sink that cannot say what it has begins anew where it moved."""
    said = recipe(usecase, one)
    if sink.capabilities.remembers:
        return said
    return f"{said}-{hashlib.sha256(sink.shown.encode()).hexdigest()[:8]}"


def _is_fixed(sink: Sink, one: Planned) -> bool:
    """Whether what went stays as it went: rows of a sink that keeps none do not go again in another form."""
    return not sink.capabilities.keeps and one.publication.rows is None


def _place(sink: Sink, plan: Plan, part: Composed) -> str:
    """What rows that are named are of; those that an expression makes go as a whole each time."""
    said = [sink.shown, part.target.usecase, part.target.name, plan.batch_id if part.whole else ""]
    return json.dumps(said)


def _since(position: Position | None, until: Position, *, is_fixed: bool) -> "dict[str, int] | None":
    """Versions after which rows are new; None where everything has to be delivered."""
    if position is None or position.identities != until.identities:
        return None
    if position.recipe != until.recipe and not (is_fixed and _moved(position.recipe) == _moved(until.recipe)):
        return None
    if any(position.versions.get(table, -1) > version for table, version in until.versions.items()):
        return None  # a backup was restored: the sink is ahead of the lake
    return dict(position.versions)


def _moved(said: str) -> str:
    """The part of a recipe that says where the sink is."""
    return said.partition("-")[2]


def _delivery(plan: Plan, part: Composed) -> Delivery:
    return Delivery(
        target=part.target,
        batch_id=plan.batch_id,
        whole=part.whole,
        run_id=plan.run_id,
        source=plan.until.versions,
        made_at=plan.made_at,
    )
