"""The mapping file of a command: read once, and named when what it says does not fit the source."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from trunkline.errors import MappingError, TrunklineError

__all__ = ["mapping_of", "point_at_mapping"]


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
        point_at_mapping(error, path, mapping)
        raise


def point_at_mapping(error: TrunklineError, path: Path | None, mapping: Mapping[str, str]) -> None:
    """Name the mapping file where an error speaks of one of its lines; a declared source may map columns as well."""
    if isinstance(error, MappingError) and mapping.get(error.column) == error.field:
        error.where = f"{path}, for {error.where}" if error.where else str(path)
