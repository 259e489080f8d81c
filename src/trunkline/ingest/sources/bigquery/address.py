"""A table of BigQuery named by one URL, and the clients that reach it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from trunkline.errors import MissingExtraError
from trunkline.ingest.sources.url_options import UrlOptions
from trunkline.spec.stores import BigQuerySource

if TYPE_CHECKING:
    from google.cloud.bigquery import Client
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

__all__ = ["Clients", "clients", "declared_from_url", "refuse_missing_libraries"]

_OPTIONS: Final = UrlOptions(
    (
        "query",
        "cursor",
        "mode",
        "overlap_s",
        "location",
        "max_billed_gib",
        "piece_rows",
        "endpoint",
        "storage_endpoint",
    ),
    example="bigquery://my-project/shop.tickets?cursor=updated_at",
)


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> BigQuerySource:
    """Read what to pull from one URL; credentials are the application default ones.

    Args:
        text: ``bigquery://PROJECT/DATASET.TABLE``, or ``bigquery://PROJECT?query=SELECT...``; perhaps with ``cursor=``
            (the pull is then incremental), ``mode=``, ``overlap_s=`` (seconds), ``location=``, ``max_billed_gib=`` and
            ``piece_rows=``. The project pays; without one (``bigquery:///DATASET.TABLE``) the default pays.
        usecase: The use case its rows belong to.
        dataset: The dataset; None is the main one.

    Raises:
        InputError: It is malformed, or says too little or too much.
    """
    try:
        parts = urlsplit(text)
        ours, others = _OPTIONS.split(parts.query)
    except ValueError:
        raise _OPTIONS.unsaid("it is no address", "") from None
    if "@" in parts.netloc:
        raise _OPTIONS.unsaid("credentials do not belong into it", "")
    _OPTIONS.refuse_unknown(others)
    named = {"project": parts.netloc or None, "table": unquote(parts.path.strip("/")) or None}
    said = {"kind": "bigquery", "usecase": usecase, "dataset": dataset, **named, **ours}
    return _OPTIONS.declared(BigQuerySource, said)


@dataclass(frozen=True)
class Clients:
    """What asks BigQuery.

    Attributes:
        jobs: Runs queries.
        storage: Reads their rows; None where pages by HTTP do.
    """

    jobs: "Client"
    storage: "BigQueryReadClient | None"


def refuse_missing_libraries() -> None:
    """Look for Google's libraries.

    Raises:
        MissingExtraError: They are not installed.
    """
    for module in ("google.cloud.bigquery", "google.cloud.bigquery_storage"):
        try:
            __import__(module)
        except ModuleNotFoundError:
            raise MissingExtraError(module, extra="bigquery") from None


@contextmanager
def clients(declared: BigQuerySource) -> Iterator[Clients]:
    """Open clients for a ``with`` block."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

    with ExitStack() as stack:
        if declared.endpoint is not None:
            jobs = bigquery.Client(
                project=declared.project or (declared.table or "").partition(".")[0],
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # it has no types
                client_options={"api_endpoint": declared.endpoint},
                location=declared.location,
            )
            stack.callback(jobs.close)
            yield Clients(jobs, stack.enter_context(_local(declared)) if declared.storage_endpoint else None)
            return
        project = declared.project or _project_of(declared.table)
        if declared.credentials_file is not None:
            jobs = bigquery.Client.from_service_account_json(  # type: ignore[no-untyped-call]  # as above
                str(declared.credentials_file), project=project, location=declared.location
            )
        else:
            jobs = bigquery.Client(project=project, location=declared.location)
        stack.callback(jobs.close)
        credentials = jobs._credentials  # noqa: SLF001 - as the library itself does
        storage = BigQueryReadClient(credentials=credentials)  # type: ignore[no-untyped-call]  # as above
        stack.callback(storage.transport.close)
        yield Clients(jobs, storage)


@contextmanager
def _local(declared: BigQuerySource) -> "Iterator[BigQueryReadClient]":
    """Reach an emulator's Storage Read API, without TLS."""
    import grpc
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    with grpc.insecure_channel(declared.storage_endpoint or "") as channel:
        yield BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]  # as above


def _project_of(table: str | None) -> str | None:
    return table.split(".")[0] if table is not None and table.count(".") == 2 else None
