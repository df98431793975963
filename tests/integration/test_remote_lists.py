"""Lists are read from a real https server and a real S3-compatible store."""

from __future__ import annotations

import gzip
import logging
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import trustme

from mailsluice.audience.remote import limits, web
from mailsluice.audience.remote.storage import Storage
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.campaign.list_url import download_url
from mailsluice.core.errors import AudienceError
from tests.databases import no_database
from tests.list_server import Answer, ListServer

CSV = b"email,first_name\nada@example.com,Ada\nbob@example.com,Bob\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[ListServer]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with ListServer(tls) as running:
        yield running


@pytest.fixture
def files(server: ListServer, authority: trustme.CA, tmp_path: Path) -> Storage:
    """The storage of the server's folder /lists/."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return Storage("files", f"{server.url}/lists/", ca_file=str(ca_file), in_private_network=True)


def read(url: str, storage: Storage, **fields: Any) -> list[tuple[str, ...]]:
    source = RecipientSource(url=url, storage=storage.name, **fields)
    chunks = read_chunks(source, connect=no_database, storages={storage.name: storage})
    frames = [pd.concat([one.email.rename("email"), one.variables], axis=1) for one in chunks]
    return [tuple(row) for frame in frames for row in frame.itertuples(index=False)]


def error_of(url: str, storage: Storage, **fields: Any) -> str:
    with pytest.raises(AudienceError) as caught:
        read(url, storage, **fields)
    return str(caught.value)


ROWS = [("ada@example.com", "Ada"), ("bob@example.com", "Bob")]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("may.csv", Answer(CSV)),
        ("may.csv", Answer(CSV, is_chunked=True)),
        ("may.csv.gz", Answer(gzip.compress(CSV))),
        ("may.csv", Answer(gzip.compress(CSV), headers={"Content-Encoding": "gzip"})),
        ("may.tsv", Answer(CSV.replace(b",", b"\t"))),
        ("export", Answer(CSV, headers={"Content-Type": "application/octet-stream"})),
    ],
)
def test_a_list_is_read_from_the_web(
    server: ListServer, files: Storage, name: str, answer: Answer
) -> None:
    server.answers[f"/lists/{name}"] = answer
    assert read(f"{server.url}/lists/{name}", files) == ROWS


def test_the_format_is_told_by_the_content(
    server: ListServer, files: Storage, tmp_path: Path
) -> None:
    pd.DataFrame(ROWS, columns=["email", "first_name"]).to_parquet(tmp_path / "x")
    server.answers["/lists/export?id=7"] = Answer((tmp_path / "x").read_bytes())
    assert read(f"{server.url}/lists/export?id=7", files) == ROWS


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(CSV, length=len(CSV) + 10), "the download ended too early"),
        (Answer(CSV, is_chunked=True, ends_well=False), "the download ended too early"),
        (Answer(CSV, length=-1), "does not say where the list ends"),
        (Answer(gzip.compress(CSV)[:-6]), "its end is missing"),
        (Answer(gzip.compress(CSV)[:12] + b"\0" * 40), "its compression is damaged"),
        (Answer(CSV, headers={"Content-Encoding": "br"}), "compresses the list although"),
        (Answer(b" \n<!DOCTYPE html><title>Log in</title>"), "a web page and not a list"),
        (Answer(status=403), "answers 403: correct the URL, or the login of the storage"),
        (Answer(status=503), "answers 503: try again later"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1/a"}), "not https"),
        (Answer(status=302, headers={"Location": "https://a:b@127.0.0.1/a"}), "not https"),
        (Answer(status=302, headers={"Location": "/lists/may.csv"}), "redirects more than 5 times"),
        (Answer(b"email\n\xff\n"), "has the byte 0xff in line 2"),
    ],
)
def test_what_is_no_whole_list_is_an_error(
    server: ListServer, files: Storage, answer: Answer, what: str
) -> None:
    server.answers["/lists/may.csv"] = answer
    message = error_of(f"{server.url}/lists/may.csv", files)
    assert what in message
    assert f"{server.url}/lists/may.csv" in message


def test_a_list_is_bounded_also_uncompressed(
    server: ListServer, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSLUICE_LIST_MEGABYTES", "1")
    server.answers["/lists/bomb.csv.gz"] = Answer(gzip.compress(b"a" * (2 << 20)))
    assert "more than 1 MB" in error_of(f"{server.url}/lists/bomb.csv.gz", files)
    monkeypatch.setenv("MAILSLUICE_LIST_MEGABYTES", "much")
    assert "is no number of megabytes" in error_of(f"{server.url}/lists/bomb.csv.gz", files)


def test_a_server_that_sends_a_few_octets_now_and_then_is_given_up(
    server: ListServer, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_SECONDS", -60.0)
    goes_on = threading.Event()
    server.answers["/lists/may.csv"] = Answer(CSV, length=len(CSV) + 1, goes_on=goes_on)
    try:
        assert "takes longer than" in error_of(f"{server.url}/lists/may.csv", files)
    finally:
        goes_on.set()


@pytest.mark.parametrize(
    ("login", "authorization"),
    [
        ({"token": "t0ken"}, "Bearer t0ken"),
        ({"username": "me", "password": "s3cret"}, "Basic bWU6czNjcmV0"),
    ],
)
def test_the_login_goes_to_its_folder_alone(
    server: ListServer, files: Storage, login: dict[str, str], authorization: str
) -> None:
    storage = Storage(
        "files", files.address, ca_file=files.ca_file, in_private_network=True, **login
    )
    elsewhere = {"Location": f"{server.url}/elsewhere.csv"}
    server.answers["/lists/may.csv"] = Answer(status=307, headers=elsewhere)
    server.answers["/elsewhere.csv"] = Answer(CSV)
    message = error_of(f"{server.url}/lists/may.csv", storage)
    assert "in a private network" in message  # what the storage allows is for its folder, too
    assert server.asked == [("/lists/may.csv", authorization)]
    assert "for URLs in another folder" in error_of(f"{server.url}/elsewhere.csv", storage)
    assert "s3cret" not in repr(storage) + message


def test_a_presigned_query_is_sent_and_shown_nowhere(
    server: ListServer, files: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    query = "X-Amz-Signature=hunter2"
    storage = Storage(
        "files", files.address, query=query, ca_file=files.ca_file, in_private_network=True
    )
    server.answers[f"/lists/may.csv?{query}"] = Answer(CSV)
    with caplog.at_level(logging.DEBUG):
        assert read(f"{server.url}/lists/may.csv", storage) == ROWS
        message = error_of(f"{server.url}/lists/june.csv", storage)
    assert "hunter2" not in message + caplog.text + repr(storage)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NO_PROXY": "localhost"},
        {"HTTP_PROXY": "http://127.0.0.1:9"},  # for other addresses
        {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "example.org,127.0.0.1"},
    ],
)
def test_servers_in_private_networks_are_read_only_with_a_storage_for_them(
    server: ListServer,
    files: Storage,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server.answers["/lists/may.csv"] = Answer(CSV)
    public = Storage("files", files.address, ca_file=files.ca_file)
    assert "in a private network" in error_of(f"{server.url}/lists/may.csv", public)
    assert server.asked == []
    # Whether a port of the private network is open cannot be told either.
    closed = "https://127.0.0.1:9/"
    assert "in a private network" in error_of(f"{closed}may.csv", Storage("closed", closed))


def test_a_name_that_becomes_private_after_the_look_up_is_asked_nothing(
    server: ListServer, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [(2, 1, 6, "", ("9.9.9.9", 443))]

    monkeypatch.setattr(web, "getaddrinfo", looked_up)
    server.answers["/lists/may.csv"] = Answer(CSV)
    public = Storage("files", files.address, ca_file=files.ca_file)
    assert "in a private network" in error_of(f"{server.url}/lists/may.csv", public)
    assert server.asked == []


def test_a_proxy_is_asked_where_the_environment_names_one(
    server: ListServer, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:9")
    server.answers["/lists/may.csv"] = Answer(CSV)
    assert "cannot be reached" in error_of(f"{server.url}/lists/may.csv", files)
    assert server.asked == []


@pytest.mark.parametrize(
    ("host", "is_public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("10.0.0.7", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),  # the metadata of a cloud's machine
        ("100.64.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::7", False),
        ("::ffff:10.0.0.7", False),
        ("::ffff:9.9.9.9", True),
    ],
)
def test_private_addresses_are_known(host: str, is_public: bool) -> None:
    assert web._is_public(host) is is_public


def test_an_unknown_certificate_is_refused(server: ListServer, files: Storage) -> None:
    storage = Storage("files", files.address, in_private_network=True)
    assert "cannot be verified" in error_of(f"{server.url}/lists/may.csv", storage)
    assert server.asked == []


def test_a_sheet_that_is_not_shared_says_so(
    server: ListServer, files: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = "https://docs.google.com/spreadsheets/d/1AbC-dEf_GhIjKlMn/edit#gid=7"
    login = Answer(b"<html><title>Sign in</title></html>")
    server.answers["/spreadsheets/d/1AbC-dEf_GhIjKlMn/export?format=csv&gid=7"] = login
    monkeypatch.setattr(
        web, "download_url", lambda url: f"{server.url}/{real(url).split('/', 3)[3]}"
    )
    storage = Storage(
        "files", "https://docs.google.com/", ca_file=files.ca_file, in_private_network=True
    )
    monkeypatch.setattr(web, "_refuse_private", lambda _: None)
    assert "share the sheet with anyone who has the link" in error_of(sheet, storage)


real = download_url


def test_a_missing_storage_is_named() -> None:
    source = RecipientSource(url="https://example.com/may.csv", storage="crm")
    with pytest.raises(AudienceError, match="there is no storage 'crm' \\(given: none\\)"):
        [*read_chunks(source, connect=no_database)]


@pytest.mark.parametrize("name", ["may.csv", "none.csv"])
def test_nothing_is_left_on_disk(
    server: ListServer, files: Storage, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {*tmp_path.iterdir()}
    server.answers["/lists/may.csv"] = Answer(CSV)
    if name == "may.csv":
        read(f"{server.url}/lists/{name}", files)
    else:
        error_of(f"{server.url}/lists/{name}", files)
    assert {*tmp_path.iterdir()} == before


@pytest.fixture(scope="module")
def bucket() -> Iterator[Storage]:
    from moto.server import ThreadedMotoServer  # imports boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()  # of an earlier server
        httpx.put(f"{endpoint}/crm").raise_for_status()
        httpx.put(f"{endpoint}/crm/lists/may%202.csv", content=CSV).raise_for_status()
        packed = gzip.compress(CSV)
        httpx.put(f"{endpoint}/crm/lists/may.csv.gz", content=packed).raise_for_status()
        yield Storage("crm", "s3://crm/lists/", "key-id", "s3cret", endpoint=endpoint)
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["may%202.csv", "may.csv.gz"])
def test_a_list_is_read_from_a_bucket(bucket: Storage, name: str) -> None:
    assert read(f"s3://crm/lists/{name}", bucket) == ROWS


def test_google_is_asked_by_the_protocol_of_s3_with_an_hmac_key(bucket: Storage) -> None:
    storage = Storage("crm", "gs://crm/", "key-id", "s3cret", endpoint=bucket.endpoint)
    assert read("gs://crm/lists/may.csv.gz", storage) == ROWS


def test_what_a_bucket_does_not_give_is_an_error(bucket: Storage) -> None:
    message = error_of("s3://crm/lists/june.csv", bucket)
    assert "the list s3://crm/lists/june.csv cannot be read: there is no such object" in message
    assert "for URLs in another folder" in error_of("s3://other/june.csv", bucket)
    gone = Storage("crm", "s3://crm/", "key-id", "s3cret", endpoint="http://127.0.0.1:9")
    assert "s3cret" not in error_of("s3://crm/lists/june.csv", gone)
