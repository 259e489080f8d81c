"""One file behind an address, streamed to disk; again only when it changed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.byte_stream import PACKINGS, TAR_PACKINGS
from trunkline.ingest.raw import FILE_SUFFIXES
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.rest.calling import Caller
from trunkline.ingest.sources.rest.exchange import Asked, Timing, plain
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    import httpx2

__all__ = ["RestFile", "file_suffix"]

_PACKED: Final = tuple(PACKINGS)
_PACKED_TARS: Final = tuple(suffix for suffix, packing in TAR_PACKINGS.items() if packing is not None)
_GIB: Final = 1 << 30


def file_suffix(url: str) -> str:
    """Give the suffixes that tell a file's form, e.g. ``.csv`` or ``.json.gz``; empty where the address tells none.

    >>> file_suffix("https://host/export/Calls.CSV.gz?day=3")
    '.csv.gz'
    >>> file_suffix("https://host/v1/calls")
    ''
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(unquote(urlsplit(url).path)).suffixes[-2:]]
    if suffixes and suffixes[-1] in _PACKED:
        is_known = suffixes[-1] == ".zip" or (len(suffixes) > 1 and suffixes[-2] in FILE_SUFFIXES)
        return "".join(part for part in suffixes if part in FILE_SUFFIXES or part in _PACKED) if is_known else ""
    return suffixes[-1] if suffixes and suffixes[-1] in FILE_SUFFIXES else ""


class RestFile:
    """A file behind an address.

    Args:
        name: Its name.
        declared: What is said of it.
        timing: Clocks, sleep and chance.

    Raises:
        InputError: The address does not tell the form of the file.
    """

    def __init__(self, name: str, declared: RestSource, *, timing: Timing) -> None:
        self.name = name
        self._declared, self._timing = declared, timing
        self._suffix = file_suffix(declared.url)
        if not self._suffix:
            raise InputError(
                "the address does not tell the form of the file",
                where=plain(declared.url),
                allowed=FILE_SUFFIXES,
                next_step="name an address that ends in one of them, or say answer = 'records'",
            )
        Caller(declared, timing=timing).close()  # what cannot work is said now

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Fetch the file if it is new; see ``Source.pull``."""
        declared, known = self._declared, position or {}
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if known.get("etag"):
            headers["If-None-Match"] = str(known["etag"])
        elif known.get("modified"):
            headers["If-Modified-Since"] = str(known["modified"])
        asked = Asked(
            declared.url,
            method=declared.method,
            params=declared.params,
            headers=headers,
            json=declared.body,
            accepts=frozenset((304,)),
        )
        path = folder / f"file{self._suffix}"

        def fetch(response: "httpx2.Response") -> Position | None:
            if response.status_code == 304:
                return None
            said = response.headers.get("Content-Length", "")
            if said.isascii() and said.isdigit() and int(said[:18]) > declared.max_file_gib * _GIB:
                raise self._too_large()
            digest = hashlib.sha256()
            # such a file is itself what the header calls encoded
            packed = self._suffix.endswith((*_PACKED, *_PACKED_TARS))
            self._timed(response)
            # parts as they come: a block that fills slowly would hide how much came, and for how long
            parts = response.iter_raw() if packed else response.iter_bytes()
            written = 0
            with path.open("wb") as out:
                for part in parts:
                    written += len(part)
                    if written > declared.max_file_gib * _GIB:
                        raise self._too_large()
                    digest.update(part)
                    try:
                        out.write(part)
                    except OSError as error:
                        raise UnavailableError(
                            f"the disk did not take a file: {error.strerror}",
                            where=str(folder.parent),
                            next_step="make room on the disk; the next pull tries again",
                        ) from None
            return {
                "etag": response.headers.get("ETag"),
                "modified": response.headers.get("Last-Modified"),
                "content_sha256": digest.hexdigest(),
            }

        with Caller(declared, timing=self._timing) as caller:
            found = caller.ask(asked, fetch)
        if found is not None and found["content_sha256"] != known.get("content_sha256"):
            yield Pulled(path, origin=plain(declared.url), position=found)

    def _too_large(self) -> SourceError:
        return SourceError(
            f"the file is larger than {self._declared.max_file_gib:g} GiB",
            where=plain(self._declared.url),
            next_step="check the address, or raise `max_file_gib`",
        )

    def _timed(self, response: "httpx2.Response") -> None:
        """Watch the clock at everything that comes, before it is unpacked: each of many bytes may come in time."""
        import httpx2

        limit_s, monotonic = self._declared.file_timeout_s, self._timing.monotonic
        assert isinstance(response.stream, httpx2.SyncByteStream)
        stream: httpx2.SyncByteStream = response.stream
        where, begun_s = plain(self._declared.url), monotonic()

        class Timed(httpx2.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                for part in stream:
                    if monotonic() - begun_s > limit_s:
                        raise UnavailableError(
                            f"the file took longer than {limit_s:g} s",
                            where=where,
                            next_step="try again when the server is faster, or raise `file_timeout_s`",
                        )
                    yield part

            def close(self) -> None:
                stream.close()

        response.stream = Timed()
