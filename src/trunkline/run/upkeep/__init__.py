"""Upkeep of a workspace: retention with archives, compaction, vacuum, raw files, and what all of it costs."""

from trunkline.run.upkeep.archive_files import copy_in_clear
from trunkline.run.upkeep.archive_list import ARCHIVES, ArchiveRecord
from trunkline.run.upkeep.archives import Manifest
from trunkline.run.upkeep.maintaining import Maintained, TableStock, Upkeep, maintain
from trunkline.run.upkeep.retiring import CRASH_POINTS

__all__ = [
    "ARCHIVES",
    "CRASH_POINTS",
    "ArchiveRecord",
    "Maintained",
    "Manifest",
    "TableStock",
    "Upkeep",
    "copy_in_clear",
    "maintain",
]
