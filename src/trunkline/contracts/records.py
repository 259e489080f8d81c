"""The platform's own tables: what the stages tell each other through the lake.

Every table is a contract like any other. ``document`` fields hold one JSON text whose shape belongs to the writer of
the record; everything that is filtered or joined on has a column of its own.
"""

from typing import ClassVar, Final, Literal

from trunkline.contracts.attempts import SourceAttempt
from trunkline.contracts.contract import Contract, Table, field
from trunkline.contracts.kinds import Flag, Instant, Integer, Number, Text

__all__ = [
    "ALERTS",
    "ATTEMPTS",
    "AUDIENCES",
    "ENTITY_TABLES",
    "EXPORTS",
    "MESSAGES",
    "NOTIFICATIONS",
    "OUTCOMES",
    "OUTGOING",
    "PREDICTIONS",
    "QUARANTINE",
    "READINGS",
    "RECEIPTS",
    "RECORDS",
    "REIDENTIFICATIONS",
    "RUNS",
    "STEPS",
    "VAULT",
    "Alert",
    "AudienceMember",
    "CustomerMessage",
    "Export",
    "Notification",
    "Outcome",
    "PredictionLog",
    "QuarantinedRow",
    "Reading",
    "Receipt",
    "Reidentification",
    "RunRecord",
    "SourceAttempt",
    "StepRecord",
    "VaultEntry",
]

_LONG: Final = 10_000_000


class Receipt(Contract):
    """One row per ingested batch: ``read = accepted + quarantined + duplicates``, always."""

    table: ClassVar[Table] = Table(key=("batch_id",), event_at="finished_at")

    batch_id: Text = field("Content-derived: hash of source content, dataset, contract fingerprint and mapping")
    run_id: Text = field("The run that ingested the batch first")
    usecase: Text = field()
    dataset: Text = field()
    source: Text = field("Where the rows came from, without secrets")
    piece: Text | None = field("Source and number of its piece in the landing zone; null where no copy was kept")
    content_sha256: Text = field("Hash of the raw bytes")
    bytes: Integer | None = field("Of the source as it came; null where it was not counted", unit="B", minimum=0)
    contract_fingerprint: Text = field()
    read: Integer = field("Rows read", minimum=0)
    accepted: Integer = field("Rows written to the lake", minimum=0)
    quarantined: Integer = field("Rows written to the quarantine", minimum=0)
    duplicates: Integer = field("Rows left out for having the key of another row of the batch", minimum=0)
    reasons: Text = field("JSON object: reason to number of rows", max_length=_LONG)
    absent_columns: Text = field("JSON list: nullable fields that the source lacks", max_length=_LONG)
    extra_columns: Text = field("JSON list: columns of the source that the contract does not know", max_length=_LONG)
    mapping: Text | None = field("JSON object: source column to field, from the user; null without", max_length=_LONG)
    notes: Text | None = field(
        "JSON object: what a derived table tells of its rows, e.g. how many its joins lost; when the oldest record of "
        "a topic's chunk was accepted; in which dialect CSV was read of which something was said; "
        "whose place a batch that was taken in again takes; null for others",
        max_length=_LONG,
    )
    table_version: Integer | None = field("Version of the dataset's table that holds the rows; null when none were")
    started_at: Instant = field()
    finished_at: Instant = field()


class QuarantinedRow(Contract):
    """One row per refused row and change of its state; the newest state of a row counts."""

    table: ClassVar[Table] = Table(key=("quarantine_id",), event_at="changed_at")

    quarantine_id: Text = field("Batch id and row number")
    batch_id: Text = field()
    run_id: Text = field()
    usecase: Text = field()
    dataset: Text = field()
    source: Text = field()
    row_number: Integer = field("1 is the first data row of the source", minimum=1)
    reasons: Text = field("JSON list of all reasons, ``field.check`` or a rule's name", max_length=_LONG)
    row: Text = field("JSON object of the raw texts under the source's own column names", max_length=_LONG)
    state: Literal["open", "replayed", "discarded"] = field()
    changed_at: Instant = field()


class RunRecord(Contract):
    """One row per run and change of its state."""

    table: ClassVar[Table] = Table(key=("run_id",), event_at="changed_at")

    run_id: Text = field()
    usecase: Text = field()
    state: Literal["started", "finished", "refused", "failed"] = field()
    started_at: Instant = field()
    changed_at: Instant = field()
    code_version: Text = field("Version of the package and commit, where known")
    document: Text = field("JSON: the arguments of the run, or why it ended as it did", max_length=_LONG)


class StepRecord(Contract):
    """One row per finished step of a run: its outcome as a document."""

    table: ClassVar[Table] = Table(key=("run_id", "step"), event_at="finished_at")

    run_id: Text = field()
    usecase: Text = field()
    step: Text = field()
    document: Text = field("JSON: what the step found and wrote", max_length=_LONG)
    seconds: Number = field(unit="s", minimum=0)
    finished_at: Instant = field()


class PredictionLog(Contract):
    """One row per answered row: what was asked, what was answered, by which version."""

    table: ClassVar[Table] = Table(key=("prediction_id",), event_at="predicted_at")

    prediction_id: Text = field("Request id and row, or run id and row")
    request_id: Text = field("Of the API call, or the run id of a batch")
    usecase: Text = field()
    entity_key: Text | None = field("The row's key in its contract, parts joined by '|'")
    model_version: Text = field()
    alias: Text = field("Alias that answered: champion, challenger")
    channel: Literal["api", "batch"] = field()
    score: Number = field("Calibrated probability, or the predicted value")
    decision: Flag | None = field("Score at or above the model's threshold; null for regression")
    features: Text = field("JSON object: the features as used for the answer", max_length=_LONG)
    reasons: Text | None = field(
        "JSON list: the features that moved the score most; null where nobody asked", max_length=_LONG
    )
    predicted_at: Instant = field()


class Outcome(Contract):
    """One row per ground truth that arrived for an entity."""

    table: ClassVar[Table] = Table(key=("outcome_id",), event_at="recorded_at")

    outcome_id: Text = field()
    usecase: Text = field()
    entity_key: Text = field("As in PredictionLog")
    prediction_id: Text | None = field("The answer it judges, where the sender knows it")
    value: Number = field("1 or 0 for a class, the true value for a regression")
    observed_at: Instant = field("When the truth became true")
    recorded_at: Instant = field("When Trunkline learned of it")


class AudienceMember(Contract):
    """One row per member of an audience and campaign: whom a use case would contact with what, or never does."""

    table: ClassVar[Table] = Table(key=("member_id",), event_at="decided_at")

    member_id: Text = field("Campaign and entity")
    usecase: Text = field()
    campaign: Text = field("The run that made the audience")
    entity_key: Text = field("As in PredictionLog")
    segment: Text = field()
    offer: Text = field()
    score: Number = field("What the use case predicts for the entity", minimum=0, maximum=1)
    stays: Number | None = field(
        "Probability to stay, from the companion's champion; null where it was not asked", minimum=0, maximum=1
    )
    expected_value: Number = field("Of contacting the member, its cost taken off", unit="currency")
    cost: Number = field("Of a contact", unit="currency", minimum=0)
    holdout: Flag = field("Never contacted, to measure what contacts bring")
    model_version: Text = field("Version whose score it is")
    companion_version: Text | None = field("Version that says who stays; null where none was asked")
    decided_at: Instant = field()


class CustomerMessage(Contract):
    """One row per member of an audience that was decided about: who gets what, and who nothing, and why."""

    table: ClassVar[Table] = Table(key=("message_id",), event_at="decided_at")

    message_id: Text = field("Of use case, campaign, channel and entity")
    usecase: Text = field()
    campaign: Text = field("As in AudienceMember")
    entity_key: Text = field("As in PredictionLog")
    segment: Text = field()
    offer: Text = field()
    channel: Text = field("Channel that consent was given for, e.g. push")
    state: Literal["sent", "withheld"] = field("sent: handed over as an event; withheld: see reason")
    reason: Text | None = field("Why nothing is sent: holdout, no_consent, expired, capped; null where it is sent")
    valid_until: Instant = field("Until when the offer stands")
    decided_at: Instant = field()


class VaultEntry(Contract):
    """One row per identifier whose original is kept, and key that it was hashed under."""

    table: ClassVar[Table] = Table(key=("pseudonym",), event_at="kept_at")

    pseudonym: Text = field("As the lake has it")
    kind: Text = field("Identifier type")
    original: Text = field("The identifier in its canonical form, encrypted and bound to type and pseudonym")
    batch_id: Text = field("The batch that brought it first, or the rotation of keys")
    replaces: Text | None = field("The pseudonym under the key before, while tables are being written anew")
    kept_at: Instant = field()


class Reidentification(Contract):
    """One row per question who somebody is; written before it is answered, never changed."""

    table: ClassVar[Table] = Table(key=("audit_id",), event_at="asked_at")

    audit_id: Text = field()
    asked_at: Instant = field()
    who: Text = field("The person or service that asks")
    why: Text = field("For what")
    kind: Text = field("Identifier type")
    asked: Integer = field("Pseudonyms that were asked for", minimum=0)
    found: Integer = field("Of which the vault has the original", minimum=0)


class Export(Contract):
    """One row per file that was handed out."""

    table: ClassVar[Table] = Table(key=("export_id",), event_at="exported_at")

    export_id: Text = field()
    holder: Text = field("Name of the key, or 'loopback'")
    role: Literal["reader", "operator", "admin"] = field()
    usecase: Text = field()
    dataset: Text = field()
    table_version: Integer = field("Version of the lake table", minimum=0)
    form: Literal["csv", "parquet"] = field()
    rows: Integer = field("Rows of the file", minimum=0)
    masked: Text = field("JSON list: columns whose values were left out", max_length=1_000_000)
    exported_at: Instant = field()


class Notification(Contract):
    """One row per notice, target and change of its state; the newest state counts."""

    table: ClassVar[Table] = Table(key=("notice_id", "target"), event_at="changed_at")

    notice_id: Text = field("Of an alert or of the end of a run")
    target: Text = field("Name of the target in the settings")
    subject: Text = field("What notices have in common that say the same", max_length=10_000)
    state: Literal["sent", "failed", "repeated", "waits", "dead"] = field(
        "failed: tried again at the next look; repeated: left out, for the same was told a moment ago; waits: for the "
        "hour to pass; dead: nobody took it in time"
    )
    attempts: Integer = field("Calls that were tried", minimum=0)
    changed_at: Instant = field()


class Reading(Contract):
    """One monitored number over one window."""

    table: ClassVar[Table] = Table(key=("reading_id",), event_at="read_at")

    reading_id: Text = field()
    run_id: Text = field()
    usecase: Text = field()
    model_version: Text = field()
    family: Literal["drift", "score_drift", "performance", "estimate", "freshness", "volume"] = field()
    metric: Text = field("psi, ks, roc_auc, ...")
    subject: Text = field("The feature, or 'score', or the table")
    value: Number | None = field("Null when it could not be computed, e.g. one class only")
    low: Number | None = field("Lower end of the 95 % interval or sampling band")
    high: Number | None = field("Upper end of the 95 % interval or sampling band")
    limit: Number | None = field("The limit that applies; null when none does")
    crossed: Flag = field("Whether the limit is crossed")
    rows: Integer = field("Rows the reading rests on", minimum=0)
    window_start_at: Instant | None = field()
    window_end_at: Instant | None = field()
    read_at: Instant = field()


class Alert(Contract):
    """One row per reading that crossed its limit and was announced."""

    table: ClassVar[Table] = Table(key=("alert_id",), event_at="raised_at")

    alert_id: Text = field()
    run_id: Text = field()
    usecase: Text = field()
    severity: Literal["critical", "major", "minor", "warning"] = field("X.733 perceived severity")
    title: Text = field()
    text: Text = field(max_length=_LONG)
    about: Text | None = field("The one thing of many that it is about, e.g. a device; null where there is none")
    actions: Text | None = field("JSON list: who is told, by name; null is whoever wants alerts", max_length=_LONG)
    raised_at: Instant = field()


RUNS: Final = "platform.runs"
"""Lake table of the runs."""

STEPS: Final = "platform.steps"
"""Lake table of the steps of runs, with what each found."""

PREDICTIONS: Final = "platform.predictions"
"""Lake table of every answer."""

OUTCOMES: Final = "platform.outcomes"
"""Lake table of what became of those that were answered."""

READINGS: Final = "platform.readings"
"""Lake table of what monitoring read."""

RECEIPTS: Final = "platform.receipts"
"""Lake table of the receipts."""

ATTEMPTS: Final = "platform.attempts"
"""Lake table of the attempts to take sources in."""

QUARANTINE: Final = "platform.quarantine"
"""Lake table of the refused rows."""

VAULT: Final = "platform.vault"
"""Lake table of encrypted originals; nobody reads it but :mod:`trunkline.lake.vault`."""

REIDENTIFICATIONS: Final = "platform.reidentifications"
"""Lake table of who asked for originals."""

ALERTS: Final = "platform.alerts"
"""Lake table of the alerts."""

EXPORTS: Final = "platform.exports"
"""Lake table of what was handed out."""

AUDIENCES: Final = "platform.audiences"
"""Lake table of whom use cases would contact."""

NOTIFICATIONS: Final = "platform.notifications"
"""Lake table of what was told to whom."""

MESSAGES: Final = "platform.messages"
"""Lake table of who was sent what, and who was not."""

OUTGOING: Final = "messages"
"""Name within a use case of the table of what is to be sent, and of its publication."""

RECORDS: Final[dict[str, type[Contract]]] = {
    RECEIPTS: Receipt,
    ATTEMPTS: SourceAttempt,
    QUARANTINE: QuarantinedRow,
    RUNS: RunRecord,
    STEPS: StepRecord,
    PREDICTIONS: PredictionLog,
    OUTCOMES: Outcome,
    AUDIENCES: AudienceMember,
    READINGS: Reading,
    ALERTS: Alert,
    VAULT: VaultEntry,
    REIDENTIFICATIONS: Reidentification,
    EXPORTS: Export,
    NOTIFICATIONS: Notification,
    MESSAGES: CustomerMessage,
}
"""Lake table to contract."""

ENTITY_TABLES: Final[dict[str, str]] = {
    name: contract.table.key[0] for name, contract in RECORDS.items() if "entity_key" in contract.model_fields
}
"""Of the tables that speak of a use case's entities by ``usecase`` and ``entity_key``: the column that names a row.
Erasures and changes of pseudonyms go through all of them."""
