"""A parallel scan: pages of all segments as they come, and where each segment stands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trunkline.ingest.sources.dynamodb.values import Typed, key_of, key_text

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["Places", "pages"]

_BEGIN: Final = None
_DONE: Final = "done"


@dataclass(frozen=True)
class Places:
    """Where each segment stands: not begun, done, or behind the item with a key.

    Attributes:
        segments: One value of JSON per segment.
    """

    segments: tuple[object, ...]

    @classmethod
    def fresh(cls, count: int) -> "Places":
        """Give the places of a scan that has not begun."""
        return cls((_BEGIN,) * count)

    @classmethod
    def read(cls, text: object, *, count: int) -> "Places | None":
        """Read what a position says; None where no scan of so many segments goes on."""
        found = json.loads(text) if isinstance(text, str) else None
        return cls(tuple(found)) if isinstance(found, list) and len(found) == count else None

    @property
    def text(self) -> str:
        """For a position."""
        return json.dumps(self.segments, separators=(",", ":"))

    def after(self, segment: int, key: Mapping[str, Typed] | None) -> "Places":
        """Give the places behind a page.

        Args:
            segment: Its segment.
            key: The last key that was looked at; None where the segment is through.
        """
        place = key_text(key) if key else _DONE
        return Places((*self.segments[:segment], place, *self.segments[segment + 1 :]))


def pages(
    client: "BaseClient", asked: Mapping[str, object], places: Places
) -> Iterator[tuple[Sequence[Mapping[str, Typed]], Places]]:
    """Scan a table; at most one page per segment is in memory.

    Args:
        client: Asks the table.
        asked: The parameters of a scan, without its segments.
        places: Where to begin.

    Yields:
        The items of a page, and where the segments stand behind it.
    """
    count = len(places.segments)

    def asking(segment: int, place: object) -> Mapping[str, object]:
        begin = {} if place is _BEGIN else {"ExclusiveStartKey": key_of(place)}
        found: Mapping[str, object] = client.scan(**asked, **begin, Segment=segment, TotalSegments=count)
        return found

    with ThreadPoolExecutor(max_workers=count) as pool:
        running: dict[Future[Mapping[str, object]], int] = {
            pool.submit(asking, segment, place): segment
            for segment, place in enumerate(places.segments)
            if place != _DONE
        }
        try:
            while running:
                first, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in first:
                    segment = running.pop(future)
                    answer = future.result()
                    key, items = answer.get("LastEvaluatedKey"), answer["Items"]
                    assert isinstance(items, list)
                    places = places.after(segment, key if isinstance(key, dict) else None)
                    if places.segments[segment] != _DONE:
                        running[pool.submit(asking, segment, places.segments[segment])] = segment
                    yield items, places
        finally:
            for future in running:
                future.cancel()
