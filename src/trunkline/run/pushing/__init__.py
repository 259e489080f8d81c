"""The subscriber of messages to customers: takes them from a Pub/Sub push or a webhook, and makes pushes of them.

Read downwards: ``tokens`` checks who sends, ``reading`` finds the messages in a request, ``ledger`` remembers what was
pushed, ``receiving`` decides and pushes, ``application`` is the HTTP around it.
"""

from trunkline.run.pushing.application import push_app
from trunkline.run.pushing.ledger import LEDGER, PushLedger
from trunkline.run.pushing.reading import messages_in
from trunkline.run.pushing.receiving import PushReceiver, Received
from trunkline.run.pushing.tokens import TokenCheck

__all__ = ["LEDGER", "PushLedger", "PushReceiver", "Received", "TokenCheck", "messages_in", "push_app"]
