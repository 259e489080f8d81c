"""Writing objects of a store, so that readers see each of them whole or not at all.

S3 and Google Cloud Storage show an object when its upload ends. Azure's client empties the object of that name, or
makes an empty one, when it is opened: there the bytes go to a name beside it first, and are copied within the store.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ["Write", "writing_object"]


class Write(Protocol):
    """Writes bytes."""

    def __call__(self, data: bytes, /) -> object:
        """Write some."""
        ...


@contextmanager
def writing_object(store: "FileSystem", path: str) -> Iterator[Write]:
    """Write an object for a ``with`` block; it is there when the block has ended.

    Args:
        store: Of whichever kind. On Azure the object of before stays if the block fails; a process that is killed
            leaves an object ``.NAME.*.part`` beside it.
        path: The object's key, with the bucket.

    Raises:
        OSError: The store did not take it.
    """
    if store.type_name != "abfs":
        with store.open_output_stream(path, compression=None) as out:
            yield out.write
        return
    folder, _, name = path.rpartition("/")
    part = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
    try:
        with store.open_output_stream(part, compression=None) as out:
            yield out.write
        store.copy_file(part, path)
    finally:
        with suppress(OSError):  # it may never have come to be, and what is left of it is no object that anyone reads
            store.delete_file(part)
