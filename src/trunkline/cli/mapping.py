"""The mapping file of a command: read once, and named when what it says does not fit the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trunkline.errors import MappingError

__all__ = ["mapping_of"]


@contextmanager
def mapping_of(path: Path | None) -> Iterator[dict[str, str]]:
    """Read a mapping file for a block that matches sources with it.

    Args:
        path: TOML file with a table ``columns`` of source column = field; None maps nothing.

    Raises:
        InputError: The file is missing or not of that form.
        MappingError: It names what is not there; raised in the block, and told here where it stands.
    """
    from trunkline.run import read_mapping

    mapping = read_mapping(path)
    try:
        yield mapping
    except MappingError as error:
        if mapping.get(error.column) == error.field:  # a declared source may map columns as well
            error.where = f"{path}, for {error.where}" if error.where else str(path)
        raise
