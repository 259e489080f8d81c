"""A token opens under its key and in its place, and nowhere else; a file of any length does."""

import io
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.checks.sealing import DataKey, SealedStream, Sealer, is_sealed, is_sealed_text, opened_stream
from trunkline.errors import TamperedError

MIB = 1 << 20
TAG = 16
HEAD = 24


class Keys:
    """Two keys, of which the second is the current one."""

    known: ClassVar = {"00000001": DataKey("00000001", b"1" * 32), "00000002": DataKey("00000002", b"2" * 32)}

    def __init__(self, current: str = "00000002") -> None:
        self.current = current

    def data_key(self) -> DataKey:
        return self.known[self.current]

    def data_key_of(self, key_id: str) -> DataKey:
        if key_id not in self.known:
            raise TamperedError("lost")
        return self.known[key_id]


@given(st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_a_token_opens_in_its_place_alone(value: bytes, here: str, there: str) -> None:
    token = Sealer(Keys("00000001"), purpose="a").seal(value, bound=here)
    assert is_sealed(token)
    assert Sealer(Keys(), purpose="a").open(token, bound=here) == value
    with pytest.raises(TamperedError):
        Sealer(Keys(), purpose="b").open(token, bound=here)
    if here != there:
        with pytest.raises(TamperedError):
            Sealer(Keys(), purpose="a").open(token, bound=there)


@given(st.text(max_size=50), st.data())
def test_a_token_that_was_changed_does_not_open(value: str, data: st.DataObject) -> None:
    sealer = Sealer(Keys(), purpose="a")
    token = sealer.seal(value.encode(), bound="x")
    place = data.draw(st.integers(4, len(token) - 1))
    changed = bytearray(token)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(TamperedError):
        sealer.open(bytes(changed), bound="x")
    with pytest.raises(TamperedError):
        sealer.open(token[: data.draw(st.integers(4, len(token) - 1))], bound="x")


def test_texts_and_what_is_none() -> None:
    sealer = Sealer(Keys(), purpose="a")
    token = sealer.seal_text("sealed:no", bound="x")
    assert is_sealed_text(token)
    assert token.isascii()
    assert sealer.open_text(token, bound="x") == "sealed:no"
    assert sealer.open_text("in clear", bound="x") == "in clear"
    assert sealer.open(b"in clear", bound="x") == b"in clear"
    for broken in ("sealed:", "sealed:%%%", "sealed:" + "A" * 10, f"{token}A"):
        with pytest.raises(TamperedError):
            sealer.open_text(broken, bound="x")


def test_no_nonce_is_used_twice() -> None:
    sealers = [Sealer(Keys(), purpose="a") for _ in range(3)]
    heads = {sealer.seal(b"x", bound="")[:36] for sealer in sealers for _ in range(100)}
    assert len(heads) == 300


def sealed(content: bytes, *, bound: str = "it") -> bytes:
    out = io.BytesIO()
    stream = SealedStream(out, Keys(), purpose="file")
    for start in range(0, len(content), 300_000):
        assert stream.write(content[start : start + 300_000]) == len(content[start : start + 300_000])
    stream.finish(bound=bound)
    return out.getvalue()


def opened(token: bytes, *, bound: str = "it") -> bytes:
    def parts() -> Iterator[bytes]:
        yield from opened_stream(io.BytesIO(token), Keys(), purpose="file", bound=bound)

    return b"".join(parts())


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5])
def test_a_file_of_any_length_comes_back(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(content[:size])) == content[:size]


def test_a_file_that_was_changed_does_not() -> None:
    token = sealed(b"x" * (2 * MIB + 5))
    chunk = MIB + TAG
    first, second, last = token[HEAD : HEAD + chunk], token[HEAD + chunk : HEAD + 2 * chunk], b""
    last = token[HEAD + 2 * chunk :]
    head = token[:HEAD]
    assert head + first + second + last == token
    for changed in (
        head + second + first + last,
        head + first + last,
        head + first + second,
        head + first + second + last[:-1],
        head + first + second + last + last,
        head + first + first + last,
        head,
        token[:10],
        b"",
        sealed(b"y")[:HEAD] + first + second + last,
    ):
        with pytest.raises(TamperedError):
            opened(changed)
    with pytest.raises(TamperedError):
        opened(token, bound="another")
