"""Work on several threads: in order, and where the results are not taken to their end no thread goes on."""

import threading

from trunkline.ingest.in_order import in_order


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ingest")]


def test_no_thread_outlives_results_that_are_not_taken() -> None:
    made = in_order(iter(range(100)), lambda number: (number, threading.current_thread().name), threads=2)
    taken = [next(made), next(made)]
    assert [number for number, _ in taken] == [0, 1]
    assert all(name.startswith("ingest") for _, name in taken)
    assert names() != []
    made.close()
    assert names() == []
