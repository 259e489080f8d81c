"""What a file holds, counted over all its rows in bounded memory, and looked at in a sample.

Takes a file and the guesses of its columns, gives the profile that :mod:`trunkline.report.profile` renders. The file is
read once more, block by block, into the engine, which spills to disk; counts are of all rows, quantiles and histograms
of a sample that depends on the rows alone, so that the same file gives the same page.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks.typed import grammar_of, typed_value
from trunkline.contracts.contract import NULL_TOKENS
from trunkline.contracts.judging import value_of
from trunkline.contracts.kinds import GRAMMAR, WHITE_SPACE, KindName, Malformed
from trunkline.plugins.guessing import Guess
from trunkline.plugins.keys import IDENTIFIER
from trunkline.report.profile import ColumnProfile

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.ingest.files import RawFile

__all__ = ["SAMPLE_CELLS", "SAMPLE_ROWS", "Profiled", "profile_columns"]

SAMPLE_ROWS: Final = 100_000
"""Most rows of the sample."""

SAMPLE_CELLS: Final = 4_000_000
"""Most values of the sample; a wide file has fewer rows in it."""

_MEMORY_MB: Final = 1024
_COLUMNS_AT_ONCE: Final = 100
_BINS: Final = 24
_MOST_TOP: Final = 12
_SPREAD: Final = 2_654_435_761
"""Multiplier of Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): spreads row numbers evenly."""

_QUANTILES: Final = (("5 %", 0.05), ("Median", 0.5), ("95 %", 0.95))
_FORMS: Final = (
    ("2026-11-22", re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")),
    ("20261122", re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])")),
    ("22.11.2026", re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}([T ].*)?")),
    ("22/11/2026 or 11/22/2026", re.compile(r"\d{1,2}/\d{1,2}/\d{4}([T ].*)?")),
    ("2026/11/22", re.compile(r"\d{4}/\d{2}/\d{2}([T ].*)?")),
    ("22-Nov-2026", re.compile(r"\d{1,2}[- ][A-Za-z]{3}[- ]\d{2,4}([T ].*)?")),
)
_COMMA: Final = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+")
_NUMBER: Final = re.compile(GRAMMAR["number"])


@dataclass(frozen=True)
class Profiled:
    """A file that was looked at.

    Attributes:
        rows: Its rows.
        malformed: Lines that are no rows.
        sampled: Rows of the sample.
        columns: One profile per guess.
        keys: Columns without a null or a repetition in all rows.
        unidentified: Rows that repeat the key that was asked about, or lack a part of it.
    """

    rows: int
    malformed: int
    sampled: int
    columns: tuple[ColumnProfile, ...]
    keys: tuple[str, ...]
    unidentified: int = 0


@dataclass(frozen=True)
class _Counts:
    """What was counted of a column over all rows."""

    nulls: int
    distinct: int
    is_exact: bool
    unfit: int
    low: str
    high: str
    mean: float | None
    shortest: int
    longest: int


def profile_columns(
    source: Path,
    found: Sequence[Guess],
    *,
    key: Sequence[Guess] = (),
    threads: int | None = None,
    scratch: Path | None = None,
) -> Profiled:
    """Look at all rows of a file.

    Args:
        source: A file of a known form.
        found: Guesses of its columns, in its order.
        key: Those of them that are to identify a row together.
        threads: Threads of the engine; None takes all cores.
        scratch: Where the engine puts what does not fit in memory; None takes the system's folder for such files.

    Raises:
        SourceError: The file cannot be read whole.
    """
    import ibis
    import pyarrow as pa

    from trunkline.engine import open_engine
    from trunkline.ingest import open_file

    opened = open_file(source)
    names = [f"c{number}" for number in range(len(found))]
    schema = pa.schema([("_row", pa.int64()), *((name, pa.string()) for name in names)])
    with (
        tempfile.TemporaryDirectory(prefix="trunkline-profile-", dir=scratch) as folder,
        open_engine("duckdb", memory_limit_mb=_MEMORY_MB, threads=threads, temp_dir=Path(folder)) as engine,
    ):
        kept = engine.table(pa.RecordBatchReader.from_batches(schema, _numbered(opened, schema)))
        rows = int(engine.arrow(kept.aggregate(rows=kept.count())).column("rows")[0].as_py())
        most = max(1, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, len(found))))
        place = (kept["_row"] * ibis.literal(_SPREAD)) % ibis.literal(1 << 32)
        part = kept if rows <= most else kept.order_by([place, kept["_row"]]).limit(most)
        sample = engine.arrow(part.order_by("_row").select(*names))
        counts: list[_Counts] = []
        for begin in range(0, len(found), _COLUMNS_AT_ONCE):
            some = list(zip(names, found, strict=True))[begin : begin + _COLUMNS_AT_ONCE]
            (row,) = engine.arrow(kept.aggregate(**_questions(kept, some))).to_pylist()
            counts += [_counts(row, name, guess) for name, guess in some]
        parts = [name for name, guess in zip(names, found, strict=True) if guess in key]
        unidentified = rows - int(engine.arrow(_identified(kept, parts)).column("rows")[0].as_py()) if parts else 0
    columns = tuple(
        _column(guess, counted, sample.column(name).to_pylist(), rows)
        for name, guess, counted in zip(names, found, counts, strict=True)
    )
    keys = tuple(
        guess.source
        for guess, counted in zip(found, counts, strict=True)
        if guess.unique and counted.is_exact and counted.nulls == 0 and counted.distinct == rows
    )
    return Profiled(rows, len(opened.malformed), sample.num_rows, columns, keys, unidentified)


def _numbered(opened: "RawFile", schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    after = 1
    for batch in opened.batches:
        numbers = pa.array(range(after, after + batch.num_rows), pa.int64())
        after += batch.num_rows
        yield pa.RecordBatch.from_arrays(
            [numbers, *(column.cast(pa.string()) for column in batch.columns)], schema=schema
        )


def _identified(rows: "ir.Table", parts: Sequence[str]) -> "ir.Table":
    """Count the different keys that have all their parts."""
    whole = rows.select(**{name: _present(rows, name) for name in parts}).drop_null().distinct()
    return whole.aggregate(rows=whole.count())


def _present(rows: "ir.Table", name: str) -> "ir.StringValue":
    """A text without white space around it; null where it means null."""
    text = rows[name].strip()
    return (rows[name].isnull() | text.isin(list(NULL_TOKENS))).ifelse(None, text)


def _questions(rows: "ir.Table", some: Sequence[tuple[str, Guess]]) -> "dict[str, ir.Scalar]":
    asked: dict[str, ir.Scalar] = {}
    for name, guess in some:
        present = _present(rows, name)
        asked[f"{name}_nulls"] = present.isnull().sum()
        asked[f"{name}_distinct"] = present.nunique() if guess.unique else present.approx_nunique()
        asked[f"{name}_shortest"] = present.length().min()
        asked[f"{name}_longest"] = present.length().max()
        grammar = grammar_of(guess.column)
        if guess.kind == "category":
            asked[f"{name}_unfit"] = present.notin(list(guess.values)).sum()
        elif grammar is not None:
            asked[f"{name}_unfit"] = (~present.re_search(grammar)).sum()
        if guess.form:
            value = typed_value(guess.column, present)
            asked |= {f"{name}_low": value.min(), f"{name}_high": value.max()}
            asked |= {f"{name}_mean": value.mean()} if guess.kind in ("integer", "number") else {}
        elif guess.kind in ("integer", "number"):
            number = present.try_cast("float64")
            asked |= {f"{name}_low": number.min(), f"{name}_high": number.max(), f"{name}_mean": number.mean()}
        elif guess.kind in ("day", "instant") and grammar is not None:
            fitting = present.re_search(grammar).ifelse(present, None)
            asked |= {f"{name}_low": fitting.min(), f"{name}_high": fitting.max()}
    return asked


def _counts(row: dict[str, object], name: str, guess: Guess) -> _Counts:
    def whole(what: str) -> int:
        return int(str(row.get(f"{name}_{what}") or 0))

    mean = row.get(f"{name}_mean")
    return _Counts(
        nulls=whole("nulls"),
        distinct=whole("distinct"),
        is_exact=guess.unique,
        unfit=whole("unfit"),
        low=_ending(row.get(f"{name}_low"), guess),
        high=_ending(row.get(f"{name}_high"), guess),
        mean=mean if isinstance(mean, float) else None,
        shortest=whole("shortest"),
        longest=whole("longest"),
    )


def _column(guess: Guess, counts: _Counts, sample: Sequence[str | None], rows: int) -> ColumnProfile:
    trimmed = [value.strip(WHITE_SPACE) for value in sample if value is not None]
    present = [value for value in trimmed if value not in NULL_TOKENS]
    different = set(present)
    is_whole = len(sample) == rows  # the sample is all rows: what is counted in it is exact
    personal = guess.personal or ("identifier" if guess.unique or IDENTIFIER.search(guess.name) else "")
    shows = not personal
    numbers = _numbers(guess, present) if shows else []
    top: tuple[tuple[str, int], ...] = ()
    if shows and guess.kind in ("category", "flag"):
        counted = Counter(value for value in present if guess.kind == "flag" or value in guess.values)
        top = tuple(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_TOP])
    return ColumnProfile(
        source=guess.source,
        name=guess.name,
        kind=guess.kind,
        nulls=counts.nulls,
        distinct=len(different) if is_whole else counts.distinct,
        is_distinct_exact=is_whole or counts.is_exact,
        personal=personal,
        low=counts.low if shows else "",
        high=counts.high if shows else "",
        mean=_shown(counts.mean) if shows else "",
        quantiles=_quantiles(guess.kind, numbers),
        bins=_bins(numbers),
        top=top,
        lengths=(counts.shortest, counts.longest) if guess.kind == "text" and present else None,
        unfit=counts.unfit,
        suspicions=tuple(_suspicions(guess, counts, sample, present, different, rows)),
    )


def _numbers(guess: Guess, present: Sequence[str]) -> list[float]:
    if guess.kind not in ("integer", "number", "day", "instant"):
        return []
    found = []
    for text in present:
        try:
            value = value_of(guess.column, text)
        except Malformed:
            continue
        if isinstance(value, datetime):
            found.append(value.timestamp())
        elif isinstance(value, date):
            found.append(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
        else:
            found.append(float(value))
    return sorted(found)


def _quantiles(kind: KindName, numbers: Sequence[float]) -> tuple[tuple[str, str], ...]:
    if not numbers:
        return ()
    last = len(numbers) - 1
    values = [(name, numbers[round(share * last)]) for name, share in _QUANTILES]
    if kind == "day":
        return tuple((name, f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d}") for name, value in values)
    if kind == "instant":
        return tuple((name, f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M}") for name, value in values)
    return tuple((name, _shown(value)) for name, value in values)


def _bins(numbers: Sequence[float]) -> tuple[int, ...]:
    """Count by equal intervals between the 1 % and the 99 % quantile; what lies outside counts at the ends."""
    if len(numbers) < 2:
        return ()
    last = len(numbers) - 1
    low, high = numbers[round(0.01 * last)], numbers[round(0.99 * last)]
    if not low < high:
        return ()
    counts = [0] * _BINS
    for value in numbers:
        counts[min(_BINS - 1, max(0, int((value - low) / (high - low) * _BINS)))] += 1
    return tuple(counts)


def _suspicions(
    guess: Guess,
    counts: _Counts,
    sample: Sequence[str | None],
    present: Sequence[str],
    different: Collection[str],
    rows: int,
) -> Iterator[str]:
    if counts.nulls == rows:
        yield "it has no value at all"
        return
    if counts.nulls > rows / 2:
        yield f"{counts.nulls / rows:.0%} of the rows have no value"
    if max(counts.distinct, len(different)) == 1 and rows > 1:
        yield "all values are the same"
    if counts.unfit:
        what = "values that its list does not have" if guess.kind == "category" else f"values that are no {guess.kind}"
        yield f"{counts.unfit:,} {what}: they would be quarantined"
    forms = [name for name, pattern in _FORMS if any(pattern.fullmatch(value) for value in different)]
    dated = sum(any(pattern.fullmatch(value) for _, pattern in _FORMS) for value in different)
    if len(forms) > 1 and dated > len(different) / 2:
        yield f"days are written in several forms: {', '.join(forms)}"
    elif guess.unsure:
        yield f"values may be written {guess.unsure}, and none tells which"
    if guess.kind in ("text", "category") and not guess.unsure:
        yield from _odd_texts(present, different, is_key=guess.unique)
    spaced = [value.strip(WHITE_SPACE) for value in sample if value is not None and value != value.strip(WHITE_SPACE)]
    blank = sum(value == "" for value in spaced)
    if blank:
        yield f"{blank:,} values of the sample are white space alone, taken as missing"
    if blank < len(spaced):
        yield f"{len(spaced) - blank:,} values of the sample have white space around them"


def _odd_texts(present: Sequence[str], different: Collection[str], *, is_key: bool) -> Iterator[str]:
    numeric = sum(bool(_NUMBER.fullmatch(value)) for value in present)
    codes = sum(value.startswith("0") and value.isdigit() and len(value) > 1 for value in present)
    if not codes and 0.8 * len(present) <= numeric < len(present):
        yield f"{len(present) - numeric:,} of {len(present):,} values of the sample are no numbers, the others are"
    if len(different) > 1 and all(_COMMA.fullmatch(value) for value in different):
        yield "numbers are written with a decimal comma"
    if codes and not is_key:
        yield "numbers with leading zeros: a code, kept as text"
    if not is_key and len(present) > 20 and len(different) >= 0.9 * len(present):
        yield f"nearly every value is new ({len(different):,} of {len(present):,}), but not every one"
    folded = {value.casefold() for value in different}
    if len(folded) < len(different) and len(different) <= 1000:
        yield f"{len(different) - len(folded):,} values differ from others only in upper and lower case"


def _ending(value: object, guess: Guess) -> str:
    """Write the smallest or largest value; days and instants come as texts in any form that a contract reads."""
    if not isinstance(value, str | date):
        return _shown(value)
    try:
        found = value_of(guess.column, value) if isinstance(value, str) else value
    except Malformed:
        return ""
    return f"{found:%Y-%m-%d %H:%M}" if isinstance(found, datetime) else str(found)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:,.6g}"
    return str(value)
