"""Files as a sink: Parquet or CSV in a folder, or in S3, Google Cloud Storage or Azure, for whoever reads files.

A table that is replaced is one file, ``NAME.parquet``; one that is added to is a folder of files, one per delivery,
``NAME/BATCH.parquet``. A file is there whole or not at all. What each table holds is noted beside the tables, in
``_trunkline/NAME.json``, with columns, descriptions and units for readers.
"""

import csv
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.files import replacing
from trunkline.ingest.sources.object_writes import writing_object
from trunkline.ingest.sources.objects import Objects
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Target
from trunkline.settings.drills import point
from trunkline.spec.sources import ObjectSource

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "FileSink", "schema_of"]

CRASH_POINTS: Final = ("publish.files.written", "publish.files.placed", "publish.files.noted")
"""Points at which a drill kills the publishing process."""

_NOTES: Final = "_trunkline"
_BLOCK_BYTES: Final = 4 << 20
_FORMATS: Final = ("parquet", "csv")
_AGAIN: Final = "nothing is lost: the next delivery brings what is owed"


class FileSink:
    """A folder, or a folder of an object store; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: ``file:///folder``, ``s3://bucket/folder``, ``gs://...`` or ``abfss://...``.
        options: Options of the store; and ``format``, ``parquet`` or ``csv``.

    Raises:
        InputError: The address or an option is malformed.
    """

    def __init__(self, url: str, options: Mapping[str, SecretStr]) -> None:
        said = dict(options)
        self._format = said.pop("format", SecretStr("parquet")).get_secret_value()
        if self._format not in _FORMATS:
            raise InputError("files have no such form", where="`format` of the sink's options", allowed=_FORMATS)
        self._address = url.rstrip("/")
        declared = ObjectSource(kind="objects", usecase="publish", url=f"{self._address}/", options=said)
        try:
            self._objects = Objects("publish", declared)
            self._store = self._objects.store()
        except SourceError as error:
            raise InputError(error.what, where=error.where, next_step=error.next_step) from None
        self._folder = self._objects.folder
        local = urlsplit(url)
        self._local = Path(unquote(local.path)) if local.scheme == "file" else None

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        return Capabilities(
            name="files", modes=frozenset(("append", "replace")), remembers=True, views=True, keeps=True
        )

    @property
    def shown(self) -> str:
        """Its address."""
        return self._address

    def check(self) -> None:
        """Ask for the folder; nothing is written."""
        import pyarrow.fs as pafs

        if self._local is not None:
            there = next(place for place in (self._local, *self._local.parents) if place.exists())
            if not there.is_dir() or not os.access(there, os.W_OK):
                raise UnavailableError(
                    "the folder cannot be written to", where=str(there), next_step=f"check it, and its rights; {_AGAIN}"
                )
            return
        with self._faults("the store cannot be asked"):
            self._store.get_file_info(pafs.FileSelector(f"{self._folder}/{_NOTES}", allow_not_found=True))

    def held(self, target: Target) -> str | None:
        """Say which batch the files of a table hold; None where one of them is gone, or the columns are others."""
        import pyarrow.fs as pafs

        said = self._noted(target.name)
        if said is None or said.get("fingerprint") != target.fingerprint:
            return None
        names = [f"{self._folder}/{name}" for name in _listed(said.get("files"))]
        with self._faults("the files cannot be listed"):
            found = self._store.get_file_info(names)
        if any(one.type != pafs.FileType.File for one in found):
            return None
        return str(said["batch_id"])

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Write rows into a file of their own, and put it into its place."""
        target = delivery.target
        said = self._noted(target.name) or {}
        self._refuse_foreign(target, said)
        is_added = target.mode == "append"
        if self.held(target) == delivery.batch_id:
            if delivery.whole and is_added:  # the process may have died before they were removed
                self._remove_others(target, _listed(said.get("files")))
            return 0
        name = f"{target.name}/{delivery.batch_id}.{self._format}" if is_added else f"{target.name}.{self._format}"
        with tempfile.TemporaryDirectory(prefix="trunkline-publish-") as folder:
            path = Path(folder) / "rows"
            count = self._written(path, target, rows)
            point("publish.files.written")
            with self._faults("a file was not taken"), path.open("rb") as stream:
                self._place(stream, name)
        point("publish.files.placed")
        before = [] if delivery.whole else _listed(said.get("files"))
        names = [*before, name] if name not in before else before
        self._put(_note(delivery, names, count).encode(), f"{_NOTES}/{target.name}.json")
        point("publish.files.noted")
        if delivery.whole and is_added:
            self._remove_others(target, names)
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say which file would be written."""
        target = delivery.target
        name = f"{target.name}/{delivery.batch_id}" if target.mode == "append" else target.name
        return (f"write {self._address}/{name}.{self._format}: {', '.join(target.names)}",)

    def show(self, latest: Latest) -> None:
        """Copy the newest file to the name of the view."""
        with self._faults("the newest file cannot be copied"):
            source = f"{self._folder}/{latest.target.name}.{self._format}"
            with self._store.open_input_stream(source, compression=None) as stream:
                self._place(stream, f"{latest.name}.{self._format}")

    def close(self) -> None:
        """Nothing is held open."""

    # -- inside

    def _written(self, path: Path, target: Target, rows: Rows) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        count = 0
        schema = schema_of(target)
        if self._format == "csv":
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(target.names)
                for batch in rows():
                    writer.writerows(zip(*(_texts(column) for column in batch.columns), strict=True))
                    count += batch.num_rows
            return count
        with pq.ParquetWriter(path, schema, compression="zstd") as out:
            for batch in rows():
                out.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                count += batch.num_rows
        return count

    def _refuse_foreign(self, target: Target, said: Mapping[str, object]) -> None:
        """Refuse files that Trunkline did not make, or made for another use case.

        Raises:
            InputError: There are some.
        """
        import pyarrow.fs as pafs

        owner = said.get("usecase")
        if owner == target.usecase:
            return
        with self._faults("the files cannot be listed"):
            names = [f"{self._folder}/{target.name}.{self._format}", f"{self._folder}/{target.name}"]
            there = [one.type != pafs.FileType.NotFound for one in self._store.get_file_info(names)]
        if owner is None and not any(there):
            return
        whose = f"belongs to the use case {owner!r}" if owner else "was not made by Trunkline"
        raise InputError(
            f"there is a table {target.name!r}, and it {whose}",
            where=self.shown,
            next_step="set a `prefix` under [publish], or move those files",
        )

    def _noted(self, name: str) -> dict[str, object] | None:
        path = f"{self._folder}/{_NOTES}/{name}.json"
        try:
            with self._faults("the notes of the tables cannot be read"):
                import pyarrow.fs as pafs

                if self._store.get_file_info([path])[0].type != pafs.FileType.File:
                    return None
                with self._store.open_input_stream(path, compression=None) as stream:
                    said = json.loads(bytes(stream.read()))
        except json.JSONDecodeError:
            return None
        return said if isinstance(said, dict) else None

    def _put(self, content: bytes, name: str) -> None:
        import io

        with self._faults("the store did not take a file"):
            self._place(io.BytesIO(content), name)

    def _place(self, stream: "_Stream", name: str) -> None:
        """Bring bytes to a name at once: by a renaming in a folder, as the store can in a store."""
        if self._local is None:
            with writing_object(self._store, f"{self._folder}/{name}") as write:
                while block := stream.read(_BLOCK_BYTES):
                    write(block)
            return
        target = self._local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, durable=True) as part, part.open("wb") as file:
            while block := stream.read(_BLOCK_BYTES):
                file.write(block)

    def _remove_others(self, target: Target, names: list[str]) -> None:
        """Remove the files of before, which the newest delivery stands for."""
        import pyarrow.fs as pafs

        kept = {f"{self._folder}/{name}" for name in names}
        with self._faults("files of before cannot be removed"):
            selector = pafs.FileSelector(f"{self._folder}/{target.name}", allow_not_found=True)
            for one in self._store.get_file_info(selector):
                if one.type == pafs.FileType.File and one.path not in kept:
                    self._store.delete_file(one.path)

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._local is not None:
                raise UnavailableError(
                    f"{what} ({error.strerror or type(error).__name__})",
                    where=str(self._local),
                    next_step=f"check space and rights there; {_AGAIN}",
                ) from None
            told = self._objects.fault(error, what)
            if isinstance(told, UnavailableError):
                raise UnavailableError(told.what, where=told.where, next_step=_AGAIN) from None
            raise InputError(told.what, where=told.where, next_step=told.next_step) from None


def schema_of(target: Target) -> "pa.Schema":
    """Give the columns, with what they mean as metadata."""
    import pyarrow as pa

    kinds = {"integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_(), "day": pa.date32()}
    kinds["instant"] = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field(
                column.name,
                kinds.get(column.kind, pa.string()),
                metadata={"description": column.description, "unit": column.unit},
            )
            for column in target.columns
        ],
        metadata={"usecase": target.usecase, "description": target.description},
    )


def _texts(column: "pa.Array") -> Iterator[str]:
    """Give the cells of a CSV: null is empty, instants and days as ISO 8601, flags as true and false."""
    for value in column.to_pylist():
        if value is None:
            yield ""
        elif isinstance(value, bool):
            yield "true" if value else "false"
        elif hasattr(value, "tzinfo"):
            yield value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        else:
            yield str(value)


def _note(delivery: Delivery, names: list[str], count: int) -> str:
    target = delivery.target
    return json.dumps(
        {
            "name": target.name,
            "usecase": target.usecase,
            "description": target.description,
            "fingerprint": target.fingerprint,
            "batch_id": delivery.batch_id,
            "run_id": delivery.run_id,
            "source": dict(delivery.source),
            "published_at": delivery.made_at.astimezone(UTC).isoformat(),
            "rows": count,
            "files": names,
            "key": target.key,
            "columns": [
                {"name": one.name, "kind": one.kind, "description": one.description, "unit": one.unit}
                for one in target.columns
            ],
        },
        indent=1,
    )


def _listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


if TYPE_CHECKING:
    from typing import Protocol

    class _Stream(Protocol):
        def read(self, size: int = -1, /) -> bytes: ...
