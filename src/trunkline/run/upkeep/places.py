"""Where archives lie: a folder, or a folder of an object store, behind the few operations that an archive needs.

The store is opened as a pulled source opens its own. A file is there whole or not at all: in a folder it is renamed
into place once it is on the disk, in a store as :mod:`trunkline.ingest.sources.object_writes` says.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from trunkline.errors import UnknownNameError
from trunkline.files import replacing
from trunkline.ingest.sources.object_writes import Write, writing_object
from trunkline.ingest.sources.objects import Objects
from trunkline.spec.sources import ObjectSource

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["ArchivePlace"]

_BLOCK_BYTES: Final = 4 << 20


class ArchivePlace:
    """A place for archives. Names of files are paths below it.

    Args:
        address: A folder, absolute, or the address of a folder in a store.
        options: Options of the store; without them its own environment variables count.

    Raises:
        InputError: The address or an option is malformed.
        SourceError: The store refuses the credentials.
        UnavailableError: The store does not answer.
    """

    def __init__(self, address: str, options: Mapping[str, SecretStr]) -> None:
        url = address if "://" in address else Path(address).absolute().as_uri()
        self.address = url.rstrip("/")
        declared = ObjectSource(kind="objects", usecase="archive", url=f"{self.address}/", options=options)
        self._objects = Objects("archive", declared)
        self._store = self._objects.store()
        self._folder = self._objects.folder
        local = urlsplit(url)
        self._local = Path(unquote(local.path)) if local.scheme == "file" else None

    def names(self, folder: str) -> list[str]:
        """List the files below a folder of the place, sorted; none where there is no such folder."""
        import pyarrow.fs as pafs

        with self._faults("the archive cannot be listed"):
            found = self._store.get_file_info(
                pafs.FileSelector(f"{self._folder}/{folder}", allow_not_found=True, recursive=True)
            )
        prefix = f"{self._folder}/"
        return sorted(entry.path.removeprefix(prefix) for entry in found if entry.type == pafs.FileType.File)

    def put(self, path: Path, name: str) -> None:
        """Copy a file to the place."""
        with self._writing(name) as write, path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                write(block)

    def put_text(self, text: str, name: str) -> None:
        """Write a text to the place; it takes the place of another of its name at once."""
        with self._writing(name) as write:
            write(text.encode())

    def text(self, name: str) -> str:
        """Read a text.

        Raises:
            UnknownNameError: It is not there.
        """
        with self.reading(name) as stream:
            return bytes(stream.read()).decode()

    def digest(self, name: str) -> tuple[str, int]:
        """Read a file back; gives the SHA-256 and the number of its bytes.

        Raises:
            UnknownNameError: It is not there.
        """
        found, size = hashlib.sha256(), 0
        with self.reading(name) as stream:
            while block := stream.read(_BLOCK_BYTES):
                found.update(block)
                size += len(block)
        return found.hexdigest(), size

    def dataset(self, names: Sequence[str]) -> "ds.Dataset":
        """The Parquet files of some names as one dataset."""
        import pyarrow.dataset as ds

        with self._faults("an archive cannot be read"), self._naming():
            return ds.dataset([f"{self._folder}/{name}" for name in names], filesystem=self._store, format="parquet")

    def remove(self, name: str) -> None:
        """Remove a file, and in a folder the empty folder around it; nothing where it is not there."""
        try:
            with self._faults("the archive did not let go of a file"), self._naming():
                self._store.delete_file(f"{self._folder}/{name}")
        except UnknownNameError:
            return
        if self._local is not None:
            folder = (self._local / name).parent
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    @contextmanager
    def _writing(self, name: str) -> Iterator[Write]:
        with self._faults("the archive did not take a file"):
            if self._local is None:
                with writing_object(self._store, f"{self._folder}/{name}") as write:
                    yield write
                return
            target = self._local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target, durable=True) as part, part.open("wb") as file:
                yield file.write  # rows are deleted on the word of this file

    @contextmanager
    def reading(self, name: str) -> "Iterator[IO[bytes]]":
        """Lend a file to be read from its beginning, until the block is left.

        Raises:
            UnknownNameError: It is not there.
            UnavailableError: The place does not answer.
        """
        path = f"{self._folder}/{name}"
        with (
            self._faults("an archive cannot be read"),
            self._naming(),
            self._store.open_input_stream(path, compression=None) as stream,
        ):
            yield stream

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._objects.fault(error, what) from None

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Tell that a file which is asked for is not there."""
        try:
            yield
        except FileNotFoundError:
            raise UnknownNameError("the archive lacks a file", where=self.address) from None
