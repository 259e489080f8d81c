"""The bytes of a block of texts: what one look at them tells, without a look at each text."""

from typing import TYPE_CHECKING, Final

from trunkline.contracts.kinds import WHITE_SPACE

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BlockBytes"]

_INSTANT_LENGTHS: Final = (20, *range(22, 28))
"""``2026-01-01T00:00:00Z``, and with a fraction of one to six digits."""


class BlockBytes:
    """The bytes of a block, those of null texts as well.

    Args:
        texts: Of type ``string``.

    Attributes:
        shortest: Bytes of the shortest text; large where there is none.
        longest: Bytes of the longest text.
    """

    def __init__(self, texts: "pa.Array") -> None:
        import numpy as np

        self._texts = texts
        validity, offsets, data = texts.buffers()
        del validity
        self._offsets = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        whole = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        self._all = whole
        self._bytes = whole[self._offsets[0] : self._offsets[-1]] if len(texts) else whole[:0]
        self._lengths = self._offsets[1:] - self._offsets[:-1]
        self.shortest = int(self._lengths.min(initial=1 << 30))
        self.longest = int(self._lengths.max(initial=0))

    def has(self, byte: int) -> bool:
        """Whether a byte is somewhere in them."""
        return bool((self._bytes == byte).any())

    def lies_within(self, low: int, high: int) -> bool:
        """Whether no byte is outside two limits."""
        return not len(self._bytes) or bool(self._bytes.min() >= low and self._bytes.max() <= high)

    def is_edged(self) -> bool:
        """Whether some text begins or ends with what may be white space."""
        import numpy as np

        highest = ord(max(WHITE_SPACE))
        if not len(self._bytes) or self._bytes.min() > highest:
            return False
        is_full = self._lengths > 0
        edges = np.concatenate([self._offsets[:-1][is_full], self._offsets[1:][is_full] - 1])
        return bool((self._all[edges] <= highest).any())

    def are_instants(self) -> bool:
        """Whether all texts are shaped ``dddd-dd-ddTdd:dd:dd[.d]Z`` with one length; not its digits."""
        if self.shortest != self.longest or self.longest not in _INSTANT_LENGTHS:
            return False
        grid = self._bytes.reshape(-1, self.longest)
        wanted = {4: "-", 7: "-", 13: ":", 16: ":", self.longest - 1: "Z"}
        if self.longest > min(_INSTANT_LENGTHS):
            wanted[19] = "."
        between = grid[:, 10]
        return bool(((between == ord("T")) | (between == ord(" "))).all()) and all(
            bool((grid[:, place] == ord(letter)).all()) for place, letter in wanted.items()
        )

    def without_empty(self) -> "pa.Array":
        """Give the texts with null for empty ones."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.shortest > 0:
            return self._texts
        is_full = self._lengths > 0
        if self._texts.null_count:
            is_full &= pc.is_valid(self._texts).to_numpy(zero_copy_only=False)
        _, offsets, data = self._texts.buffers()
        bits = pa.py_buffer(np.packbits(is_full, bitorder="little").tobytes())
        moved = offsets.slice(self._texts.offset * self._offsets.itemsize)
        return pa.Array.from_buffers(self._texts.type, len(self._texts), [bits, moved, data])
