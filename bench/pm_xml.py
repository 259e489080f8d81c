"""How many measurement values per second are read out of a 3GPP measurement file, on one core.

Two made files in the two forms of TS 32.435, each with about two million values in 20,000 objects and 10 groups, plain
and gzip. What is timed is everything up to batches of text: both passes over the file. Medians of three.
"""

import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path

from trunkline.ingest import open_file
from trunkline.simulate.measurement_files import MeasurementFile, measurement_file

REPEATS = 3


def timed(path: Path) -> tuple[float, int]:
    """Read a file to its end; gives seconds and values."""
    started = time.perf_counter()
    opened = open_file(path)
    fixed = 10
    values = sum(batch.num_rows - column.null_count for batch in opened.batches for column in batch.columns[fixed:])
    return time.perf_counter() - started, values


def main() -> None:
    """Measure both forms."""
    with tempfile.TemporaryDirectory() as folder:
        for form in ("positions", "lists"):
            what = MeasurementFile(elements=20, groups=10, objects=100, counters=100, form=form)
            text = "".join(measurement_file(what))
            for case, path in ((form, Path(folder) / "pm.xml"), (f"{form}, gzip", Path(folder) / "pm.xml.gz")):
                path.write_bytes(gzip.compress(text.encode(), 6) if path.suffix == ".gz" else text.encode())
                timed(path)  # warms imports
                runs = [timed(path) for _ in range(REPEATS)]
                seconds, values = statistics.median(run[0] for run in runs), runs[0][1]
                said = {"bench": "pm_xml", "case": case, "values": values, "seconds": round(seconds, 2)}
                print(json.dumps({**said, "per_second": round(values / seconds)}), flush=True)


if __name__ == "__main__":
    main()
