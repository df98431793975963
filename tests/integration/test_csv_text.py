"""CSV files of the real world: open quotes, habits of spreadsheets, invisible blanks."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailsluice.audience import csv_file
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from tests.databases import no_database
from tests.integration.test_audience_sources import read
from tests.thorough import examples


def written(folder: Path, text: str, encoding: str = "utf-8", name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


ROWS = "".join(f"u{i}@b.de,{i}\n" for i in range(20))
OPEN = [
    # (text after the header email,n; the row and the line where the quote opens)
    (f'a@b.de,1\nc@d.de,"x\n{ROWS}', 2, 3),  # up to the end of the file
    (f'a@b.de,1\nc@d.de,"x\n{ROWS}e@f.de,"y"\n', 2, 3),  # up to the next quote
    (f'a@b.de,1\nc@d.de,"x\n{ROWS}e@f.de,y"z\n', 2, 3),  # which is any quote
    (f'a@b.de,1\n"c@d.de,x\n{ROWS}', 2, 3),  # in the first column
    ('a@b.de,1\nc@d.de,"x', 2, 3),  # nothing is swallowed, but it may have been cut off
    (f'a@b.de,"two\nlines"\n\nc@d.de,"x\n{ROWS}', 2, 5),  # behind a value of two lines, and none
    (f'a@b.de,5" pipe\nc@d.de,"x\n{ROWS}', 2, 3),  # behind a quote that is a part of its value
    (f'a@b.de,"x" y\nc@d.de,"x\n{ROWS}', 2, 3),  # behind one that is closed too early
    (f'a@b.de,"x""\n{ROWS}e@f.de,"y"\n', 1, 2),  # doubled where it should end
    (f'a@b.de,1\r\nc@d.de,"x\r\n{ROWS}', 2, 3),  # other line ends
    (f'a@b.de,1\rc@d.de,"x\r{ROWS}', 2, 3),
]


@pytest.mark.parametrize("block_bytes", [50, 1 << 21])
@pytest.mark.parametrize(("text", "row", "line"), OPEN)
def test_a_quote_that_is_never_closed_is_refused_with_its_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    row: int,
    line: int,
    block_bytes: int,
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", max(block_bytes, len(text)))
    with pytest.raises(AudienceError, match=rf"opens in row {row} \(line {line}\)"):
        read(written(tmp_path, f"email,n\n{text}"))
    if block_bytes == 50:
        monkeypatch.setattr(csv_file, "_BLOCK_BYTES", block_bytes)  # values are longer than a block
        with pytest.raises(AudienceError):
            read(written(tmp_path, f"email,n\n{text}"))


@pytest.mark.parametrize("header", ['"email,n\n', 'email,"n\n', 'email,"n'])
def test_a_quote_left_open_in_the_header_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(AudienceError, match=r"opens in the header \(line 1\)"):
        read(written(tmp_path, f"{header}{ROWS if header.endswith(chr(10)) else ''}"))


def test_the_row_is_named_in_a_large_file_of_another_encoding(tmp_path: Path) -> None:
    text = (
        "sep=,\r\nemail,n\r\n"
        + "zo\u00eb@b.de,\u20ac\r\n" * 300_000
        + 'a@b.de,"x\r\n'
        + "a@b.de,x\r\n" * 9
    )
    with pytest.raises(AudienceError, match=r"row 300001 \(line 300003\)"):
        read(written(tmp_path, text, "cp1252"), encoding="cp1252")


READ = [
    # (text, values of the column n)
    ("sep=;\nemail;n\na@b.de;x,y\n", ["x,y"]),
    ("SEP=,\r\nemail,n\r\na@b.de,x\r\n", ["x"]),
    ('"sep=\t"\nemail\tn\na@b.de\tx\n', ["x"]),
    ("\ufeffsep=;\nemail;n\na@b.de;x\n", ["x"]),  # behind a byte order mark
    ('\ufeff\ufeff"email","n"\na@b.de,x\n', ["x"]),  # two of them, before a quote
    ("email,n\na@b.de,x,\nc@d.de,y,\n", ["x", "y"]),  # one delimiter more than the header
    ("email,n\na@b.de,x,\nc@d.de,y\n", ["x", "y"]),  # in some rows
    ("email,n\na@b.de,x\nc@d.de,y,\ne@f.de,z\n", ["x", "y", "z"]),
    ('email,n\na@b.de,x\nc@d.de,"y\n1, 2", \n', ["x", "y\n1, 2"]),  # with a value of two lines
    ("email,n,\na@b.de,x\nc@d.de,y,\n", ["x", "y"]),  # one less
    ("email,n\ra@b.de,x\rc@d.de,y\r", ["x", "y"]),  # line ends of old
    ("email,n\na@b.de,x\r\nc@d.de,y\re@f.de,z\n", ["x", "y", "z"]),  # of all kinds
    ("\u200bemail\u00a0,n\ufeff\na@b.de,x\n", ["x"]),  # blanks around names
    ("\uff25\uff2d\uff21\uff29\uff2c,n\na@b.de,x\n", ["x"]),  # EMAIL in full width
    ('email,n\na@b.de,"x" y\n', ["x y"]),  # closed too early, on one line
    ('email,n\na@b.de,5" pipe\n', ['5" pipe']),
    ('email,n\na@b.de,""\n', [""]),
    ('email,n\na@b.de,""""\n', ['"']),
]


@pytest.mark.parametrize("block_bytes", [30, 1 << 21])
@pytest.mark.parametrize(("text", "expected"), READ)
def test_files_of_spreadsheets_are_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    expected: list[str],
    block_bytes: int,
) -> None:
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", max(block_bytes, text.find("\n") + 20))
    rows, malformed = read(written(tmp_path, text))
    assert [row["n"] for row in rows] == expected
    assert [row["row"] for row in rows] == [*range(1, len(expected) + 1)]
    assert malformed == {}


def test_a_row_with_a_surplus_value_is_malformed(tmp_path: Path) -> None:
    rows, malformed = read(
        written(tmp_path, "email,n\na@b.de,x,\nc@d.de,y,,\ne@f.de,z,1\ng@h.de\n")
    )
    assert [row["row"] for row in rows] == [1]
    assert sorted(malformed) == [2, 3, 4]


def test_a_first_line_that_declares_no_delimiter_is_a_header(tmp_path: Path) -> None:
    for told in ("sep=x", "sep=\u00e9", "sep=", "separate=;"):
        with pytest.raises(AudienceError, match=r"no column 'email'|set 'delimiter' to ';'"):
            read(written(tmp_path, f"{told}\nemail;n\na@b.de;x\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_undeclared_utf_16_is_refused_with_advice(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "email,n\na@b.de,x\n", encoding)
    with pytest.raises(AudienceError, match="set 'encoding' to utf-16") as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert read(path, encoding=encoding)[0][0]["n"] == "x"


def test_too_many_malformed_rows_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_MAX_SKIPPED", 100)
    good = "a@b.de,x\n" * 100_000
    source = RecipientSource(path=str(written(tmp_path, f"email,n\nbad\n{good}bad\n{good}")))
    chunks = [*read_chunks(source, connect=no_database)]
    assert sum(len(chunk.email) for chunk in chunks) == 200_000
    assert sorted(number for chunk in chunks for number in chunk.malformed) == [1, 100_002]
    with pytest.raises(AudienceError, match="what separates its columns"):
        read(written(tmp_path, "email,n\n" + "bad\n" * 50))


cells = st.text(st.sampled_from('ab,;"\n x'), max_size=8)  # a writer may leave \r unquoted


@settings(deadline=None, max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.just("a@b.de"), cells), min_size=1, max_size=6),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(40, 90),
)
def test_well_formed_csv_is_read_unchanged_in_blocks_of_any_size(
    rows: list[tuple[str, str]], quoting: Literal[0, 1, 2], line_end: str, block_bytes: int
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows([("email", "n"), *rows])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "_BLOCK_BYTES", block_bytes)
        found, malformed = read(written(Path(folder), text.getvalue()))
    assert [(row["email"], row["n"]) for row in found] == rows
    assert malformed == {}


@settings(deadline=None, max_examples=examples(300))
@given(st.text(st.sampled_from('a@,"\n\r;x'), max_size=60), st.integers(8, 200))
@example(text=';;;;;,"\r\n"', block_bytes=8)  # a block that ends between CR and LF
def test_any_text_is_read_the_same_in_blocks_of_any_size(text: str, block_bytes: int) -> None:
    def outcome(size: int) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_file, "_BLOCK_BYTES", size)
            try:
                rows, malformed = read(path)
            except AudienceError:
                return None
        assert sorted([*(row["row"] for row in rows), *malformed]) == [
            *range(1, len(rows) + len(malformed) + 1)
        ]
        return rows, malformed

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), f"email,n\n{text}\n")
        whole, parts = outcome(10_000), outcome(block_bytes)
    assert parts is None or parts == whole  # a row may be longer than such a block
