"""Files as they come out of bad disks, cut transfers and wrong tools."""

from hypothesis import strategies as st

__all__ = ["damaged"]


@st.composite
def damaged(draw: st.DrawFn, seed: bytes, *, most_taken: int, most_repeated: int) -> bytes:
    """A good file with some bytes changed, taken out, put in, repeated, or cut off.

    Args:
        draw: Of Hypothesis.
        seed: The good file.
        most_taken: Most bytes that are taken out at once.
        most_repeated: Most bytes that are repeated at once.
    """
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        act = draw(st.sampled_from(["change", "take", "put", "cut", "repeat"]))
        if act == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif act == "take":
            del data[at : at + draw(st.integers(1, most_taken))]
        elif act == "put":
            data[at:at] = draw(st.binary(max_size=9))
        elif act == "cut":
            del data[at:]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, most_repeated))]
    return bytes(data)
