"""Derived tables, refreshed after ingestion: computed, judged by their contracts, written once, with receipts.

Takes a use case's declarations and the lake; writes the tables in the order in which they read each other. The rules
are in docs/derived.md.
"""

from trunkline.ingest.derived.computing import count_step
from trunkline.ingest.derived.refreshing import CRASH_POINTS, refresh_tables

__all__ = ["CRASH_POINTS", "count_step", "refresh_tables"]
