"""The forms of files, one module each: each takes a ``Source`` and gives a ``RawFile``."""
