"""The keys of a workspace: one per identifier type for pseudonyms, and those that data is encrypted under.

Takes the settings, gives keys by type and by id, makes them when they are first needed, rotates them. They lie in
``keyring.json``, each encrypted under the master key (an envelope: when that one changes, only this small file is
written anew). The master key lies beside it, or comes from the settings.

A second list, ``keys.json`` in the workspace, says which keys were ever made, without their secrets: so a keyring that
went missing is an error that says what to put back, and never a silent new key under which nothing could be joined.

Read downwards: ``ring`` gives and rotates keys, ``files`` reads and writes what is kept of them.
"""

from trunkline.lake.keys.files import ENCRYPTION, KeyFacts
from trunkline.lake.keys.ring import CRASH_POINTS, Keyring

__all__ = ["CRASH_POINTS", "ENCRYPTION", "KeyFacts", "Keyring"]
