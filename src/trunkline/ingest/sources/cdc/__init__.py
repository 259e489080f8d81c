"""Change data capture: a table's rows as they are, then every insert, update and delete in the order of the commits.

Each row carries what was done (``_op``), whether it is gone (``_deleted``), the place in the server's log
(``_commit_position``, a text that sorts as the changes happened) and when it was committed (``_committed_at``).
The position that lands with the rows is the place in that log, so a change is landed once, killed anywhere.

The snapshot is read after the place in the log was fixed, and changes are taken from that place on. A change that the
snapshot shows already comes again; in the end every key is as the server has it, also when a snapshot was begun twice.
"""
