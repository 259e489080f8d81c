"""A person's records taken out of the durable log."""

import json
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from trunkline.errors import UnavailableError
from trunkline.run.erasing.theirs import Found, Part, is_of
from trunkline.run.wanted import Wanted

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["erase_log"]

_RAW_TOPICS: Final = "ingest."
_FLUSH_S: Final = 30.0
_LOOK_S: Final = 0.2


def erase_log(workspace: "Workspace", keyed: dict[str, Part], wanted: Wanted, found: Found, *, seals: bool) -> None:
    """Take the person's records out of the durable log, and let a running server finish what it has read of it.

    Args:
        workspace: The workspace.
        keyed: Where the keys of a use case's entities hold the identifier, by use case.
        wanted: Whom to erase.
        found: Counts the records.
        seals: Whether the log is encrypted.

    Raises:
        UnavailableError: The server did not bring its log into the lake in time.
    """
    from trunkline.brokers import EmbeddedLog

    path = workspace.root / "log" / "log.db"
    if not path.exists():
        return

    def without(message: bytes, is_theirs: Callable[[object], bool]) -> bytes:
        lines = message.split(b"\n")
        kept = [line for line in lines if not (line and is_theirs(json.loads(line)))]
        return message if len(kept) == len(lines) else b"\n".join(kept)

    def records(topic: str) -> Callable[[object], bool]:
        """Say which lines of a topic are the person's: of answers and outcomes by key, of what came in by any cell."""
        if topic.startswith(_RAW_TOPICS):
            return wanted.sought.is_in
        return lambda record: isinstance(record, dict) and is_of(record, keyed, wanted)

    log = EmbeddedLog(path, settings=workspace.settings.broker, clock=workspace.clock, keys=workspace.keys, seals=seals)
    try:
        ends = {topic: log.end(topic) for topic in log.topics()}
        for topic in ends:
            found.log_records += log.erase(topic, partial(without, is_theirs=records(topic)))
        until = monotonic() + _FLUSH_S
        while workspace.is_flushing() and any(log.committed(topic, group="lake") < end for topic, end in ends.items()):
            if monotonic() > until:
                raise UnavailableError(
                    "the running server does not bring its log into the lake", next_step="see its log, then try again"
                )
            sleep(_LOOK_S)
    finally:
        log.close()
