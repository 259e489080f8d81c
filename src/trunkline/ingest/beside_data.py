"""Files that lie beside data and surely hold no rows, told by their names.

One list for all places where nobody names a file himself: the files of an archive, of a folder or of a glob, and those
that arrive in a watched folder. What is not on the list is data, whatever its suffix; a file that is named by whoever
hands it over is data, whatever its name.
"""

import re
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

from trunkline.ingest.byte_stream import PACKINGS
from trunkline.ingest.raw import FILE_SUFFIXES

__all__ = ["BESIDE", "NO_TEXT", "Beside", "beside_data"]

Beside = Literal[
    "hidden file",
    "unfinished file",
    "marker",
    "checksum",
    "signature",
    "readme or licence",
    "file of an operating system",
    "picture",
    "document",
]
"""What a file is that surely holds no rows."""

BESIDE: Final[tuple[Beside, ...]] = get_args(Beside)
"""All of them, in the order in which a name is held against them."""

NO_TEXT: Final[frozenset[Beside]] = frozenset({"marker", "checksum", "file of an operating system", "picture"})
"""Those that are no text of which a sender might mean rows, whatever the name: they may be deleted unread."""

_UNFINISHED: Final = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp")
_MARKERS: Final = ("_success", "_metadata", "_common_metadata")
_CHECKSUMS: Final = (".md5", ".sha1", ".sha224", ".sha256", ".sha384", ".sha512", ".sfv")
_SUMS: Final = re.compile(r"(?:md5|sha\d*|b2)sums?(?:\.txt)?|checksums?(?:\.txt)?")
_SIGNATURES: Final = (".asc", ".sig", ".minisig", ".p7s")
_OF_SYSTEMS: Final = ("thumbs.db", "desktop.ini", "icon\r", "icon\N{REPLACEMENT CHARACTER}")
_FOLDERS_OF_SYSTEMS: Final = ("__macosx", "$recycle.bin", "system volume information", "lost+found")
_ABOUT: Final = re.compile(
    r"(?:readme(?![^\W\d_])[^.]*(?:\.[a-z]{2})?|licen[cs]e|copying)(?:\.(?:txt|md|rst|html?|rtf|pdf))?"
    r"|(?:notice|changelog)(?:\.(?:md|rst|html?|rtf|pdf))?"  # tables are named so, too, and a .txt may be one
)
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".bmp", ".tif", ".tiff", ".webp", ".ico")
_DOCUMENTS: Final = (".md", ".rst", ".pdf", ".doc", ".docx", ".rtf", ".odt", ".ppt", ".pptx", ".odp")


def beside_data(name: str) -> Beside | None:
    """Say what a file is that surely holds no rows; None for one that may hold some.

    Args:
        name: Its name, with the folders above it as far as they belong to what was handed over.

    >>> [beside_data(name) for name in ("day/README.md", "a.csv.sha256", "__MACOSX/day/a.csv", "a.csv.gz.asc")]
    ['readme or licence', 'checksum', 'file of an operating system', 'signature']
    >>> [beside_data(name) for name in ("README_first.txt", "README.en.md.gz", "readme1", "NOTICE", "changelog.md")]
    ['readme or licence', 'readme or licence', 'readme or licence', 'readme or licence', 'readme or licence']
    >>> [beside_data(name) for name in ("a.dat", "A2026.1200+0200_N1", "readme.dat", "licences.txt", "grid.asc")]
    [None, None, None, None, None]

    Words that only begin alike, and words that tables are named by, are no such names:

    >>> {beside_data(name) for name in ("ReadMetrics_20260202.txt", "readmeters", "readmetrics_n1.txt.gz", "readmeß")}
    {None}
    >>> {beside_data(name) for name in ("notice.txt", "changelog.txt.gz", "notices.txt", "checksums_n1.txt", "md5.csv")}
    {None}
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/").lower()).parts if part not in ("/", "..")]
    if not parts or any(part in _FOLDERS_OF_SYSTEMS for part in parts[:-1]) or parts[-1] in _OF_SYSTEMS:
        return "file of an operating system"
    if any(part.startswith(".") for part in parts) or parts[-1].startswith("~"):
        return "hidden file"
    return _of_name(parts[-1])


def _of_name(name: str) -> Beside | None:
    plain, dot, suffix = name.rpartition(".")
    suffix = f".{suffix}" if dot and plain else ""
    if suffix in PACKINGS:  # README.md.gz
        inner = _of_name(plain)
        return inner if inner in ("readme or licence", "document") else None
    if suffix in _UNFINISHED:
        return "unfinished file"
    if suffix == ".done" or name in _MARKERS:
        return "marker"
    if suffix in _CHECKSUMS or _SUMS.fullmatch(name):
        return "checksum"
    if suffix in _SIGNATURES and (f".{plain.rpartition('.')[2]}" in (*FILE_SUFFIXES, *PACKINGS) or _of_name(plain)):
        return "signature"
    if _ABOUT.fullmatch(name):
        return "readme or licence"
    if suffix in _PICTURES:
        return "picture"
    return "document" if suffix in _DOCUMENTS else None
