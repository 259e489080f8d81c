"""The UseCase object: everything that is special about one use case, and nothing else.

A use case's folder makes one ``UseCase`` at import, without effects. The platform reads it; it never subclasses.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ValidationError

from trunkline.contracts import Contract
from trunkline.errors import InputError, UseCaseError
from trunkline.spec.audience import Audience, refuse_unaddressable
from trunkline.spec.derived import Derived, refuse_underivable
from trunkline.spec.gates import Gate
from trunkline.spec.live import LiveChart, refuse_undrawable
from trunkline.spec.publish import Publication, refuse_unpublishable
from trunkline.spec.references import refuse_dangling
from trunkline.spec.retraining import Retrain
from trunkline.spec.sources import Schedule
from trunkline.spec.watched import WatchedSeries
from trunkline.spec.windows import Windowed, refuse_unwindowable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.tasks import Task

__all__ = ["Recording", "Simulation", "Simulator", "Unwrap", "UseCase", "Watch"]

TableFeatures = Callable[["Mapping[str, ir.Table]"], "ir.Table"]
"""From the use case's lake tables, by name, to one table with a row per entity and observation."""


@dataclass(frozen=True)
class Simulation:
    """What a simulator made, and what can be known of it.

    Attributes:
        tables: Raw rows by dataset, with the column names of the contract.
        best_score: The score of the true probabilities on these rows: no honest model can beat it but by chance.
        metric: Scorer name of ``best_score``.
        streams: Raw rows by dataset where they are too many for memory; read once.
    """

    tables: "Mapping[str, pa.Table]"
    best_score: float
    metric: str
    streams: "Mapping[str, pa.RecordBatchReader]" = field(default_factory=dict)


class Simulator(Protocol):
    """Makes realistic rows with a known cause structure; pure and seeded."""

    def __call__(self, *, rows: int, seed: int) -> Simulation:
        """Make ``rows`` entities; the same arguments give the same tables."""
        ...


@dataclass(frozen=True)
class Watch:
    """Limits of the monitored numbers; a reading outside raises an alert.

    Attributes:
        psi: Population stability index of a feature or the score; the sampling-noise limit applies where it is larger.
        mean_shift: Shift of the mean of a number, and of the score, in standard deviations at training, either way.
            Where it is set, numbers are judged by it alone, and their stability index is read without a limit: for
            batches that are cut along a column, which then varies less in each without having drifted. None judges by
            the index.
        performance_drop: Loss of the headline metric against training, in its unit.
        minimum_outcomes: Matured outcomes needed before performance is read.
    """

    psi: float = 0.2
    mean_shift: float | None = None
    performance_drop: float = 0.05
    minimum_outcomes: int = 200


class Unwrap(Protocol):
    """Takes apart a message that holds several records of a dataset; pure."""

    def __call__(self, message: object, /) -> Sequence[object] | None:
        """Give the records of a decoded JSON value; None where it is a record itself."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A form of files that hold records of a dataset, which the use case takes apart itself.

    Attributes:
        recognises: Tells files of this form: from the first bytes of a file by its name, or from the names of several
            files in an archive, without their bytes. What it does not claim is read like any other file.
        rows: Gives the records of the whole content of such a file, by its name, or of the files of an archive.
    """

    recognises: Callable[[Mapping[str, bytes]], bool]
    rows: Callable[[Mapping[str, bytes]], Iterable[object]]


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One use case of machine learning at an operator.

    Attributes:
        name: Folder and command-line name: lower-case letters, digits and underscores.
        title: A few words for people.
        question: The question it answers, one sentence.
        datasets: Contract of each table it takes in.
        derived: Tables that are computed from them, and from each other, after each ingestion.
        windows: Tables of windows over their event times, computed for what came.
        main: The dataset whose rows are learned from and predicted.
        entity: Fields that say whom a row of ``main`` is about where rows repeat and have no key; empty takes the key.
        task: What is learned; None for pure ingestion.
        metric: Scorer name of the headline metric.
        gates: What a candidate must pass, in this order.
        watch: Limits of monitoring.
        table_features: Ibis expressions from the lake tables to the table of features; None takes ``main`` as it is.
        simulate: Makes data with known truth; None where there is no simulator.
        simulated_rows: Rows that a run without a source simulates.
        observation_at: Field with the instant the row describes; None where rows carry no time. Refused together with
            ``table_features`` until those are cut at it.
        horizon_days: How far ahead the label looks.
        label_delay_days: Days after the horizon until the label is known; monitoring waits for it.
        justified: Columns that may post-date the observation, each with the written reason why it is used.
        envelopes: By dataset, how messages that hold several records are taken apart: of the HTTP edge, of brokers and
            of REST sources.
        recordings: By dataset, how files in a form of their own are taken apart, such as the archive of an app.
        live: Readings that the console's live page draws as they come.
        publish: Tables that others read, where the settings name a sink (docs/publish.md).
        segments: Columns that name a subscriber's segment in published predictions, features of the model without
            personal data.
        audience: Whom it would contact with what; None where nobody is (docs/audiences.md).
        retrain: When a run learns a new champion; None: every run does.
        schedule: When the whole plan runs, where a scheduler is on; None only when somebody asks for it. The settings
            win (`scheduler.runs`).
        watched: Series that are watched for anomalies without labels; None where there are none.
        documentation: Path of the README inside the use case's package.
        choices: What an operator may set of it under ``[usecases.NAME]``; None where there is nothing to set.
        chosen: Makes the use case from them; goes with ``choices``.
    """

    name: str
    title: str
    question: str
    datasets: Mapping[str, type[Contract]]
    derived: Mapping[str, Derived] = field(default_factory=dict)
    windows: Mapping[str, Windowed] = field(default_factory=dict)
    main: str
    entity: tuple[str, ...] = ()
    task: "Task | None"
    metric: str
    gates: tuple[Gate, ...] = ()
    watch: Watch = Watch()
    table_features: TableFeatures | None = None
    simulate: Simulator | None = None
    simulated_rows: int = 5_000
    observation_at: str | None = None
    horizon_days: float = 0.0
    label_delay_days: float = 0.0
    justified: Mapping[str, str] | None = None
    envelopes: Mapping[str, Unwrap] = field(default_factory=dict)
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    live: tuple[LiveChart, ...] = ()
    publish: tuple[Publication, ...] = ()
    segments: tuple[str, ...] = ()
    audience: Audience | None = None
    retrain: Retrain | None = None
    schedule: Schedule | None = None
    watched: WatchedSeries | None = None
    documentation: str = "README.md"
    choices: type[BaseModel] | None = None
    chosen: "Callable[..., UseCase] | None" = None

    def __post_init__(self) -> None:
        """Refuse contradictions at import, where the author sees them.

        Raises:
            UseCaseError: The name is malformed, ``main``, the label or a feature is not in the contracts, a derived
                table could not be computed, or a reference names what is not there.
        """
        where = f"use case {self.name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", self.name):
            raise UseCaseError(
                "a use case's name is lower-case letters, digits and underscores, 40 at most", where=where
            )
        if self.main not in self.datasets:
            raise UseCaseError(f"main dataset {self.main!r} is not declared", where=where, allowed=self.datasets)
        if unknown := sorted(set(self.entity) - {column.name for column in self.contract.columns}):
            raise UseCaseError(f"the entity names {unknown[0]!r}, which {self.main!r} lacks", where=where)
        if self.entity and self.contract.table.key:
            raise UseCaseError(
                f"{self.main!r} has a key, which names the entity", where=where, next_step="take entity out"
            )
        if self.watched is not None:
            _refuse_unwatchable(self.watched, self.datasets, where=where)
        refuse_underivable(self.datasets, self.derived, where=where)
        refuse_unwindowable(self.datasets, self.windows, taken=self.derived, where=where)
        for name, contract in self.contracts.items():
            refuse_dangling(contract, self.contracts, where=f"{where}, {name!r}")
        refuse_undrawable(self.live, self.datasets, where=where)
        refuse_unpublishable(self.publish, self.contracts, where=where)
        private = {column.name for one in self.contracts.values() for column in one.columns if column.pii}
        if named := private & set(self.segments):
            raise UseCaseError(f"the segment {min(named)!r} is personal data", where=where)
        if self.audience is not None:
            refuse_unaddressable(self.audience, self.contract, self.datasets, where=where)
        if self.observation_at is not None and self.table_features is not None:
            raise UseCaseError(
                "table features are not yet cut at observation_at, so nothing would keep them from looking ahead",
                where=where,
                next_step="leave observation_at out and filter in table_features yourself",
            )
        if self.task is None or self.table_features is not None:
            return
        names = {column.name for column in self.contract.columns}
        unknown = [name for name in self.task.columns if name not in names]
        if unknown:
            raise UseCaseError(
                f"the task reads columns that the contract lacks: {', '.join(unknown)}", where=where, allowed=names
            )

    def with_choices(self, given: Mapping[str, object]) -> "UseCase":
        """Give the use case as it was set.

        Args:
            given: What was set, by name.

        Raises:
            InputError: There is no such thing to set, or the value is not allowed.
        """
        if not given:
            return self
        where = f"[usecases.{self.name}]"
        if self.choices is None or self.chosen is None:
            raise InputError("this use case has nothing to set", where=where, next_step="take the table out")
        try:
            choices = self.choices.model_validate(given)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = ".".join(map(str, wrong["loc"]))
            raise InputError(f"{name}: {wrong['msg']}", where=where, allowed=self.choices.model_fields) from None
        return self.chosen(choices)

    @property
    def contract(self) -> type[Contract]:
        """Contract of the main dataset."""
        return self.datasets[self.main]

    @property
    def contracts(self) -> Mapping[str, type[Contract]]:
        """Contracts of all datasets, derived tables and windows, by name."""
        derived = {name: table.contract for name, table in self.derived.items()}
        return {**self.datasets, **derived, **{name: table.contract for name, table in self.windows.items()}}

    def contract_of(self, table: str) -> type[Contract]:
        """Contract of a dataset, derived table or table of windows.

        Raises:
            KeyError: There is none of that name.
        """
        return self.contracts[table]

    @property
    def answers_rows(self) -> bool:
        """Whether a row alone can be answered: all that the model reads of it is a field of the contract."""
        if self.task is None or self.task.reads_history:
            return False
        known = {column.name for column in self.contract.columns}
        return {feature.name for feature in self.task.features} <= known

    @property
    def entity_key(self) -> tuple[str, ...]:
        """Fields that identify the entity a prediction is about."""
        return self.contract.table.key or self.entity

    def table_name(self, dataset: str | None = None) -> str:
        """Name of the lake table of a dataset or derived table; of the main dataset by default."""
        return f"{self.name}.{dataset or self.main}"


def _refuse_unwatchable(watched: WatchedSeries, datasets: Mapping[str, type[Contract]], *, where: str) -> None:
    """Refuse a series that is no dataset, and places and faults that no dataset says."""
    if watched.dataset not in datasets:
        raise UseCaseError("what is watched is no dataset", where=where, allowed=datasets)
    read = []
    if (places := watched.places) is not None:
        read.append(("places", places.dataset, {places.entity, places.latitude, places.longitude}))
    if (faults := watched.faults) is not None:
        read.append(("faults", faults.dataset, {faults.entity, faults.kind, faults.begin, faults.end}))
    for what, dataset, columns in read:
        if dataset not in datasets:
            raise UseCaseError(f"{what} come from {dataset!r}, which is no dataset", where=where, allowed=datasets)
        known = [column.name for column in datasets[dataset].columns]
        if unknown := sorted(columns - set(known)):
            raise UseCaseError(f"{what} need {unknown[0]!r}, which {dataset!r} lacks", where=where, allowed=known)
