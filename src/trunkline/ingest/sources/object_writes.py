"""Writing objects of a store, so that readers see each of them whole or not at all.

The stores' client ends an upload when its stream is closed, also by an error, and has no way to break one off; Azure's
empties the object of that name when it is opened. So the bytes go to a name beside the object first, and are copied
within the store once all of them are there.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import SourceError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ["Write", "writing_object"]

_MOST_BYTES: Final = {"s3": 5 << 30}
"""Of an object that a store copies at once. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""


class Write(Protocol):
    """Writes bytes."""

    def __call__(self, data: bytes, /) -> object:
        """Write some."""
        ...


@contextmanager
def writing_object(store: "FileSystem", path: str) -> Iterator[Write]:
    """Write an object for a ``with`` block; it is there when the block has ended.

    Args:
        store: Of whichever kind. The object of before stays if the block fails; a process that is killed leaves at most
            an object ``.NAME.*.part`` beside it, or an upload that nobody sees.
        path: The object's key, with the bucket.

    Raises:
        OSError: The store did not take it.
        SourceError: It is larger than what the store copies; raised by the write that makes it so.
    """
    folder, _, name = path.rpartition("/")
    part = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
    most, size = _MOST_BYTES.get(store.type_name), 0
    try:
        with store.open_output_stream(part, compression=None) as out:

            def write(data: bytes) -> None:
                nonlocal size
                size += len(data)
                if most is not None and size > most:
                    raise SourceError(
                        f"an object of more than {most:,} bytes cannot be put into place at once by this store",
                        where=path,
                        next_step="write several smaller ones: a table is published by day, or by added rows",
                    )
                out.write(data)

            yield write
        store.copy_file(part, path)
    finally:
        with suppress(OSError):  # it may never have come to be, and what is left of it is no object that anyone reads
            store.delete_file(part)
