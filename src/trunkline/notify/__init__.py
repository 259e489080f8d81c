"""Who is told what becomes of runs, gates and alerts: which notices there are, for whom, in which words, by which way.

Read downwards: ``notices`` makes them from the platform's records, ``choosing`` decides who is told what now,
``words`` puts it into words, ``sending`` is the door to Apprise, and ``cloud_events`` the form for machines. The state
is kept by the caller (:mod:`trunkline.run.notifying`). ``contacts`` decides who of an audience is sent a message.
"""

from trunkline.notify.choosing import Choice, choose, wants
from trunkline.notify.cloud_events import cloud_event, event_bytes
from trunkline.notify.contacts import REASONS, decided, message_id
from trunkline.notify.notices import SEVERITIES, Notice, notice_of_alert, notice_of_audience, notice_of_run
from trunkline.notify.sending import Sender
from trunkline.notify.words import Words, words_of

__all__ = [
    "REASONS",
    "SEVERITIES",
    "Choice",
    "Notice",
    "Sender",
    "Words",
    "choose",
    "cloud_event",
    "decided",
    "event_bytes",
    "message_id",
    "notice_of_alert",
    "notice_of_audience",
    "notice_of_run",
    "wants",
    "words_of",
]
