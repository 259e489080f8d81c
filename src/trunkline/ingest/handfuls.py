"""Handfuls of small files, each taken by one thread: read, judged, looked through for repeated keys, and staged.

Takes files with the batches that they are, and writes down in each of them what is found. Files that begin alike are
parsed and judged as one; which row is of which file is remembered beside them.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, resolve_columns
from trunkline.errors import SchemaError, SourceError
from trunkline.ingest.committing import lake_rows_of
from trunkline.ingest.files import open_file
from trunkline.ingest.formats.alike import FirstLines, PlainCsv, read_alike
from trunkline.ingest.identity import Batch, Target
from trunkline.ingest.judged import BLOCK_BYTES, Block, FileJudge, blocks, no_rows
from trunkline.ingest.privacy import protection
from trunkline.ingest.raw import MalformedLine
from trunkline.ingest.repeats import KeyOrder, Keys
from trunkline.lake import Lake, StagedRows
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["Handfuls", "SmallFile"]

_FILE: Final = "_file"
_MOST_ROWS: Final = 1 << 17
"""Rows of one file; with more it is no small one."""


@dataclass
class SmallFile:
    """A small file, and what is found of it.

    Attributes:
        path: The file.
        batch: The batch that it is.
        size: In bytes.
        malformed: Lines that are no rows.
        absent: Nullable fields that it lacks.
        extra: Its columns that no field claims.
        read: Its rows, malformed lines included.
        good: Rows that broke nothing.
        accepted: Those of them that repeat no key.
        reasons: How many rows failed for each reason.
        refused: Its refused rows.
        error: Why nothing of it can be taken.
        is_large: Whether it has more rows than its size tells, so that it is to be taken alone.
    """

    path: Path
    batch: Batch
    size: int
    malformed: Sequence[MalformedLine] = ()
    absent: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    read: int = 0
    good: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused: "list[pa.RecordBatch]" = field(default_factory=list)
    error: SourceError | SchemaError | None = None
    is_large: bool = False


@dataclass
class _Together:
    """Rows of several files of a handful, with one header: whose they are, their numbers there, and their texts."""

    judge: FileJudge
    files: "list[npt.NDArray[np.int64]]" = field(default_factory=list)
    numbers: "list[npt.NDArray[np.int64]]" = field(default_factory=list)
    texts: "list[pa.Table]" = field(default_factory=list)
    size: int = 0

    def add(self, place: int, part: Block) -> None:
        """Take a block of one file."""
        import numpy as np

        self.files.append(np.full(len(part.numbers), place, dtype=np.int64))
        self.numbers.append(part.numbers.to_numpy())
        self.texts.append(part.texts)
        self.size += part.texts.nbytes


class Handfuls:
    """Takes handfuls of files of one target. Threads may share it.

    Args:
        target: Where they go.
        lake: The lake, with its engine.
        mapping: Source column to field name, from the user.
        limits: How long, wide and large a file may be.
        staged: Takes the good rows.
    """

    def __init__(
        self,
        target: Target,
        *,
        lake: Lake,
        mapping: Mapping[str, str] | None,
        limits: IngestSettings,
        staged: StagedRows,
    ) -> None:
        self._contract, self._mapping, self._limits, self._staged = target.contract, mapping, limits, staged
        self._keys = Keys(target.contract, engine=lake.engine, batch=_FILE)
        self._protect = protection(target.contract, lake=lake)
        self._first_lines = FirstLines(limits)
        self._judges: dict[tuple[str, ...], FileJudge] = {}

    @staticmethod
    def of(files: Iterable[SmallFile]) -> Iterator[list[SmallFile]]:
        """Put files together that are some megabytes."""
        handful: list[SmallFile] = []
        size = 0
        for one in files:
            handful.append(one)
            size += one.size
            if size >= BLOCK_BYTES:
                yield handful
                handful, size = [], 0
        if handful:
            yield handful

    def take(self, files: Sequence[SmallFile]) -> None:
        """Read and judge files, stage their good rows, and note the rest in them.

        Raises:
            OSError: The store refused.
        """
        for together in self._read(files):
            self._judged(together, files)

    def _read(self, files: Sequence[SmallFile]) -> Iterator[_Together]:
        """Read the files; gives their rows by header."""
        plain: dict[tuple[tuple[str, ...], str], list[tuple[int, PlainCsv]]] = defaultdict(list)
        waiting: dict[tuple[str, ...], _Together] = {}
        others: list[int] = []
        for place, one in enumerate(files):
            try:
                known = self._first_lines.plain(one.path)
                if known is None:
                    others.append(place)
                    continue
                self._judge_of(known.header, one)
            except (SourceError, SchemaError) as error:
                one.error = error
                continue
            plain[known.header, known.delimiter].append((place, known))
        for (header, _), alike in plain.items():
            texts = read_alike([known for _, known in alike])
            if texts is None:
                others += [place for place, _ in alike]
            else:
                yield self._alike(self._judges[header], texts, {place: known.rows for place, known in alike}, files)
        for place in sorted(others):
            one = files[place]
            try:
                opened = open_file(one.path, limits=self._limits)
                judge = self._judge_of(opened.header, one)
                parts = list(islice(blocks(opened, enough_rows=_MOST_ROWS), 2))
            except (SourceError, SchemaError) as error:
                one.error = error
                continue
            if len(parts) > 1:  # it was packed, or its rows are many: not worth a handful
                one.is_large = True
                continue
            one.malformed = opened.malformed
            one.read = sum(len(part.numbers) for part in parts) + len(opened.malformed)
            one.reasons.update(line.reason for line in opened.malformed)
            if not one.read:
                one.error = no_rows(one.path)
            for part in parts:
                together = waiting.setdefault(opened.header, _Together(judge))
                together.add(place, part)
                if together.size >= BLOCK_BYTES:
                    yield waiting.pop(opened.header)
        yield from waiting.values()

    @staticmethod
    def _alike(judge: FileJudge, texts: "pa.Table", rows: Mapping[int, int], files: Sequence[SmallFile]) -> _Together:
        import numpy as np

        for place, count in rows.items():
            files[place].read = count
        counts = list(rows.values())
        file_of = np.repeat(np.array(list(rows), dtype=np.int64), counts)
        numbers = [np.arange(1, count + 1, dtype=np.int64) for count in counts]
        return _Together(judge, [file_of], [np.concatenate(numbers)], [texts])

    def _judge_of(self, header: tuple[str, ...], one: SmallFile) -> FileJudge:
        judge = self._judges.get(header)
        if judge is None:
            resolution = resolve_columns(self._contract, header, mapping=self._mapping, where=str(one.path))
            judge = self._judges[header] = FileJudge(self._contract, header, resolution, protect=self._protect)
        one.absent, one.extra = judge.resolution.absent, judge.resolution.extra
        return judge

    def _judged(self, together: _Together, files: Sequence[SmallFile]) -> None:
        """Judge rows; their ``_row`` is their place among all of them until they are staged."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        file_of, number_of = np.concatenate(together.files), np.concatenate(together.numbers)
        places = pa.array(np.arange(len(file_of), dtype=np.int64))
        verdicts = together.judge.judge(Block(places, pa.concat_tables(together.texts)))
        good = verdicts.good
        owners = file_of[good.column(ROW).to_numpy()]
        for place, count in enumerate(np.bincount(owners, minlength=len(files)).tolist()):
            files[place].good += count
        keyed = good.append_column(_FILE, pa.array(owners))
        if not KeyOrder.of(keyed, tuple(self._keys.names)).is_growing:
            doomed = self._keys.repeats([(keyed, self._keys.marks(keyed))])
            if doomed is not None:
                is_kept = pc.invert(pc.is_in(good.column(ROW), value_set=doomed))
                good, owners = good.filter(is_kept), owners[is_kept.to_numpy()]
        for place, count in enumerate(np.bincount(owners, minlength=len(files)).tolist()):
            files[place].accepted += count
        numbers = pa.array(number_of[good.column(ROW).to_numpy()])
        batches = {place: one.batch for place, one in enumerate(files)}
        self._staged.write(lake_rows_of(good.set_column(0, ROW, numbers), owners, batches))
        if verdicts.refused is not None:
            _put_aside(verdicts.refused, file_of, number_of, files)


def _put_aside(
    refused: "pa.RecordBatch",
    file_of: "npt.NDArray[np.int64]",
    number_of: "npt.NDArray[np.int64]",
    files: Sequence[SmallFile],
) -> None:
    """Give refused rows to their files, under their numbers there."""
    import numpy as np
    import pyarrow as pa

    places = refused.column("number").to_numpy()
    owners = file_of[places]
    numbered = refused.set_column(0, "number", pa.array(number_of[places]))
    for place, reasons in zip(owners.tolist(), refused.column("reasons").to_pylist(), strict=True):
        files[place].reasons.update(json.loads(reasons))
    for place in np.unique(owners).tolist():
        files[place].refused.append(numbered.filter(pa.array(owners == place)))
