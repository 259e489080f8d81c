"""The landing zone: every raw piece as it came, unchanged, so that it can be taken in again.

A piece is a file and, beside it, a record of where it came from. The record is written last, by one rename: a piece
has landed when its record is there, and a file without one is removed by :meth:`Landing.tidy`. Pieces of a pulled
source are numbered and carry the position from which the source goes on, so the landing zone is the write-ahead log of
every such source: what landed is taken in before anything more is asked for. Files that were handed over by their path
are kept by content, each once.

Where a contract protects personal data, the files are encrypted, each bound to what it is; :meth:`Landing.lent` gives
them in clear for as long as they are read.

Read downwards: ``records`` says what is written down of a piece, ``zone`` finds and lends pieces, ``arriving`` takes
them in, and ``keeping`` forgets, folds and tidies.
"""

from trunkline.ingest.landing.arriving import CRASH_POINTS
from trunkline.ingest.landing.keeping import FOLD_POINTS, Landing
from trunkline.ingest.landing.records import FILES, REPLAYS, Landed

__all__ = ["CRASH_POINTS", "FILES", "FOLD_POINTS", "REPLAYS", "Landed", "Landing"]
