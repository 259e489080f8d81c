"""A table of DynamoDB named by one URL, and the client that reaches it."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline.errors import MissingExtraError
from trunkline.ingest.sources.dynamodb.faults import told
from trunkline.ingest.sources.url_options import UrlOptions
from trunkline.spec.stores import DynamoSource

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["declared_from_url", "opened"]

_OPTIONS: Final = UrlOptions(
    (
        "region",
        "endpoint",
        "cursor",
        "cursor_unit",
        "mode",
        "overlap_s",
        "segments",
        "page_rows",
        "piece_rows",
        "consistent",
    ),
    example="dynamodb://tickets?region=eu-central-1&cursor=updated_at",
)


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> DynamoSource:
    """Read what to pull from one URL; credentials are those that the AWS library finds.

    Args:
        text: ``dynamodb://TABLE``, perhaps with ``region=``, ``endpoint=``, ``cursor=`` (the pull is then incremental),
            ``cursor_unit=``, ``mode=``, ``overlap_s=`` (seconds), ``segments=``, ``page_rows=``, ``piece_rows=`` and
            ``consistent=true``.
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
    if "@" in parts.netloc or parts.path.strip("/"):
        raise _OPTIONS.unsaid("it names a table and nothing before or behind it", "")
    _OPTIONS.refuse_unknown(others)
    said = {"kind": "dynamodb", "table": parts.netloc, "usecase": usecase, "dataset": dataset, **ours}
    return _OPTIONS.declared(DynamoSource, said)


def opened(declared: DynamoSource, *, where: str) -> "BaseClient":
    """Open a client; requests that are throttled or not answered are made again, ever more slowly.

    Args:
        declared: The source.
        where: The table, for messages.

    Raises:
        MissingExtraError: boto3 is not installed.
        SourceError: No region, or half a credential.
    """
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        raise MissingExtraError("boto3", extra="dynamodb") from None
    secrets = {
        name: None if value is None else value.get_secret_value()
        for name, value in (
            ("aws_access_key_id", declared.access_key),
            ("aws_secret_access_key", declared.secret_key),
            ("aws_session_token", declared.session_token),
        )
    }
    with told(where):
        return boto3.session.Session().client(
            "dynamodb",
            region_name=declared.region,
            endpoint_url=declared.endpoint,
            config=Config(
                connect_timeout=declared.timeout_s,
                read_timeout=declared.timeout_s,
                max_pool_connections=declared.segments,
                retries={"total_max_attempts": declared.attempts, "mode": "adaptive"},
                user_agent_appid="trunkline",
            ),
            **secrets,
        )
