"""One person erased from everything that a workspace keeps, and told where else they may be.

Goes by identifier type (``subscriber``, ``phone``): every column that a contract marks with it, in every dataset of
every installed use case. Covered are the datasets' tables, answers and outcomes, the quarantine, the durable log and
the raw copies in the landing zone; each is erased from all versions, whatever pins them. Raw copies are read, all of
them, because not every row of a file is in the lake. What cannot be erased is listed: models that learned from the
person's batches, files that were handed over and still lie where they lay, and the sources that had brought the person.

Killed on the way, the same call completes it: it looks for the person again, erases what is left, and lists what that
shows.

Read downwards: ``person`` is the order of it all, ``origins`` finds what brought the person and removes raw copies,
``log``, ``rows`` and ``archives`` erase what is theirs there, and ``theirs`` says what is theirs.
"""

from trunkline.run.erasing.person import CRASH_POINTS, erase_person
from trunkline.run.erasing.theirs import Erased

__all__ = ["CRASH_POINTS", "Erased", "erase_person"]
