"""Addresses of lists: what is refused, what is shown, where a login may go."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign.list_url import (
    checked_url,
    download_url,
    file_name,
    lies_below,
    shown_url,
)

SHEET = "https://docs.google.com/spreadsheets/d/1AbC-dEf_GhIjKlMn"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/lists/may.csv",
        "https://example.com:8443/export?list=7&format=csv",
        "s3://bucket/lists/may.parquet",
        "gs://bucket/may.csv.gz",
        f"{SHEET}/edit?gid=7#gid=7",
    ],
)
def test_urls_of_lists_are_accepted(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://example.com/may.csv", "begins with https://, s3:// or gs://"),
        ("ftp://example.com/may.csv", "begins with https://, s3:// or gs://"),
        ("file:///etc/passwd", "give a file of the worker as path"),
        ("/srv/lists/may.csv", "give a file of the worker as path"),
        ("https://me:hunter2@example.com/may.csv", "name a List Storage block"),
        ("https://me@example.com/may.csv", "contains a user name"),
        ("s3://key:hunter2@bucket/may.csv", "contains a user name"),
        ("https:///may.csv", "names no file"),
        ("s3://bucket", "names no file"),
        ("s3://bucket/may.csv?versionId=1", "has no ?"),
        ("https://example.com/may june.csv", "write it as %20"),
        ("https://[::1/may.csv", "is not a URL"),
        ("https://example.com:hunter2/may.csv", "is not a URL"),
        ("https://example.com/may.csv?X-Amz-Signature=hunter2", "contains a secret (X-Amz-Sig"),
        ("https://example.com/may.csv?sv=1&sig=hunter2", "contains a secret (sig)"),
        ("https://example.com/may.csv?access_token=hunter2", "(access_token)"),
        ("https://example.com/may.csv?apiKey=hunter2", "(apiKey)"),
        ("https://example.com/may.csv?%74oken=hunter2", "(token)"),
    ],
)
def test_urls_with_secrets_or_without_a_file_are_refused(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        checked_url(url)
    assert advice in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_messages_show_no_query() -> None:
    assert shown_url("https://example.com/may.csv") == "https://example.com/may.csv"
    assert shown_url("https://example.com/may.csv?list=7") == "https://example.com/may.csv?…"
    assert shown_url("https://example.com/may.csv#a") == "https://example.com/may.csv?…"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/lists/may%202.csv?x=/a.b", "may 2.csv"),
        ("s3://bucket/lists/may.parquet", "may.parquet"),
        ("https://example.com/lists/", ""),
    ],
)
def test_the_file_name_is_the_end_of_the_path(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (f"{SHEET}/edit#gid=7", f"{SHEET}/export?format=csv&gid=7"),
        (f"{SHEET}/edit?gid=7&usp=sharing#gid=7", f"{SHEET}/export?format=csv&gid=7"),
        (f"{SHEET}/edit?usp=sharing", f"{SHEET}/export?format=csv"),
        (SHEET, f"{SHEET}/export?format=csv"),
        # a browser with several accounts
        (SHEET.replace("/d/", "/u/1/d/") + "/edit#gid=0", f"{SHEET}/export?format=csv&gid=0"),
        # published to the web
        (
            SHEET.replace("/d/", "/d/e/") + "/pubhtml?gid=3&single=true",
            SHEET.replace("/d/", "/d/e/") + "/pub?output=csv&single=true&gid=3",
        ),
        # ready for the download already
        (f"{SHEET}/export?format=csv&gid=7", f"{SHEET}/export?format=csv&gid=7"),
        # no sheet
        ("https://example.com/spreadsheets/d/1AbC-dEf_GhIjKlMn/edit", None),
        (f"{SHEET}/edit#gid=7%26format=xlsx", f"{SHEET}/export?format=csv"),
    ],
)
def test_the_address_of_a_sheet_becomes_that_of_its_export(url: str, address: str | None) -> None:
    assert download_url(url) == (address or url)


@pytest.mark.parametrize(
    ("url", "folder", "is_below"),
    [
        ("https://a.com/x/b.csv", "https://a.com/x/", True),
        ("https://a.com/x/b.csv", "https://a.com/x", True),
        ("https://A.com/x/b.csv", "https://a.com/x/b.csv", True),
        ("s3://bucket/b.csv", "s3://bucket/", True),
        ("https://a.com/xy/b.csv", "https://a.com/x", False),
        ("https://a.com.evil.com/x/b.csv", "https://a.com/x", False),
        ("https://a.com:444/x/b.csv", "https://a.com/x", False),
        ("s3://bucket2/b.csv", "s3://bucket/", False),
        ("https://a.com/x/../b.csv", "https://a.com/x", False),
        ("https://a.com/x/%2e%2E/b.csv", "https://a.com/x", False),
        ("https://a.com/x/%252e%252e/b.csv", "https://a.com/x", False),
        ("https://a.com/x/..%5cb.csv", "https://a.com/x", False),
    ],
)
def test_a_login_goes_to_its_folder_alone(url: str, folder: str, is_below: bool) -> None:
    assert lies_below(url, folder) is is_below


@given(st.text(max_size=60), st.sampled_from(["https://", "s3://", "gs://", "https://a.com/?", ""]))
def test_what_is_accepted_is_safe_to_ask_and_to_show(rest: str, start: str) -> None:
    url = start + rest
    with suppress(ValueError):
        checked_url(url)
        parts = urlsplit(download_url(url))
        assert parts.scheme in ("https", "s3", "gs")
        assert "@" not in parts.netloc
        assert "?" not in shown_url(url).removesuffix("?…")
        assert not any("signature" in name.lower() for name in parse_qs(parts.query))
