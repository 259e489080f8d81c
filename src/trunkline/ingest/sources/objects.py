"""Objects of a store as a pulled source: each new or changed object that a pattern names is one piece.

An object is told by its key, time of change and size. The position holds the newest time of change that landed; the
store is asked for objects that are newer, or at most ``overlap`` older, and those that landed already are left out. So
an object whose store stamps it with the begin of a long upload is found, and nothing older is looked up twice.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from pydantic import ValidationError

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.raw import told_suffixes
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.spec.sources import ObjectSource

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

__all__ = ["Objects", "Pattern", "declared_from_url", "open_source", "pattern_of"]

_BLOCK_BYTES: Final = 4 << 20
_ATTEMPTS: Final = 4
_TIMEOUT_S: Final = 30.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AZURE: Final = ("abfs", "abfss")
_WILD: Final = re.compile(r"[*?\[]")
_S3_OPTIONS: Final = (
    "access_key",
    "secret_key",
    "session_token",
    "region",
    "endpoint_override",
    "scheme",
    "anonymous",
    "role_arn",
    "external_id",
    "force_virtual_addressing",
)
_GCS_OPTIONS: Final = ("anonymous", "endpoint_override", "scheme", "project_id")
_AZURE_OPTIONS: Final = (
    "account_key",
    "sas_token",
    "tenant_id",
    "client_id",
    "client_secret",
    "blob_storage_authority",
    "blob_storage_scheme",
    "dfs_storage_authority",
    "dfs_storage_scheme",
)
_AZURE_VARIABLES: Final = {
    "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
    "sas_token": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
}
_AZURE_CREDENTIALS: Final = frozenset({"account_key", "sas_token", "tenant_id", "client_id", "client_secret"})
_FLAGS: Final = ("anonymous", "force_virtual_addressing")
_REFUSED: Final = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|INVALID_CLIENT_TOKEN|SIGNATURE_DOES_NOT_MATCH|UNRECOGNIZED_CLIENT|"
    r"INVALID_SIGNATURE|MISSING_AUTHENTICATION|EXPIRED_TOKEN|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|"
    r"AuthenticationFailed|AuthorizationFailure|UNAUTHENTICATED|PERMISSION_DENIED|(?:HTTP status|code:?) 40[13]\b"
)

_NO_BUCKET: Final = re.compile("NO_SUCH_BUCKET|NoSuchBucket|ContainerNotFound")


def open_source(name: str, declared: ObjectSource) -> "Objects":
    """Make a source from its declaration; nothing is asked of the store yet.

    Raises:
        InputError: The address or an option is malformed.
    """
    return Objects(name, declared)


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> ObjectSource:
    """Declare the objects that an address names, with the options of the store's own environment variables.

    Raises:
        InputError: The address is malformed.
    """
    try:
        return ObjectSource(kind="objects", usecase=usecase, dataset=dataset, url=text)
    except ValidationError as error:
        raise InputError(f"the address is malformed: {error.errors(include_input=False)[0]['msg']}") from None


@dataclass(frozen=True)
class Pattern:
    """Which objects are meant.

    Attributes:
        folder: Where to look, with the bucket.
        keys: Matches whole keys, with the bucket.
        is_deep: Whether they may lie in folders of that folder.
        key: The only key that is meant; empty where there are wildcards.
    """

    folder: str
    keys: re.Pattern[str]
    is_deep: bool
    key: str


def pattern_of(url: str) -> Pattern:
    """Take an address apart.

    Raises:
        InputError: It names no bucket, or its wildcards are malformed.

    >>> pattern = pattern_of("s3://cdr/2026/*/calls-*.csv")
    >>> pattern.folder, pattern.is_deep
    ('cdr/2026', True)
    >>> [bool(pattern.keys.fullmatch(key)) for key in ("cdr/2026/03/calls-7.csv", "cdr/2026/calls-7.csv")]
    [True, False]
    """
    scheme, _, path = url.partition("://")
    if scheme in ("s3", "gs") and "@" in path.partition("/")[0]:
        raise InputError("credentials belong into `options`, not into the address")
    if scheme in _AZURE:
        authority, _, path = path.partition("/")
        path = f"{authority.partition('@')[0]}/{path}"
    path = unquote(path) if scheme == "file" else path
    if path.endswith("/"):
        path += "**"
    wild = _WILD.search(path)
    folder = (path if wild is None else path[: wild.start()]).rpartition("/")[0]
    if not folder.strip("/"):
        raise InputError(
            "the address names no bucket, or no objects in it",
            where=url,
            allowed=("s3://bucket/folder/*.csv", "s3://bucket/folder/"),
        )
    rest = path[len(folder) + 1 :]
    try:
        return Pattern(folder, re.compile(_expression(path)), "**" in rest or "/" in rest, path if wild is None else "")
    except re.error:
        raise InputError("the wildcards of the address are malformed", where=url) from None


def _expression(path: str) -> str:
    """Write a shell pattern as a regular expression: ``*`` and ``?`` stay within a folder, ``**`` does not."""
    parts: list[str] = []
    place = 0
    while place < len(path):
        sign = path[place]
        closing = path.find("]", place + 2) if sign == "[" else -1
        if path.startswith("**/", place):
            parts.append("(?:.*/)?")
            place += 3
        elif path.startswith("**", place):
            parts.append(".*")
            place += 2
        elif closing > 0:
            inside = path[place + 1 : closing]
            negated = "^" if inside[0] in "!^" else ""
            parts.append(f"[{negated}{re.escape(inside[len(negated) :]).replace(chr(92) + '-', '-')}]")
            place = closing + 1
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)))
            place += 1
    return "".join(parts)


class Objects:
    """The objects of a store that a pattern names.

    Args:
        name: The source's name.
        declared: What is said of it.

    Raises:
        InputError: The address or an option is malformed.
    """

    def __init__(self, name: str, declared: ObjectSource) -> None:
        self.name = name
        self._declared = declared
        self._scheme = declared.url.partition("://")[0].replace("abfss", "abfs")
        self._pattern = pattern_of(declared.url)
        allowed = {"s3": _S3_OPTIONS, "gs": _GCS_OPTIONS, "abfs": _AZURE_OPTIONS, "file": ()}[self._scheme]
        unknown = sorted(set(declared.options) - set(allowed))
        if unknown:
            raise InputError(f"the store has no option {unknown[0][:40]!r}", where=declared.url, allowed=allowed)

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Fetch what is new beside one object that landed; see ``Source.pull``."""
        return self.pull_beside([position] if position else [], folder=folder)

    def pull_beside(self, landed: Sequence[Position], *, folder: Path) -> Iterator[Pulled]:
        """Fetch the objects that are new or changed, oldest first; see ``LedgerSource.pull_beside``."""
        store = self.store()
        known = {(one.get("object"), one.get("version")) for one in landed}
        newest = datetime.fromisoformat(str(landed[-1]["newest"])) if landed else None
        limit = newest - self._declared.overlap if newest else _EPOCH
        found = [
            info
            for info in self._listed(store)
            if _changed_at(info) >= limit and (info.path, _version(info)) not in known
        ]
        found.sort(key=lambda info: (_changed_at(info), info.path))
        for number, info in zip(count(), found):
            path = self._fetched(store, info, folder / f"{number}{''.join(told_suffixes(info.path))}")
            # a clock that runs ahead must not hide what is changed until then
            at = min(_changed_at(info), datetime.now(UTC))
            newest = max(newest, at) if newest else at
            yield Pulled(
                path,
                origin=f"{self._scheme}://{info.path}" if self._scheme != "abfs" else self._azure(info.path),
                position={"newest": newest.isoformat(), "object": info.path, "version": _version(info)},
            )

    @property
    def folder(self) -> str:
        """Where the pattern looks, as the store's own path."""
        return self._pattern.folder

    def store(self) -> "FileSystem":
        """Open the store; it is asked for nothing yet, except perhaps who we are.

        Raises:
            InputError: The options do not fit together, or the address names no account.
            SourceError: The credentials are refused.
            UnavailableError: It does not answer.
        """
        from pyarrow import fs

        said = {name: value.get_secret_value() for name, value in self._declared.options.items()}
        options: dict[str, object] = {**said, **{name: said[name] == "true" for name in _FLAGS if name in said}}
        try:
            if self._scheme == "file":
                return fs.LocalFileSystem()
            if self._scheme == "gs":
                return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_TIMEOUT_S), **options)
            if self._scheme == "abfs":
                if not _AZURE_CREDENTIALS & said.keys():
                    options |= _azure_environment(os.environ)
                return fs.AzureFileSystem(account_name=self._account(), **options)
            return fs.S3FileSystem(
                connect_timeout=_TIMEOUT_S,
                request_timeout=_TIMEOUT_S,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
                **{**_s3_environment(os.environ), **options},
            )
        except (ValueError, TypeError) as error:
            raise InputError(
                "the options of the store do not fit together", where=f"{self._declared.url} ({type(error).__name__})"
            ) from None
        except OSError as error:
            raise self.fault(error, "the store cannot be opened") from None

    def _account(self) -> str:
        authority = self._declared.url.partition("://")[2].partition("/")[0]
        account = authority.partition("@")[2].partition(".")[0] or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        if not account:
            raise InputError(
                "the address names no account",
                where=self._declared.url,
                allowed=("abfss://container@account.dfs.core.windows.net/path",),
            )
        return account

    def _azure(self, key: str) -> str:
        authority = self._declared.url.partition("://")[2].partition("/")[0]
        return f"abfss://{authority}/{key.partition('/')[2]}"

    def _listed(self, store: "FileSystem") -> "Iterator[FileInfo]":
        """List what the pattern names and is not empty."""
        from pyarrow.fs import FileSelector, FileType

        try:
            if self._pattern.key:
                infos = [store.get_file_info(self._pattern.key)]
                if infos[0].type != FileType.File:
                    self._refuse_missing_bucket(store)
                    raise SourceError("there is no such object", where=self._declared.url)
            else:
                infos = store.get_file_info(
                    FileSelector(self._pattern.folder, allow_not_found=True, recursive=self._pattern.is_deep)
                )
                if not infos:
                    self._refuse_missing_bucket(store)
        except OSError as error:
            raise self.fault(error, "the store cannot be listed") from None
        for info in infos:
            if info.type == FileType.File and info.size and self._pattern.keys.fullmatch(info.path):
                yield info

    def _refuse_missing_bucket(self, store: "FileSystem") -> None:
        from pyarrow.fs import FileType

        folder = self._pattern.folder
        bucket = folder if self._scheme == "file" else folder.partition("/")[0]
        if store.get_file_info(bucket).type == FileType.NotFound:
            raise SourceError(
                "there is no such folder" if self._scheme == "file" else "there is no such bucket",
                where=self._declared.url,
                next_step="check its name, and which store the options or the environment name",
            )

    def _fetched(self, store: "FileSystem", info: "FileInfo", path: Path) -> Path:
        """Copy an object to a file, block by block."""
        written = 0
        try:
            with store.open_input_stream(info.path, compression=None) as stream, path.open("wb") as out:
                while block := stream.read(_BLOCK_BYTES):
                    try:
                        written += out.write(block)
                    except OSError as error:
                        raise UnavailableError(
                            f"the disk did not take a file: {error.strerror}",
                            where=str(path.parent),
                            next_step="make room on the disk; the next pull tries again",
                        ) from None
            after = store.get_file_info(info.path)
        except FileNotFoundError:
            raise self._moved(info, "vanished") from None
        except OSError as error:
            raise self.fault(error, "an object cannot be read") from None
        if written != info.size or _version(after) != _version(info):
            raise self._moved(info, "changed")
        return path

    def _moved(self, info: "FileInfo", what: str) -> UnavailableError:
        return UnavailableError(
            f"an object {what} while it was read",
            where=f"{self._scheme}://{info.path}",
            next_step="pull again: the store is listed anew; what landed stays",
        )

    def fault(self, error: OSError, what: str) -> SourceError | UnavailableError:
        """Tell the declaration's fault from the world's; a store's own text may name keys and is not shown.

        Args:
            error: What the store raised.
            what: What could not be done.
        """
        text = str(error)
        code = re.search(r"AWS Error ([A-Z_]{3,40})", text)
        where = f"{self._declared.url}{f' ({code[1]})' if code else ''}"
        if _REFUSED.search(text) or isinstance(error, PermissionError):
            return SourceError(
                f"{what}: the credentials are refused",
                where=where,
                next_step="check `options`, or the environment variables of the store, and the rights behind them",
            )
        if isinstance(error, FileNotFoundError) or _NO_BUCKET.search(text):
            return SourceError("there is no such bucket", where=where, next_step="check its name")
        return UnavailableError(what, where=where, next_step="try again later; what landed stays")


def _s3_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Read what the lake reads too; keys and the like the AWS library finds itself."""
    options: dict[str, object] = {}
    if region := environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"):
        options["region"] = region
    if endpoint := environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"):
        options["endpoint_override"] = endpoint
    return options


def _azure_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Read the credentials that the lake reads too; the identities of Azure the library finds itself."""
    found = {
        name: next((environment[one] for one in variables if environment.get(one)), None)
        for name, variables in _AZURE_VARIABLES.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _changed_at(info: "FileInfo") -> datetime:
    nanoseconds = info.mtime_ns or 0
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _version(info: "FileInfo") -> str:
    return f"{info.mtime_ns}-{info.size}"
