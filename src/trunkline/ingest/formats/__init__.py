"""The forms of files, one module each: each takes a ``ByteStream`` and gives a ``RawFile``."""
