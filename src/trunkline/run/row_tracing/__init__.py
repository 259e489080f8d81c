"""Lineage of rows and tables.

From a row of the lake, or of the quarantine, to its batch, file and record, and on to the models that learned from it;
from a version of a table to its batches.

A row is named by its batch and record (``BATCH/RECORD``) or by its key (``usecase.dataset#key=value``), a version by
``usecase.dataset@VERSION``. What is told are ids, versions and places, never values of rows.

Read downwards: ``rows`` finds a row and what became of it, ``refused`` tells of one in the quarantine, ``versions`` of
a version of a table, ``trainings`` of what learned from either, and ``batches`` of where they came from.
"""

from trunkline.run.row_tracing.batches import batch_link, receipt_of_batch
from trunkline.run.row_tracing.rows import row_by_key, row_by_record
from trunkline.run.row_tracing.versions import table_version

__all__ = ["batch_link", "receipt_of_batch", "row_by_key", "row_by_record", "table_version"]
