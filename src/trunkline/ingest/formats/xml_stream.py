"""XML parsed as it streams by, hardened: no entities but the five of XML itself, nothing external, all bounded.

Expat does the parsing. A declaration of an entity ends it at once, so no text can multiply. What is not yet finished
(a tag, a comment), texts, depth, and the number of different names are held against limits, because Expat keeps them.
"""

from collections.abc import Iterator
from typing import Final, NoReturn, Protocol
from xml.parsers import expat

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import ByteStream
from trunkline.ingest.raw import truncated

__all__ = ["Handler", "local_name", "parse"]

_CHUNK_BYTES: Final = 1 << 18
_DEEPEST: Final = 64
_MOST_HELD: Final = 20_000


class Handler(Protocol):
    """Takes what is parsed.

    Attributes:
        text: Pieces of text since it was last emptied.
        depth: How many elements are open; kept by ``start`` and ``end``.
        held: How many names or values it keeps, that a hostile file may multiply.
    """

    text: list[str]
    depth: int

    @property
    def held(self) -> int:
        """See above."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, tag: str) -> None:
        """An element ends."""


def parse(source: ByteStream, handler: Handler) -> Iterator[None]:
    """Parse a file, and give control back after each piece of it.

    Raises:
        SourceError: Not well-formed, truncated, with entities of its own, or beyond the limits.
    """

    def refuse(*_: object) -> NoReturn:
        raise SourceError(
            "the XML declares entities of its own",
            where=str(source.path),
            next_step="export it without a document type; such files are used to exhaust memory",
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text.append
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    fed = 0
    try:
        with source.stream() as stream:
            while block := stream.read(_CHUNK_BYTES):
                parser.Parse(block, False)
                fed += len(block)
                _hold(source, handler, fed - parser.CurrentByteIndex)
                yield
            parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        raise truncated(source.path, f"line {error.lineno}: {expat.ErrorString(error.code)}") from None
    except (LookupError, UnicodeError, ValueError):
        raise truncated(source.path, "its encoding is unknown or broken") from None
    except OSError as error:
        raise truncated(source.path, str(error)) from error
    finally:
        # the parser holds the handler, and the handler's methods hold it
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None


def _hold(source: ByteStream, handler: Handler, unfinished: int) -> None:
    text = sum(map(len, handler.text))
    if max(unfinished, text) > source.longest_record + _CHUNK_BYTES:
        raise truncated(source.path, f"a text or a tag is longer than {source.limits.max_record_mb} MiB")
    if handler.depth > _DEEPEST:
        raise truncated(source.path, "it is nested too deeply")
    if handler.held > max(_MOST_HELD, 2 * source.limits.max_columns):
        raise truncated(source.path, "it has too many different names, or values of one object")


def local_name(tag: str) -> str:
    """Give a tag without its prefix."""
    return tag.rpartition(":")[2]
