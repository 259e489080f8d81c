"""The process in which a spreadsheet is read: run as a file of its own, with limited memory, and knowing nothing else.

Arguments: the file, the sheet's name (empty: the first), memory (MiB), size of the output (MiB). Gives one JSON array
per row on standard output, of texts and nulls; a first line says ``{"sheets": [...]}``. Ends with 3 and
``{"error": ...}`` as the last line where the file cannot be read. A damaged or hostile file can make a reader abort or
take all memory; here it takes this process with it, and nothing else.
"""

import json
import sys
from datetime import date, datetime, time, timedelta

_WHOLE_BELOW = 1e15


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if abs(value) < _WHOLE_BELOW and value == int(value) else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    return None if value is None else str(value)


def _limit_memory(mebibytes: int) -> None:
    try:
        import resource
    except ImportError:  # not on this system; the file's size is limited all the same
        return
    resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


def main() -> int:
    """Read one sheet."""
    path, sheet, memory, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) << 20
    _limit_memory(memory)
    try:
        from python_calamine import CalamineWorkbook

        book = CalamineWorkbook.from_path(path)
        names = book.sheet_names
        _say({"sheets": names})
        if sheet and sheet not in names:
            return 0
        for row in book.get_sheet_by_name(sheet or names[0]).iter_rows():
            texts = [_text(value) for value in row]
            while texts and texts[-1] is None:
                texts.pop()
            if texts:
                line = json.dumps(texts)
                size -= len(line)
                if size < 0:
                    _say({"error": "too large"})
                    return 3
                sys.stdout.write(line + "\n")
    except BaseException as error:  # noqa: BLE001 - a panic of the reader is no Exception
        _say({"error": type(error).__name__})
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
