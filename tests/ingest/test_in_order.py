"""Work on several threads: in order, and where the results are not taken to their end no thread goes on."""

import threading
from collections.abc import Iterator

import pytest

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


def test_little_is_taken_ahead() -> None:
    taken: list[int] = []

    def given() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    made = in_order(given(), lambda number: number, threads=2, ahead=4)
    for number in range(50):
        assert next(made) == number
        assert len(taken) <= number + 6, "four on their way, one more at hand"
    assert list(made) == list(range(50, 100))
    assert names() == []


def test_what_the_giving_raises_comes_after_the_results_before_it() -> None:
    def given() -> Iterator[int]:
        yield from range(5)
        raise OSError("broken off")

    made = in_order(given(), lambda number: number, threads=2)
    assert [next(made) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="broken off"):
        next(made)
    assert names() == []


def test_what_the_work_raises_ends_it() -> None:
    def work(number: int) -> float:
        return 1 / (number - 3)

    made = in_order(iter(range(100)), work, threads=2)
    with pytest.raises(ZeroDivisionError):
        list(made)
    assert names() == []
