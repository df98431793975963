"""Recipients are read from real files and databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy
from pyarrow import parquet

from mailsluice.audience import csv_file
from mailsluice.audience.chunk import Chunk
from mailsluice.audience.parquet_file import parquet_header
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import Campaign, RecipientSource
from mailsluice.core.errors import AudienceError, MessageError
from mailsluice.operations import launch
from mailsluice.store import Database
from tests.databases import no_database

Row = dict[str, Any]
"""Values by column, with the address as `email` and the row's number (an int) as `row`."""


class MakeFile(Protocol):
    """Write a file into the test's folder."""

    def __call__(self, content: str | bytes, name: str = "recipients.csv") -> Path: ...


def read(path: Path, **fields: Any) -> tuple[list[Row], dict[int, str]]:
    """Return all rows of a file, and the malformed ones."""
    return joined(read_chunks(RecipientSource(path=str(path), **fields), connect=no_database))


def joined(chunks: Iterable[Chunk]) -> tuple[list[Row], dict[int, str]]:
    rows: list[Row] = []
    malformed: dict[int, str] = {}
    for chunk in chunks:
        frame = pd.concat([chunk.variables, chunk.email.rename("email")], axis=1)
        assert [str(kind) for kind in frame.dtypes] == ["str"] * len(frame.columns)
        records = frame.assign(row=chunk.rows).to_dict("records")
        rows += [{str(name): value for name, value in one.items()} for one in records]
        malformed |= chunk.malformed
    return rows, malformed


@pytest.fixture
def file(tmp_path: Path) -> MakeFile:
    def file(content: str | bytes, name: str = "recipients.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


CSV_CASES = [
    # (bytes, fields of the source, values of the column n)
    ("email,n\na@b.de,7\n", {}, ["7"]),
    ("email,n\na@b.de,007\n", {}, ["007"]),  # leading zeros
    ("email,n\na@b.de,NA\nb@b.de,null\nc@b.de,\n", {}, ["NA", "null", ""]),  # text, not "no value"
    ("email,n\na@b.de,true\nb@b.de,2024-01-31\n", {}, ["true", "2024-01-31"]),
    ("email,n\r\na@b.de,x\r\n", {}, ["x"]),  # Windows line ends
    ("email,n\na@b.de,x", {}, ["x"]),  # no line end after the last row
    ('email,n\na@b.de,"x, ""y""\nz"\n', {}, ['x, "y"\nz']),  # delimiter, quotes, line break
    ("\n\nemail,n\n\na@b.de,x\n\n", {}, ["x"]),  # blank lines anywhere
    (" email , n \na@b.de, x \n", {}, [" x "]),  # names are trimmed, values are not
    ("email,n,\na@b.de,x,\n", {}, ["x"]),  # a column without a name, as spreadsheets add
    ("email;n\na@b.de;x,y\n", {"delimiter": ";"}, ["x,y"]),
    ("PK,%PDF-,n,email\n,,x,a@b.de\n", {}, ["x"]),  # no zip file
    ("\ufeffemail,n\na@b.de,Zoë\n".encode(), {}, ["Zoë"]),  # with a byte order mark
    ("\ufeffemail,n\na@b.de,Zoë\n".encode(), {"encoding": "utf-8-sig"}, ["Zoë"]),
    ("\ufeffemail,n\na@b.de,Zoë\n".encode(), {"encoding": "UTF8"}, ["Zoë"]),  # another spelling
    ("email,n\na@b.de,€ Zoë\n".encode("cp1252"), {"encoding": "cp1252"}, ["€ Zoë"]),
    ("email,n\na@b.de,Zoë\n".encode("utf-16"), {"encoding": "utf-16"}, ["Zoë"]),
    ("E-Mail,n\na@b.de,x\n", {"email_column": "e-mail"}, ["x"]),  # in another case
    ("Email,email,n\nno,a@b.de,x\n", {}, ["x"]),  # the exact name first
    ("\x0cemail,n\x0c\na@b.de,\u2028x\x85\n", {}, ["\u2028x\x85"]),  # line ends elsewhere
    ("email,n,@handle\na@b.de,x,\n", {}, ["x"]),  # no address
    ('email,n,"First\u2028Name"\na@b.de,x,y\n', {}, ["x"]),  # no line end, as rows follow
    ("email,n,Mehr… Info\na@b.de,x,y\n".encode("cp1252"), {"encoding": "latin-1"}, ["x"]),
]


@pytest.mark.parametrize(("content", "fields", "expected"), CSV_CASES)
def test_csv_values_are_read_as_written(
    file: MakeFile, content: str | bytes, fields: dict[str, Any], expected: list[str]
) -> None:
    rows, malformed = read(file(content), **fields)

    assert [row["n"] for row in rows] == expected
    assert rows[0]["email"] == "a@b.de"
    assert not malformed


def test_a_tsv_file_is_separated_by_tabs_by_default(file: MakeFile) -> None:
    tabs = file("email\tn\na@b.de\tx,y\n", "recipients.TSV")
    commas = file("email,n\na@b.de,x\ty\n", "commas.tsv")

    assert read(tabs)[0] == [{"email": "a@b.de", "n": "x,y", "row": 1}]
    assert read(commas, delimiter=",")[0] == [{"email": "a@b.de", "n": "x\ty", "row": 1}]


def test_rows_with_a_wrong_number_of_fields_are_malformed(
    file: MakeFile,
) -> None:
    rows, malformed = read(file("email,n\nshort\na@b.de,1\n\nb@b.de,2,3\nc@b.de,4\nlast\n"))

    assert [(row["row"], row["email"]) for row in rows] == [(2, "a@b.de"), (4, "c@b.de")]
    assert malformed == {1: "short", 3: "b@b.de,2,3", 5: "last"}


def test_row_numbers_are_right_over_many_blocks(
    file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", 200)
    lines = ["bad" if i % 7 == 0 else f"u{i}@b.de,{i}" for i in range(1, 500)]

    rows, malformed = read(file("email,n\n" + "\n".join(lines)))

    assert all(row["n"] == str(row["row"]) for row in rows)
    assert sorted([*malformed, *(row["row"] for row in rows)]) == list(range(1, 500))
    assert set(malformed) == set(range(7, 500, 7))


CSV_ERRORS = [
    # (bytes, fields of the source, what the message says)
    ("", {}, "is empty"),
    ("\n\n", {}, "is empty"),
    ("mail,name\na@b.de,x\n", {}, "no column 'email'; its columns are 'mail', 'name'"),
    ("Email;n\na@b.de;x\n", {}, "has only one column if ',' separates its columns, and its first"),
    ("Email;Vorname|x;y\n", {}, "set 'delimiter' to ';'"),  # the usual one in it
    ("email\tn\na@b.de\tx\n", {}, 'delimiter\' to a tab ("\\t")'),
    ("mail|n\na@b.de|x\n", {}, "set 'delimiter' to '|'"),
    ("mail,n\na@b.de,x\n", {"delimiter": ";"}, "set 'delimiter' to ','"),
    (
        b"PK\x03\x04\x14\0\x06\0",
        {},
        "is a zip file, such as an Excel workbook (.xlsx), and not a CSV",
    ),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {"encoding": "cp1252"}, "is an old Excel or Office file"),
    (b"\x1f\x8b\x08\0\0", {"encoding": "latin-1"}, "is a file compressed by gzip"),
    (b"%PDF-1.7\n", {}, "is a PDF file"),
    ("EMAIL,Email\na@b.de,x\n", {}, "several columns 'email'"),  # which one?
    ("email,n, n\na@b.de,x,y\n", {}, "same name: 'n'"),
    ("email,n\na@b.de,Zoë\n".encode("cp1252"), {}, "0xeb in line 2, which is not utf-8"),
    ("email,Zoë\na@b.de,x\n".encode("cp1252"), {}, "0xeb in line 1, which is not utf-8"),
    (
        b"email,n\n" + b"a@b.de,x\n" * 300_000 + b"\xff",
        {},
        "0xff in line 300002",
    ),  # in a later block
    ("email,n\na@b.de,x\n".encode("utf-16-le"), {"encoding": "utf-16"}, "byte order mark"),
    ("email,n\na@b.de,x\n".encode("utf-32-le"), {"encoding": "utf-32"}, "byte order mark"),
    (b"email,n\na@b.de,\x81\n", {"encoding": "cp1252"}, "0x81 in line 2, which is not cp1252"),
    (b"email,n\ra@b.de,x\rb@b.de,\xff\r", {}, "0xff in line 3"),  # an old Macintosh
    (b"email,n\r\na@b.de,x\r\n\xff\r\n", {}, "0xff in line 3"),
    (
        "email,n\na@b.de,\u0a0a\n".encode("utf-16-le") + b"\x00\xdc\n\0",  # letters with a byte 0A
        {"encoding": "utf-16-le"},
        "byte 0x00 in line 3",
    ),
    (
        "email,n\na@b.de,x".encode("utf-16-le") + b"\x00\xd8" + "\nb@b.de,y\n".encode("utf-16-le"),
        {"encoding": "utf-16-le"},
        "byte 0x00 in line 2",
    ),  # half of a character at the end of a line
    (
        b"email,n\na@b.de,+" + b"AEEA" * 50_000 + b"\xff\n",  # each byte decodes all before it
        {"encoding": "utf-7"},
        "0xff in line 2",
    ),
    ("email,n\na@b.de,Zo\u00eb".encode()[:-1], {}, "ends in the middle of a character"),
    ("email,n\x85a@b.de,x\x85".encode("cp037"), {"encoding": "cp037"}, "end of mainframes, NEL"),
    ("email,n\x85a@b.de,x\x85".encode("latin-1"), {"encoding": "latin-1"}, "NEL (U+0085)"),
    ("email\x85" + "a@b.de\x85" * 30_000, {}, "NEL (U+0085)"),  # more than a field may have
    ('"email"\u2028"a@b.de"\u2028', {}, "a line separator (U+2028)"),
    ("email\u2029a@b.de\n", {}, "a paragraph separator (U+2029)"),
    ("sep=,\x0bemail\x0ba@b.de", {}, "a vertical tab"),
    ("email\x0ca@b.de\x0cb@b.de\r\n", {}, "a form feed"),
    ("email\x1ea@b.de\x1e", {}, "a record separator (U+001E)"),
    (b"email,n\x85a@b.de,x\x85", {"encoding": "cp1252"}, "only one line, which holds addresses"),
    ("email,n\\na@b.de,x\\n\n", {}, "only one line, which holds addresses"),
    ('email,n\n"a@b.de,x\n' + "a@b.de,x\n" * 500_000, {}, "a quote that is never closed"),
]


@pytest.mark.parametrize(
    ("content", "fields", "message"), CSV_ERRORS, ids=[case[2] for case in CSV_ERRORS]
)
def test_the_error_for_an_unreadable_csv_file_gives_the_reason(
    file: MakeFile, content: str | bytes, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(AudienceError) as caught:
        read(file(content), **fields)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("written", "declared", "advised"),
    [
        ("utf-16-le", "utf-8", "utf-16"),  # as spreadsheets write "Unicode text"
        ("utf-16-be", "cp1252", "utf-16"),
        ("utf-16-be", "utf-16-le", "utf-16"),
        ("utf-16-le", "utf-32", "utf-16"),
        ("utf-32-le", "utf-8", "utf-32"),
        ("utf-32-le", "UTF_16", "utf-32"),
        ("utf-32-be", "utf-16", "utf-32"),
        ("utf-8", "cp1252", "utf-8"),  # names would be garbled, and nothing be refused
        ("utf-8", "latin-1", "utf-8"),
        ("utf-8", "utf-16", "utf-8"),
    ],
)
def test_a_byte_order_mark_tells_that_another_encoding_was_declared(
    file: MakeFile, written: str, declared: str, advised: str
) -> None:
    content = "\ufeffname,email\nZo\u00eb,a@b.de\n".encode(written)
    with pytest.raises(AudienceError, match=f"set 'encoding' to {advised},"):
        read(file(content), encoding=declared)
    for fitting in {written, advised}:
        (recipient,), _ = read(file(content), encoding=fitting)
        assert recipient["name"] == "Zo\u00eb"


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet", ".", "file.csv/below.csv"])
def test_the_error_for_a_path_that_is_no_file_names_the_path(
    tmp_path: Path, file: MakeFile, name: str
) -> None:
    file("email\n", "file.csv")

    with pytest.raises(AudienceError, match=r"cannot be (opened|read)") as caught:
        read(tmp_path / name)

    assert str(tmp_path / name) in str(caught.value)


PARQUET_COLUMNS = {
    "email": (pa.array(["a@b.de", None]), ["a@b.de", ""]),
    "integer": (pa.array([7, None]), ["7", ""]),  # not 7.0
    "float": (pa.array([2.5, 3.0]), ["2.5", "3"]),
    "bool": (pa.array([True, False]), ["true", "false"]),
    "decimal": (pa.array([Decimal("1.50"), None]), ["1.50", ""]),
    "uuid": (
        pa.array([bytes(range(16)), None], pa.uuid()),
        [f"{UUID(bytes=bytes(range(16)))}", ""],
    ),
    "date": (pa.array([dt.date(2024, 1, 31), None]), ["2024-01-31", ""]),
    "moment": (pa.array([dt.datetime(2024, 1, 31, 9, 5), None]), ["2024-01-31T09:05:00", ""]),  # noqa: DTZ001
    "precise": (
        pa.array([dt.datetime(2024, 1, 31, 9, 5, 0, 250_000), None]),  # noqa: DTZ001
        ["2024-01-31T09:05:00.250000", ""],
    ),
    "zoned": (
        pa.array([dt.datetime(2024, 1, 31, 9, 5, tzinfo=dt.UTC), None]),
        ["2024-01-31T09:05:00+0000", ""],
    ),
    "category": (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    "list": (pa.array([["x", "ü"], None]), ['["x","ü"]', ""]),
    "struct": (pa.array([{"a": 1}, None]), ['{"a":1}', ""]),
    "far moments": (
        pa.array([[1 << 62], [0]]).cast(pa.list_(pa.timestamp("ms"))),
        ["<value out of range>", '["1970-01-01T00:00:00"]'],
    ),
    "bytes": (pa.array([b"x", None]), ["x", ""]),
    "nothing": (pa.nulls(2), ["", ""]),
}


def test_parquet_columns_of_any_type_become_text(tmp_path: Path) -> None:
    path = tmp_path / "recipients.parquet"
    parquet.write_table(pa.table({k: array for k, (array, _) in PARQUET_COLUMNS.items()}), path)

    rows, _ = read(path)

    for name, (_, expected) in PARQUET_COLUMNS.items():
        assert [row[name] for row in rows] == expected, name
    assert [row["row"] for row in rows] == [1, 2]


def test_parquet_is_read_in_chunks_with_consecutive_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "recipients.pq"
    parquet.write_table(pa.table({"email": [f"u{i}@b.de" for i in range(10)]}), path)

    chunks = list(read_chunks(RecipientSource(path=str(path)), connect=no_database, chunk_rows=4))

    assert [chunk.rows.tolist() for chunk in chunks] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


def test_the_error_for_an_unreadable_parquet_file_gives_the_reason(
    tmp_path: Path, file: MakeFile
) -> None:
    with pytest.raises(AudienceError, match="cannot be read as Parquet"):
        read(file("email\na@b.de\n", "recipients.parquet"))


NOT_TEXT = {
    "photo": pa.array([b"x", b"\xff"]),  # the second row tells
    "key": pa.array(
        [bytes(range(16)), b"0123456789abcdef"], pa.binary(16)
    ),  # not said to be a UUID
    "interval": pa.array([b"\x01\0\0\0" * 3, None], pa.binary(12)),  # in UTF-8, but no text
    "photos": pa.array([[b"\xff"], None]),
    "category": pa.array([b"\xff", None]).dictionary_encode(),
    "a.b": pa.array([b"\xff", None]),
}


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("name", NOT_TEXT)
def test_a_parquet_column_that_is_not_text_is_left_out_or_named(
    tmp_path: Path, name: str, store_schema: bool
) -> None:
    path = tmp_path / "recipients.parquet"
    table = pa.table({name: NOT_TEXT[name], "a": ["1", "2"], "email": ["a@b.de", "b@b.de"]})
    parquet.write_table(table, path, store_schema=store_schema)

    rows, _ = read(path)
    assert rows == [
        {"email": "a@b.de", "a": "1", "row": 1},
        {"email": "b@b.de", "a": "2", "row": 2},
    ]
    [chunk] = read_chunks(RecipientSource(path=str(path)), connect=no_database)
    assert chunk.left_out == (name,)
    for needed in ({"email_column": name}, {"columns": {"logo": name}}):
        with pytest.raises(AudienceError, match=f"the column '{name}' of the file .* not text"):
            read(path, **needed)
    with path.open("rb") as opened:
        assert parquet_header(opened, "events") == ["a", "email"]


def test_a_message_that_uses_a_column_that_is_not_text_is_told_why(
    tmp_path: Path, sqlite_database: Database
) -> None:
    path = tmp_path / "recipients.parquet"
    parquet.write_table(pa.table({"email": ["a@b.de"], "My Photo": [b"\xff"]}), path)
    campaign: dict[str, Any] = {
        "name": "spring",
        "recipients": {"path": str(path)},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "{{ my_photo }}"},
        "routes": [{"connection": "red"}],
    }
    what = "The column 'My Photo' was left out, since its values are not text"
    with pytest.raises(MessageError, match=what):
        launch.resolve_audience(Campaign.model_validate(campaign), sqlite_database, no_database)
    campaign["message"]["text"] = "{{ my_foto }}"
    with pytest.raises(MessageError) as caught:
        launch.resolve_audience(Campaign.model_validate(campaign), sqlite_database, no_database)
    assert "left out" not in str(caught.value)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table people (Mail text, n, since text)")
        connection.exec_driver_sql(
            "insert into people values ('a@b.de', 1, '12:30'), ('c@d.de', 2.5, null),"
            " ('e@f.de', 'x', '09:00'), (null, null, '')"
        )
    yield engine
    engine.dispose()


def query(engine: sqlalchemy.Engine, sql: str, **fields: Any) -> list[Row]:
    def connect(name: str) -> sqlalchemy.Engine:
        assert name == "crm"
        return engine

    source = RecipientSource(query=sql, database="crm", email_column="mail", **fields)
    return joined(read_chunks(source, connect=connect, chunk_rows=2))[0]


def test_a_query_is_read_in_chunks_as_text(engine: sqlalchemy.Engine) -> None:
    assert query(engine, "select * from people") == [
        {"email": "a@b.de", "n": "1", "since": "12:30", "row": 1},
        {"email": "c@d.de", "n": "2.5", "since": "", "row": 2},
        {"email": "e@f.de", "n": "x", "since": "09:00", "row": 3},
        {"email": "", "n": "", "since": "", "row": 4},
    ]


def test_numbers_of_a_query_are_written_as_those_of_a_file(engine: sqlalchemy.Engine) -> None:
    sql = "select Mail, case Mail when 'a@b.de' then 4917612345678.0 when 'c@d.de' then 7 end n"
    rows = query(engine, f"{sql} from people where Mail <> 'e@f.de'")
    assert [row["n"] for row in rows] == ["4917612345678", "7"]


@pytest.mark.parametrize(
    "condition",
    [
        "since = '12:30'",  # a colon in a text
        "since > ' :a' and since = '12:30'",  # one that looks like a parameter
        "Mail like 'a%'",  # a percent sign
    ],
)
def test_a_query_is_run_as_written(engine: sqlalchemy.Engine, condition: str) -> None:
    rows = query(engine, f"select * from people where {condition}")

    assert [row["email"] for row in rows] == ["a@b.de"]


def test_a_query_without_rows_gives_no_chunks(engine: sqlalchemy.Engine) -> None:
    assert query(engine, "select * from people where 1 = 0") == []


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from customers", "no such table: customers"),
        ("select n from people", "no column 'mail'; its columns are 'n'"),
        ("select Mail, n, n from people", "same name: 'n'"),
        ("create table more (n)", "does more than read"),
        ("-- nothing", "returns no rows: write a SELECT"),
        ("select 'ann@example.com' from", "failed"),
    ],
)
def test_the_error_for_an_unreadable_query_gives_the_reason(
    engine: sqlalchemy.Engine, sql: str, message: str
) -> None:
    with pytest.raises(AudienceError, match="database 'crm'") as caught:
        query(engine, sql)

    assert message in str(caught.value)
    assert "ann@example.com" not in str(caught.value)


def test_columns_get_other_names(file: MakeFile, tmp_path: Path, engine: sqlalchemy.Engine) -> None:
    columns = {"email": "E-Mail", "name": "Vorname", "Vorname": "name"}
    source = {"columns": columns}
    rows, _ = read(
        file("Vorname;E-Mail;name;x\nAda;ada@example.com;L;1\n"), delimiter=";", **source
    )
    swapped = [{"name": "Ada", "Vorname": "L", "x": "1", "email": "ada@example.com", "row": 1}]
    assert rows == swapped
    table = pa.table({"Vorname": ["Ada"], "E-Mail": ["ada@example.com"], "name": ["L"], "x": [1]})
    parquet.write_table(table, tmp_path / "list.parquet")
    rows, _ = read(tmp_path / "list.parquet", **source)
    assert rows == swapped


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"first_name": "Vornam"}, "has no column 'Vornam': did you mean 'Vorname'? its columns"),
        ({"email": "Mail"}, "has no column 'Mail'"),
        ({"x": "Vorname"}, "would have two columns 'x', since 'columns' gives another one"),
    ],
)
def test_a_column_that_cannot_be_renamed_is_named(
    file: MakeFile, columns: dict[str, str], what: str
) -> None:
    with pytest.raises(AudienceError) as caught:
        read(file("Vorname,email,x\nAda,ada@example.com,1\n"), columns=columns)
    assert what in str(caught.value)
