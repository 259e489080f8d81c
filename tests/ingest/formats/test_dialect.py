"""CSV of other dialects: told from the file, or said by settings; and files of the usual one that look like others."""

import csv
import io
from collections.abc import Callable
from operator import length_hint
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trunkline.errors import SourceError
from trunkline.ingest.files import open_file
from trunkline.ingest.formats.dialect import Dialect
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect

Rows = list[tuple[str, ...]]
Read = Callable[..., tuple[tuple[str, ...], Rows, list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a CSV: ``read(content, quote="'")`` gives header, rows and malformed lines."""

    def read(content: str | bytes, **said: object) -> tuple[tuple[str, ...], Rows, list[str]]:
        path = tmp_path / "made.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        opened = open_file(path, limits=IngestSettings(csv=CsvDialect.model_validate(said)))
        rows = [tuple(map(str, row.values())) for batch in opened.batches for row in batch.to_pylist()]
        return opened.header, rows, [line.text for line in opened.malformed]

    return read


WANTED: Rows = [("1", "x, y"), ("2", "z")]


@pytest.mark.parametrize(
    "content",
    [
        "'a','b'\n'1','x, y'\n'2','z'\n",
        "a,b\n1,'x, y'\n2,z\n",
        "sep=;\na;b\n1;x, y\n2;z\n",
        '"sep=|"\r\na|b\r\n1|x, y\r\n2|z\r\n',
        "# made by the exchange\n# at night\na;b\n1;x, y\n2;z\n",
        "Calls of a day\n\na;b\n1;x, y\n2;z\n",
        "\n\na;b\n1;x, y\n2;z\n",
        "Calls\nof a day\na;b\n1;x, y\n2;z\n",
        "# made by the exchange; at night\na;b\n1;x, y\n2;z\n",
    ],
)
def test_other_dialects_are_told(content: str, read: Read) -> None:
    for written in (content, content.encode("utf-8-sig"), content.encode("utf-16")):
        assert read(written) == (("a", "b"), WANTED, [])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1251", "Москва"),
        ("iso-8859-2", "Łódź"),
        ("shift_jis", "東京|ソ"),
        ("utf-8", "Łódź"),
        ("utf-8-sig", "Łódź"),
        ("utf-16", "Łódź"),
    ],
)
@pytest.mark.parametrize("comment", [None, "#"])
def test_an_encoding_that_is_said_is_taken(encoding: str, text: str, comment: str | None, read: Read) -> None:
    content = f'town,n\n"{text}",1\n{text},2\n'.encode(encoding)
    said = "utf-8" if encoding == "utf-8-sig" else encoding
    assert read(content, encoding=said, comment=comment) == (("town", "n"), [(text, "1"), (text, "2")], [])


def test_what_is_not_of_the_encoding_that_is_said_is_refused(read: Read) -> None:
    for encoding, content in (
        ("utf-8", "a\nŁ\n".encode("cp1250")),
        ("shift_jis", b"a\n\x81\n"),
        ("ascii", b"a\n\xe9\n"),
    ):
        with pytest.raises(SourceError, match=f"the text is not {encoding}") as refused:
            read(content, encoding=encoding)
        assert "encoding" in refused.value.next_step
    for none in ("klingon", "hex", "zlib"):
        with pytest.raises(ValidationError, match="no encoding of text"):
            CsvDialect(encoding=none)


def test_a_backslash_before_a_quotation_mark_escapes_it(read: Read) -> None:
    wanted = [("1", 'x "y", z'), ("2", "c:\\")]
    assert read('a,b\n1,"x \\"y\\", z"\n2,"c:\\\\"\n') == (("a", "b"), wanted, [])
    with pytest.raises(SourceError, match="never closed"):
        read('a,b\n1,"x \\"y\\", z"\n2,"open\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a~b\n1~x, y\n2~z\n", {"delimiter": "~"}),
        ("a,b\n1,$x, y$\n2,z\n", {"quote": "$"}),
        ("a;b\n1;x, y\n# a comment; that's wide; \"and open\n2;z\n# the end", {"comment": "#"}),
        ("one, title\nanother; title\na;b\n1;x, y\n2;z\n", {"skip_lines": 2, "delimiter": ";"}),
    ],
)
def test_what_settings_say_is_followed(content: str, said: dict[str, object], read: Read) -> None:
    for written in (content, content.encode("utf-16"), content.replace("\n", "\r\n")):
        assert read(written, **said) == (("a", "b"), WANTED, [])


def test_nothing_may_quote(read: Read) -> None:
    assert read('a,b\n"1,x\n2,"\n', quote="") == (("a", "b"), [('"1', "x"), ("2", '"')], [])


def test_only_a_part_of_a_long_text_is_looked_at(read: Read) -> None:
    names = tuple(f"c{place}" for place in range(1_500))
    rows = [tuple(str(row * place) for place in range(1_500)) for row in range(200)]
    written = "Calls of a day\n" + "\n".join(map(",".join, (names, *rows)))
    assert len(written) > 1 << 20
    assert read(written) == (names, rows, [])
    assert read("a,b\n" + "1,'x,\ny'\n" * 200) == (("a", "b"), [("1", "x,\ny")] * 200, [])


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"delimiter": '"'}, "`delimiter` and `quote` are the same character"),
        ({"delimiter": ";", "comment": ";"}, "`delimiter` and `comment` are the same character"),
        ({"quote": "'", "escape": "'"}, "`quote` and `escape` are the same character"),
        ({"delimiter": "\n"}, "`delimiter` is the end of a line"),
        ({"quote": "\r"}, "`quote` is the end of a line"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(said: dict[str, str], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        CsvDialect.model_validate(said)


def test_what_settings_say_is_not_told_otherwise(read: Read) -> None:
    assert read("a|b\n1|x\n", quote="|") == (("a|b",), [("1|x",)], [])
    assert read("a'b\n1'''\n", delimiter="'") == (("a", "b"), [], ["1'''"])


@pytest.mark.parametrize("content", ['a;b\n1;5" pipe\n# not; a\n2;"x\n# y"\n', 'a;b\n1;5" pipe\n2;"x\n# y"\n#"'])
def test_a_mark_within_a_field_without_quotes_opens_nothing(content: str, read: Read) -> None:
    assert read(content, comment="#") == (("a", "b"), [("1", '5" pipe'), ("2", "x\n# y")], [])


@given(st.lists(st.text(st.sampled_from('a,"'), max_size=8)))
@settings(max_examples=300, deadline=None)
def test_comments_stand_between_rows_alone(lines: list[str]) -> None:
    dialect = Dialect(comment="#")
    written = [f"{line}\n" for line in lines]
    left = iter(written)
    commented: list[str] = []
    begin = 0
    for _ in dialect.rows(left):
        end = len(written) - length_hint(left)
        commented += written[begin:end]
        if end < len(written):  # the last row may be open
            commented.append('#",a\n')
        begin = end
    assert list(dialect.lines(commented)) == written


def test_a_line_within_quotes_is_no_comment(read: Read) -> None:
    escaped = 'a,b\n1,"x\\"\n# y"\n#2,z\n'
    assert read(escaped, comment="#", escape="\\") == (("a", "b"), [("1", 'x"\n# y')], [])
    assert read('a,b\n1,"x\n# y"\n#2,z\n', comment="#") == (("a", "b"), [("1", "x\n# y")], [])


@pytest.mark.parametrize(
    ("content", "header", "rows", "malformed"),
    [
        ("a,b\n1,'x'\n2,y's\n", ("a", "b"), [("1", "'x'"), ("2", "y's")], []),
        ("a,b\n1,'x, y\n2,z\n", ("a", "b"), [("2", "z")], ["1,'x, y"]),
        ("#a,b\n1,x\n2,y\n", ("#a", "b"), [("1", "x"), ("2", "y")], []),
        ("#a\n1\n2\n", ("#a",), [("1",), ("2",)], []),
        ("share\n0,5\n0,7\n0,9\n", ("share",), [], ["0,5", "0,7", "0,9"]),
        (
            "text\nhello, world\nbye, now\nso, long\n",
            ("text",),
            [],
            ["hello, world", "bye, now", "so, long"],
        ),
        (
            "place\nMain street, 5\n7, High road\n9, Old lane\n",
            ("place",),
            [],
            ["Main street, 5", "7, High road", "9, Old lane"],
        ),
        ("# cell id,load\nA,nan\nB,5\n", ("# cell id", "load"), [("A", "nan"), ("B", "5")], []),
        ("sep=é\na,b\n1,2\n", ("sep=é",), [], ["a,b", "1,2"]),
        ("sep=\ra,b\r1,2\r", ("sep=",), [], ["a,b", "1,2"]),
        ("a,b\n" + "1,2\n" * 300 + "1,'x\n", ("a", "b"), [("1", "2")] * 300 + [("1", "'x")], []),
        ('a,b\n1,c:\\\n2,5\\"\n', ("a", "b"), [("1", "c:\\"), ("2", '5\\"')], []),
        ('a,b\n1,"c:\\"\n2,"x ""y"" z\\"\n', ("a", "b"), [("1", "c:\\"), ("2", 'x "y" z\\')], []),
    ],
)
def test_the_usual_dialect_is_taken_in_doubt(
    content: str, header: tuple[str, ...], rows: Rows, malformed: list[str], read: Read
) -> None:
    assert read(content) == (header, rows, malformed)


word = st.text(st.sampled_from("ab1 ,;'\"\\#\n|"), max_size=6)


@pytest.mark.slow
@given(rows=st.lists(st.tuples(word, word, word), min_size=1, max_size=12), quote=st.sampled_from("\"'"))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_python_writes_in_a_dialect_is_read(rows: Rows, quote: str, read: Read) -> None:
    written = io.StringIO(newline="")
    names = ("one", "two", "three")
    csv.writer(written, quotechar=quote, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([names, *rows])
    assert read(written.getvalue(), delimiter=",", quote=quote) == (names, rows, [])
    if quote == "'" and '"' not in written.getvalue():
        assert read(written.getvalue()) == (names, rows, []), "names in single quotes tell it"
