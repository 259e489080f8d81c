"""Durable logs behind one protocol. Embedded here: one SQLite file."""

from trunkline.brokers.embedded import EmbeddedLog
from trunkline.brokers.group_commit import GroupCommit
from trunkline.brokers.protocol import Broker, Capabilities, Message, Record, Trimmed

__all__ = ["Broker", "Capabilities", "EmbeddedLog", "GroupCommit", "Message", "Record", "Trimmed"]
