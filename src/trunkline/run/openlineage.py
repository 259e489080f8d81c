"""Runs told to a lineage server: OpenLineage events of each step, with its tables, their versions, schemas and counts.

An option: nothing is sent, and nothing imported, unless ``lineage.openlineage_url`` or ``lineage.openlineage_file`` is
set. A server that fails or hangs never fails a run: an event has a short time limit, the first failure is logged, and
the run sends no more. Events hold names, versions and counts, no values of rows. Specification: OpenLineage 2-0-2,
https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline import __version__
from trunkline.contracts import Contract
from trunkline.contracts.records import PREDICTIONS, QUARANTINE, READINGS, RECORDS
from trunkline.errors import MissingExtraError, TrunklineError
from trunkline.settings.lineage import LineageSettings

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent
    from openlineage.client.generated.base import DatasetFacet, RunFacet
    from openlineage.client.transport import Transport

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["StepEvents", "run_uuid", "step_events"]

_PRODUCER: Final = f"urn:python-package:trunkline:{__version__}"
_LONGEST_MESSAGE: Final = 500

_logger = logging.getLogger(__name__)

Document = Mapping[str, object]


def run_uuid(*parts: str) -> str:
    """Give the UUID of a run, or of a step of it: the same for the same names, as the specification wants one.

    >>> run_uuid("20261122T101500-1a2b3c") == run_uuid("20261122T101500-1a2b3c")
    True
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("trunkline", *parts))))


def step_events(workspace: "Workspace", usecase: "UseCase", *, run_id: str, part: str = "") -> "StepEvents | None":
    """Open what sends the events of a run; None where the settings want none.

    Args:
        workspace: Its settings say where to.
        usecase: The use case of the run.
        run_id: The run.
        part: Which turn of a run that repeats its step; empty where it has one of each.

    Raises:
        MissingExtraError: The settings want events, and the client is not installed.
    """
    settings = workspace.settings.lineage
    if not settings.openlineage_url and settings.openlineage_file is None:
        return None
    tables = {usecase.table_name(name): contract for name, contract in usecase.datasets.items()}
    return StepEvents(
        settings,
        run_id=run_id,
        part=part,
        usecase=usecase.name,
        lake=workspace.lake.root,
        contracts={**RECORDS, **tables},
        clock=workspace.clock,
    )


class StepEvents:
    """Sends the events of one run's steps.

    Args:
        settings: Where to.
        run_id: The run.
        part: Which turn of a run that repeats its step; empty where it has one of each.
        usecase: Its use case.
        lake: The lake's root.
        contracts: Lake table to contract, for the schemas.
        clock: Gives the current instant.

    Raises:
        MissingExtraError: The client is not installed.
    """

    def __init__(
        self,
        settings: LineageSettings,
        *,
        run_id: str,
        part: str,
        usecase: str,
        lake: str,
        contracts: Mapping[str, type[Contract]],
        clock: Callable[[], datetime],
    ) -> None:
        self._transports = _transports(settings)
        self._namespace = settings.openlineage_namespace
        self._run_id, self._part, self._usecase, self._lake = run_id, part, usecase, lake
        self._contracts, self._clock = contracts, clock
        self._step: str | None = None

    @property
    def is_silenced(self) -> bool:
        """Whether all that it sent by has failed, so that it sends no more."""
        return not self._transports

    def started(self, step: str) -> None:
        """Tell that a step begins."""
        self._step = step
        self._send("START", step)

    def completed(self, step: str, document: str) -> None:
        """Tell that a step has finished.

        Args:
            step: The step.
            document: What it stored: says which tables it read and wrote.
        """
        self._step = None
        inputs, outputs = self._datasets(step, document)
        self._send("COMPLETE", step, inputs=inputs, outputs=outputs)

    def failed(self, error: Exception, *, document: str | None = None) -> None:
        """Tell that the step that goes on has failed; nothing where none does.

        Args:
            error: Why.
            document: What it has read and written nevertheless, as it would have stored it; None for nothing.
        """
        from openlineage.client.generated.error_message_run import ErrorMessageRunFacet

        step, self._step = self._step, None
        if step is None:
            return
        # the text of any other error may hold values of rows
        said = f": {error}" if isinstance(error, TrunklineError) else ""
        facet = ErrorMessageRunFacet(f"{type(error).__name__}{said}"[:_LONGEST_MESSAGE], "Python", producer=_PRODUCER)
        inputs, outputs = self._datasets(step, document) if document is not None else ((), ())
        self._send("FAIL", step, inputs=inputs, outputs=outputs, facets={"errorMessage": facet})

    def _datasets(self, step: str, document: str) -> "tuple[Sequence[InputDataset], Sequence[OutputDataset]]":
        found: Document = json.loads(document)
        names = _Datasets(self._namespace, self._lake, self._contracts)
        return names.of(step, found, usecase=self._usecase, run_id=self._run_id)

    def _send(
        self,
        kind: str,
        step: str,
        *,
        inputs: "Sequence[InputDataset]" = (),
        outputs: "Sequence[OutputDataset]" = (),
        facets: "Mapping[str, RunFacet] | None" = None,
    ) -> None:
        if not self._transports:
            return
        event = self._event(kind, step, inputs=inputs, outputs=outputs, facets=facets or {})
        for transport in tuple(self._transports):
            try:
                transport.emit(event)
            except Exception as error:  # noqa: BLE001 - whatever a server or disk does must not end a run
                self._transports.remove(transport)
                _logger.warning(
                    "lineage: the %s transport failed (%s); this run sends no more events by it",
                    transport.kind,
                    type(error).__name__,
                )

    def _event(
        self,
        kind: str,
        step: str,
        *,
        inputs: "Sequence[InputDataset]",
        outputs: "Sequence[OutputDataset]",
        facets: "Mapping[str, RunFacet]",
    ) -> "RunEvent":
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.generated.job_type_job import JobTypeJobFacet
        from openlineage.client.generated.parent_run import Job as ParentJob
        from openlineage.client.generated.parent_run import ParentRunFacet
        from openlineage.client.generated.parent_run import Run as ParentRun
        from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet

        run: Run = Run(
            run_uuid(self._run_id, step, *([self._part] if self._part else [])),
            facets={
                "parent": ParentRunFacet(
                    ParentRun(run_uuid(self._run_id)), ParentJob(self._namespace, self._usecase), producer=_PRODUCER
                ),
                "processing_engine": ProcessingEngineRunFacet(__version__, "trunkline", producer=_PRODUCER),
                **facets,
            },
        )
        job: Job = Job(
            self._namespace,
            f"{self._usecase}.{step}",
            facets={"jobType": JobTypeJobFacet("BATCH", "TRUNKLINE", "STEP", producer=_PRODUCER)},
        )
        return RunEvent(
            eventTime=self._clock().isoformat(),
            run=run,
            job=job,
            eventType=RunState[kind],
            inputs=list(inputs),
            outputs=list(outputs),
            producer=_PRODUCER,
        )


class _Datasets:
    """Names what a step has read and written.

    Args:
        namespace: Of lake tables and models.
        lake: The lake's root.
        contracts: Lake table to contract.
    """

    def __init__(self, namespace: str, lake: str, contracts: Mapping[str, type[Contract]]) -> None:
        self._namespace, self._lake, self._contracts = namespace, lake, contracts

    def of(
        self, step: str, document: Document, *, usecase: str, run_id: str
    ) -> "tuple[list[InputDataset], list[OutputDataset]]":
        """Give inputs and outputs by what the step's document says."""
        from openlineage.client.event_v2 import InputDataset, OutputDataset

        candidate, version = f"candidates/{run_id}", document.get("version")
        model = f"models/{usecase}/{version}"
        if step == "ingest":
            receipts = [row for row in _listed(document.get("receipts")) if isinstance(row, dict)]
            return self._sources(receipts), self._taken(receipts)
        if step == "train":
            versions = document.get("table_versions")
            tables = versions.items() if isinstance(versions, dict) else ()
            return (
                [InputDataset(self._namespace, name, facets=self._table(name, number)) for name, number in tables],
                [OutputDataset(self._namespace, candidate)],
            )
        if step == "evaluate":
            return [InputDataset(self._namespace, candidate)], []
        if step == "register":
            return [InputDataset(self._namespace, candidate)], [OutputDataset(self._namespace, model)]
        if step == "rollout":
            return [InputDataset(self._namespace, model)], [OutputDataset(self._namespace, f"live/{usecase}")]
        if step == "predict":
            facets = self._table(PREDICTIONS, document.get("table_version"))
            return (
                [InputDataset(self._namespace, f"live/{usecase}")],
                [OutputDataset(self._namespace, PREDICTIONS, facets=facets)],
            )
        if step == "monitor":
            readings = self._table(READINGS, None)
            return (
                [InputDataset(self._namespace, f"live/{usecase}")],
                [OutputDataset(self._namespace, READINGS, facets=readings)],
            )
        return [], [OutputDataset("file", str(document["path"]))] if "path" in document else []

    def _sources(self, receipts: Sequence[Mapping[str, object]]) -> "list[InputDataset]":
        """The sources that were read, each once, with all its receipts."""
        found: dict[tuple[str, str], list[Mapping[str, object]]] = {}
        for receipt in receipts:
            found.setdefault(_source_name(str(receipt["source"]), self._namespace), []).append(receipt)
        return [self._source(namespace, name, rows) for (namespace, name), rows in found.items()]

    def _source(self, namespace: str, name: str, receipts: Sequence[Mapping[str, object]]) -> "InputDataset":
        """A source, with the counts of its receipts and the reasons for which rows of it were refused."""
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.generated.data_quality_assertions_dataset import (
            Assertion,
            DataQualityAssertionsDatasetFacet,
        )
        from openlineage.client.generated.data_quality_metrics_input_dataset import DataQualityMetricsInputDatasetFacet

        reasons: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        for receipt in receipts:
            reasons.update(json.loads(str(receipt["reasons"])))
            counts.update({what: int(str(receipt[what])) for what in ("read", "accepted", "quarantined", "duplicates")})
        metrics = DataQualityMetricsInputDatasetFacet({}, rowCount=counts.pop("read"), producer=_PRODUCER)
        assertions = [
            Assertion(
                assertion=f"{what}={count}", success=what == "accepted" or not count, name=what, actual=str(count)
            )
            for what, count in counts.items()
        ]
        assertions += [
            Assertion(
                assertion=reason.rpartition(".")[2],
                success=False,
                column=reason.rpartition(".")[0] or None,
                name=reason,
                actual=str(count),
            )
            for reason, count in reasons.items()
        ]
        return InputDataset(
            namespace,
            name,
            inputFacets={
                "dataQualityMetrics": metrics,
                "dataQualityAssertions": DataQualityAssertionsDatasetFacet(assertions, producer=_PRODUCER),
            },
        )

    def _taken(self, receipts: Sequence[Mapping[str, object]]) -> "list[OutputDataset]":
        """The tables that were added to, and the quarantine."""
        accepted: dict[str, int] = {}
        versions: dict[str, int | None] = {}
        for receipt in receipts:
            table = f"{receipt['usecase']}.{receipt['dataset']}"
            accepted[table] = accepted.get(table, 0) + int(str(receipt["accepted"]))
            version = receipt["table_version"]
            known = [number for number in (versions.get(table), version) if isinstance(number, int)]
            versions[table] = max(known, default=None)
        quarantined = sum(int(str(receipt["quarantined"])) for receipt in receipts)
        if quarantined:
            accepted[QUARANTINE], versions[QUARANTINE] = quarantined, None
        return [self._output(table, version=versions[table], rows=rows) for table, rows in accepted.items()]

    def _output(self, table: str, *, version: int | None, rows: int) -> "OutputDataset":
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

        return OutputDataset(
            self._namespace,
            table,
            facets=self._table(table, version),
            outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows, producer=_PRODUCER)},
        )

    def _table(self, table: str, version: object) -> "dict[str, DatasetFacet]":
        """Where a lake table is, which version, and what its contract says of its columns."""
        from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
        from openlineage.client.generated.datasource_dataset import DatasourceDatasetFacet
        from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

        root = self._lake if "://" in self._lake else f"file://{self._lake}"
        facets: dict[str, DatasetFacet] = {"dataSource": DatasourceDatasetFacet("lake", root, producer=_PRODUCER)}
        if isinstance(version, int):
            facets["version"] = DatasetVersionDatasetFacet(str(version), producer=_PRODUCER)
        contract = self._contracts.get(table)
        if contract is not None:
            fields = [
                SchemaDatasetFacetFields(column.name, column.kind, column.description or None)
                for column in contract.columns
            ]
            facets["schema"] = SchemaDatasetFacet(fields, producer=_PRODUCER)
        return facets


def _source_name(source: str, namespace: str) -> tuple[str, str]:
    """Name a source as the specification does: scheme and host, then the path; files are of the namespace ``file``."""
    if "://" in source:
        parts = urlsplit(source)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}", parts.path.lstrip("/") or "/"
    return ("file", source) if source.startswith("/") else (namespace, source)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _transports(settings: LineageSettings) -> "list[Transport]":
    try:
        from openlineage.client.transport.file import FileConfig, FileTransport
        from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider
    except ImportError:
        raise MissingExtraError("openlineage", extra="lineage") from None
    made: list[Transport] = []
    if settings.openlineage_url:
        key = settings.openlineage_api_key
        made.append(
            HttpTransport(
                HttpConfig(
                    url=settings.openlineage_url.rstrip("/") + "/",
                    endpoint=settings.openlineage_endpoint.lstrip("/"),
                    timeout=settings.openlineage_timeout_s,
                    auth=ApiKeyTokenProvider({"api_key": key.get_secret_value()}) if key else TokenProvider({}),
                    retry={"total": 0},
                )
            )
        )
    if settings.openlineage_file is not None:
        made.append(FileTransport(FileConfig(log_file_path=str(settings.openlineage_file), append=True)))
    return made
