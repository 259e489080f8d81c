"""What pseudonyms and encryption cost: one million rows in through each policy, tokens a second, MiB a second.

Run by ``make bench ONLY=privacy``. Prints JSON. CPU seconds are those of all threads of this process.
"""

import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from typing_extensions import Buffer

from trunkline.checks.sealing import SealedStream, Sealer
from trunkline.contracts import Contract, Integer, Pii, Table, Text, field
from trunkline.contracts.privacy import Kept
from trunkline.engine import open_engine
from trunkline.ingest import Target, ingest_file
from trunkline.lake import Keyring, Lake
from trunkline.settings import LakeSettings, PrivacySettings

ROWS: Final = 1_000_000
TOKENS: Final = 200_000
MIB: Final = 512


def contract_of(keep: Kept) -> type[Contract]:
    """A table of five columns whose key is a telephone number."""

    class Line(Contract):
        """One row per number."""

        table: ClassVar[Table] = Table(key=("msisdn",))
        msisdn: Text = field(pii=Pii("msisdn", keep=keep, country="49"))
        a: Integer = field()
        b: Integer = field()
        c: Integer = field()
        d: Integer = field()

    return Line


def now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def timed(work: Callable[[], object], units: int) -> dict[str, int]:
    """Units a second, by the clock and by the CPU."""
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "per_second": round(units / (time.perf_counter() - begun)),
        "per_cpu_second": round(units / (time.process_time() - cpu)),
    }


def main() -> None:
    """Measure."""
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers = {column: np.arange(ROWS) for column in "abcd"}
        rows = pa.table({"msisdn": [f"0170{number:07d}" for number in range(ROWS)], **numbers})
        pa_csv.write_csv(rows, folder / "lines.csv")
        policies: tuple[Kept, ...] = ("clear", "pseudonym", "encrypted")
        for keep in policies:
            root = folder / keep
            keys = Keyring(root, settings=PrivacySettings(), clock=now)
            engine = open_engine("duckdb", threads=len(os.sched_getaffinity(0)))
            lake = Lake(root / "lake", engine=engine, settings=LakeSettings(), clock=now, keys=keys)
            target = Target("bench", "lines", contract_of(keep))
            taking = partial(ingest_file, folder / "lines.csv", target, lake=lake, run_id="bench", clock=now)
            found[f"ingest, {keep}, rows"] = timed(taking, ROWS)
            engine.close()
        keys = Keyring(folder / "tokens", settings=PrivacySettings(), clock=now)
        sealer = Sealer(keys, purpose="bench")
        row = json.dumps({"line": "x" * 200})
        found["raw rows of 213 bytes sealed"] = timed(
            lambda: [sealer.seal_text(row, bound=f"batch|{number}") for number in range(TOKENS)], TOKENS
        )
        block = os.urandom(1 << 20)
        stream = SealedStream(_Nowhere(), keys, purpose="bench")
        found["raw copies sealed, MiB"] = timed(lambda: [stream.write(block) for _ in range(MIB)], MIB)
    print(json.dumps(found, indent=1))


class _Nowhere(io.BytesIO):
    def write(self, data: Buffer) -> int:
        return memoryview(data).nbytes


if __name__ == "__main__":
    main()
