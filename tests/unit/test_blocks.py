"""The blocks and the form, without a server."""

from __future__ import annotations

from typing import Any

import prefect
import pytest
from prefect import flow
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.utilities.schema_tools.validation import ValidationError as SchemaError
from prefect.utilities.schema_tools.validation import validate
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import ValidationError
from sqlalchemy import text

from blocks import CampaignForm, ListStorage, Mailbox, SMTPConnection, form
from blocks.form_block import FormBlock
from mailsluice.bounces import mailbox as engine
from mailsluice.campaign import Campaign, Provider
from mailsluice.smtp.connection import Connection, Security

DOCUMENT: dict[str, Any] = {
    "name": "spring-sale",
    "recipients": {"path": "recipients.csv"},
    "message": {
        "sender": "News <news@example.com>",
        "subject": "Hi",
        "html": "Hello",
        "text": None,
    },
    "strategy": "percentage",
    "routes": [
        {"connection": "sendgrid", "percent": 70},
        {"connection": "sparkpost", "percent": 30},
    ],
    "batch_size": 100,
    "throttle": {"per_hour": 6000},
}
OAUTH: dict[str, Any] = {
    "client_id": "client",
    "client_secret": "hidden secret",
    "refresh_token": "hidden token",
    "token_url": "https://login.example.com/token",
    "scope": "mail",
}


@pytest.mark.parametrize(
    ("block", "names"),
    [
        (Mailbox, (form.MAILBOX_SLUG, form.MAILBOX_TYPE)),
        (ListStorage, (form.STORAGE_SLUG, form.STORAGE_TYPE)),
        (SqlAlchemyConnector, (form.DATABASE_SLUG, form.DATABASE_TYPE)),
    ],
)
def test_the_form_names_the_blocks_that_it_does_not_load(
    block: type[Block], names: tuple[str, str]
) -> None:
    assert (block.get_block_type_slug(), block.get_block_type_name()) == names


def saved(block: Any, name: str) -> Any:
    """The block as loaded under this name."""
    block._block_document_name = name
    return block


@flow(name="send-campaign")
def stub(campaign: CampaignForm) -> None:
    """A flow that takes the form."""


def test_a_block_becomes_the_connection_of_that_name() -> None:
    block = SMTPConnection(
        host=" smtp.example.com ", username="me", password="secret", per_hour=4200, ca_file="ca.pem"
    )
    assert block.to_connection("sendgrid") == Connection(
        name="sendgrid",
        host="smtp.example.com",
        port=587,
        security=Security.STARTTLS,
        username="me",
        password="secret",
        ca_file="ca.pem",
        per_hour=4200,
    )


def test_the_block_has_a_field_for_everything_a_connection_holds() -> None:
    fields = set(Connection.__dataclass_fields__) - {"name"}
    assert fields == set(SMTPConnection.model_fields) - {"events_key", "events_api"}


def test_an_events_key_is_checked_for_its_provider() -> None:
    with pytest.raises(ValidationError, match="not a verification key of SendGrid"):
        SMTPConnection(host="a", identity={"provider": "sendgrid"}, events_key="no key")
    with pytest.raises(ValidationError, match="too short to be safe"):
        SMTPConnection(host="a", events_key="short")
    block = SMTPConnection(
        host="a", identity={"provider": "brevo"}, events_key="me:a-long-password"
    )
    source = block.event_source("relay")
    assert source
    assert (source.connection, source.provider) == ("relay", Provider.BREVO)
    assert "a-long-password" not in repr(source)
    assert SMTPConnection(host="a").event_source("relay") is None


def test_an_events_api_is_checked_for_its_provider() -> None:
    with pytest.raises(ValidationError, match="let SendGrid push its events") as caught:
        SMTPConnection(
            host="a", identity={"provider": "sendgrid"}, events_api={"key": "hidden-key"}
        )
    assert "hidden-key" not in str(caught.value)
    api = {"key": "hidden-key", "domain": "mg.example.com", "url": ""}
    block = SMTPConnection(host="a", identity={"provider": "mailgun"}, events_api=api)
    account = block.event_account("relay")
    assert account
    assert (account.connection, account.provider) == ("relay", Provider.MAILGUN)
    assert "hidden-key" not in repr(account) + repr(block)
    empty = SMTPConnection(host="a", events_api=dict.fromkeys(api, ""))
    assert empty.event_account("relay") is None


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"host": "smtp.example.com:587"}, "not a host: write only the name or IP address"),
        ({"host": "smtp://smtp.example.com"}, "not a host"),
        ({"host": "  "}, "no host"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"port": 65_536}, "less than or equal to 65535"),
        ({"security": "ssl"}, "'none', 'starttls' or 'tls'"),
        ({"username": "me"}, "add the password"),
        ({"password": "secret"}, "add the username"),
        (
            {"username": "me", "password": "secret", "security": "none"},
            "would travel in clear: choose 'starttls' or 'tls', or set allow_plain_password",
        ),
        ({"oauth": OAUTH}, "or with OAuth: add the username"),
        ({"username": "me", "password": "secret", "oauth": OAUTH}, "not both: clear one of them"),
        (
            {"username": "me", "oauth": OAUTH, "security": "none"},
            "the access token would travel in clear",
        ),
        ({"oauth": {"client_id": "x"}}, "needs a client ID and a token URL"),
        ({"oauth": {"refresh_token": "secret"}}, "needs a client ID and a token URL"),
        ({"per_second": 0}, "greater than or equal to 1"),
        ({"per_minute": 0}, "greater than or equal to 1"),
        ({"per_hour": 0}, "greater than or equal to 1"),
        ({"per_day": 0}, "greater than or equal to 1"),
        ({"per_week": 0}, "greater than or equal to 1"),
        ({"max_sessions_per_host": 0}, "greater than or equal to 1"),
        ({"per_calendar_day": 0}, "greater than or equal to 1"),
        ({"day_begins_at": 24}, "less than or equal to 23"),
        ({"per_month": 0}, "greater than or equal to 1"),
        ({"month_begins_on": 29}, "less than or equal to 28"),
        ({"calendar_timezone": "Europe/Berln"}, "use an IANA name, such as Europe/Berlin"),
        ({"cool_down_seconds": 0}, "greater than or equal to 1"),
        ({"cool_down_after": 0}, "greater than or equal to 1"),
        ({"max_sessions": 0}, "greater than or equal to 1"),
        ({"messages_in_flight": 0}, "greater than or equal to 1"),
        ({"messages_in_flight": 101}, "less than or equal to 100"),
        ({"messages_per_session": 0}, "greater than or equal to 1"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"per_hours": 100}, "Extra inputs are not permitted"),  # a limit that would not hold
    ],
)
def test_a_connection_that_cannot_work_is_refused_with_advice(
    fields: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        SMTPConnection(**{"host": "smtp.example.com", **fields})
    assert advice in str(caught.value)
    assert "'secret'" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("host", ["::1", "127.0.0.1", "localhost", "smtp.example.com"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert SMTPConnection(host=host).host == host


def test_a_password_in_clear_text_must_be_allowed_explicitly() -> None:
    login = {"username": "me", "password": "secret", "security": "none"}
    assert SMTPConnection(host="relay", **login, allow_plain_password=True).to_connection("relay")


def test_a_password_is_not_shown() -> None:
    block = SMTPConnection(host="relay", username="me", password="hidden")
    assert "hidden" not in repr(block) + repr(block.to_connection("relay")) + str(block)


def test_oauth_secrets_are_not_shown() -> None:
    block = SMTPConnection(host="smtp.gmail.com", username="me", oauth=OAUTH)
    shown = repr(block) + repr(block.to_connection("gmail")) + repr(block.oauth) + str(block)
    assert "hidden" not in shown
    hidden = [
        "password",
        "oauth.client_secret",
        "oauth.refresh_token",
        "dkim.private_key",
        "dkim.second_private_key",
        "events_key",
        "events_api.key",
        "events_api.session_token",
    ]
    assert SMTPConnection.model_json_schema()["secret_fields"] == hidden


def test_empty_oauth_fields_count_as_absent() -> None:
    empty = dict.fromkeys(OAUTH, "")
    assert SMTPConnection(host="relay", oauth=empty) == SMTPConnection(host="relay")


def test_a_block_may_wait_for_its_refresh_token() -> None:
    oauth = {**OAUTH, "refresh_token": "", "client_secret": ""}
    assert SMTPConnection(host="h", username="me", oauth=oauth).to_connection("h").oauth.is_used


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",  # secrets in clear
        "http://127.0.0.1.example.com/token",
        "ftp://login.example.com/token",
        "https:///token",
        "https://user@login.example.com/token",
        "https://[login/token",
        "https://login.example.com:what/token",
        "https://login example.com/token",
        "login.example.com/token",
    ],
)
def test_secrets_go_to_an_encrypted_token_url_only(url: str) -> None:
    with pytest.raises(ValidationError, match="no https address") as caught:
        SMTPConnection(host="h", username="me", oauth={**OAUTH, "token_url": url})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:80"])
def test_a_token_server_on_this_machine_needs_no_encryption(host: str) -> None:
    oauth = {**OAUTH, "token_url": f"http://{host}/token"}
    assert SMTPConnection(host="h", username="me", oauth=oauth)


def test_empty_fields_count_as_absent() -> None:
    block = SMTPConnection(host="relay", username="", password="", ca_file="", local_hostname="")
    assert block == SMTPConnection(host="relay")


def test_the_form_takes_names_and_loaded_blocks_alike() -> None:
    picked = [
        {"connection": saved(SMTPConnection(host="h"), "sendgrid"), "percent": 70},
        {"connection": saved(SMTPConnection(host="h"), "sparkpost"), "percent": 30},
    ]
    by_block = stub.validate_parameters({"campaign": {**DOCUMENT, "routes": picked}})
    assert by_block == stub.validate_parameters({"campaign": DOCUMENT})
    assert by_block["campaign"].content() == Campaign(**DOCUMENT).content()


def test_the_form_takes_a_campaign_from_python() -> None:
    taken = stub.validate_parameters({"campaign": Campaign(**DOCUMENT)})["campaign"]
    assert isinstance(taken, CampaignForm)
    assert taken.content() == Campaign(**DOCUMENT).content()


def test_a_database_is_picked_or_named() -> None:
    connector = saved(SqlAlchemyConnector(connection_info="sqlite://"), "crm")
    for database in ("crm", connector):
        source = {"query": "select 1", "database": database}
        for recipients in (source, [source, {"path": "more.csv"}]):
            campaign = CampaignForm(**{**DOCUMENT, "recipients": recipients})
            assert campaign.databases == {"crm"}


def test_a_database_block_gives_a_sync_engine() -> None:
    connector = SqlAlchemyConnector(connection_info="sqlite://")
    with connector, connector.get_engine().connect() as connection:
        assert connection.execute(text("select 41 + 1")).scalar_one() == 42


@pytest.mark.parametrize(
    ("block", "advice"),
    [
        (SMTPConnection(host="h"), "not saved: save it under a name"),
        (
            saved(SqlAlchemyConnector(connection_info="sqlite://"), "crm"),
            "of the type 'SQLAlchemy Connector': pick one of the type 'SMTP Connection'",
        ),
    ],
)
def test_a_block_that_cannot_be_a_connection_is_refused(block: Any, advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CampaignForm(**{**DOCUMENT, "routes": [{"connection": block, "percent": 100}]})
    assert advice in str(caught.value)


@pytest.mark.parametrize("connection", ["sendgrid", {"$ref": {"block_document_id": "some-id"}}])
def test_the_server_lets_names_and_references_through(connection: Any) -> None:
    """Prefect's server checks parameters against the schema before it creates a run."""
    document = {**DOCUMENT, "routes": [{"connection": connection, "percent": 100}]}
    validate({"campaign": document}, stub.parameters.model_dump(), raise_on_error=True)


@pytest.mark.parametrize("name", ["recipients", "exclude"])
def test_the_server_lets_one_source_and_several_through(name: str) -> None:
    reference = {"$ref": {"block_document_id": "5f0c4c2e-9c26-4f6f-9a0a-5a3ee3b9b0d5"}}
    query = {"query": "select 1", "database": reference}
    url = {"url": "s3://a/b.csv", "storage": reference}
    renamed = {"path": "a.csv", "columns": [{"column": "Vorname", "name": "first_name"}]}
    for sources in ({"path": "a.csv"}, query, url, renamed, [{"path": "a.csv"}, query, url]):
        document = {**DOCUMENT, name: sources}
        validate({"campaign": document}, stub.parameters.model_dump(), raise_on_error=True)


def test_the_server_refuses_what_the_bounds_refuse() -> None:
    document = {**DOCUMENT, "routes": [{"connection": "a", "percent": 101}]}
    with pytest.raises(SchemaError, match="101 is greater than the maximum of 100"):
        validate({"campaign": document}, stub.parameters.model_dump(), raise_on_error=True)


def test_blocks_are_picked_in_the_form() -> None:
    definitions = stub.parameters.definitions
    connection = definitions["RouteForm"]["properties"]["connection"]
    database = definitions["RecipientSourceForm"]["properties"]["database"]
    assert (connection["block_type_slug"], database["block_type_slug"]) == (
        "smtp-connection",
        "sqlalchemy-connector",
    )
    assert "type" not in connection | database  # with one, names or references would be refused


def test_a_mailbox_block_becomes_the_mailbox() -> None:
    block = Mailbox(host=" imap.example.com", username="me", password="pa55", ca_file="")
    account = block.to_mailbox("bounces")
    assert account == engine.MailboxAccount(
        "imap.example.com", "me", "pa55", name="mailbox/bounces"
    )
    assert "pa55" not in repr(block) + repr(account)


def test_a_mailbox_block_of_an_earlier_version_is_one_with_a_password() -> None:
    stored = {"host": "imap.example.com", "username": "me", "password": "secret", "port": 993}
    assert not Mailbox.model_validate(stored).to_mailbox("bounces").oauth.is_used


def test_the_secrets_of_a_mailbox_with_oauth_are_hidden() -> None:
    oauth = {**OAUTH, "client_secret": "s3cret", "refresh_token": "r3fresh"}
    block = Mailbox(host="imap.example.com", username="me", password="", oauth=oauth)
    account = block.to_mailbox("bounces")
    assert (account.password, account.oauth.secrets()) == ("", ["s3cret", "r3fresh"])
    assert not any(secret in repr(block) + repr(account) for secret in ("s3cret", "r3fresh"))


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"security": "none"}, "the password would travel .* set allow_plain_password"),
        ({"oauth": OAUTH}, "a password or OAuth, not both: clear one of them"),
        ({"password": ""}, "there is no password: enter it, or fill in the OAuth box"),
        ({"password": "", "oauth": OAUTH, "security": "none"}, "the access token would travel"),
        ({"processed_folder": "INBOX"}, "give another name"),
        ({"host": "imap.example.com:993"}, "put the port in its own field"),
        ({"folder": "a\r\nb"}, "is not the name of a folder: write it without"),
        ({"folder": "*"}, "is not the name of a folder: write it without"),  # a wildcard of LIST
    ],
)
def test_a_mailbox_that_cannot_work_is_refused_with_advice(
    fields: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ValidationError, match=advice):
        Mailbox(**{"host": "imap.example.com", "username": "me", "password": "x", **fields})


def test_the_form_of_a_mailbox_has_one_plain_input_a_field() -> None:
    properties = Mailbox.model_json_schema()["properties"]
    assert not [name for name, schema in properties.items() if "anyOf" in schema]
    assert all(
        schema.get("description") for name, schema in properties.items() if name != "security"
    )


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"address": "http://example.com/"}, "begins with https://"),
        ({"address": "https://a:s3cret@example.com/"}, "contains a user name"),
        ({"address": "https://example.com/a.csv?list=7"}, "into query"),
        ({"username": "me"}, "add the password"),
        ({"password": "s3cret"}, "add the username"),
        ({"token": "s3cret", "username": "a", "password": "s3cret"}, "clear one of them"),
        ({"address": "s3://a/", "token": "s3cret"}, "token and query are for https"),
        ({"address": "s3://a/", "endpoint": "http://example.com"}, "write the endpoint as https"),
        ({"region": "eu-west-1"}, "are for s3: clear them"),
    ],
)
def test_a_storage_that_cannot_work_is_refused_with_advice(
    fields: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ValidationError, match=advice) as caught:
        ListStorage(**{"address": "https://example.com/lists/", **fields})
    assert "s3cret" not in str(caught.value)


def test_a_storage_block_becomes_the_storage() -> None:
    block = ListStorage(address="s3://crm", username="key", password="s3cret", region="")
    storage = block.to_storage("crm")
    assert (storage.address, storage.password, storage.region) == ("s3://crm/", "s3cret", None)
    assert "s3cret" not in repr(block) + repr(storage)
    properties = ListStorage.model_json_schema()["properties"]
    assert not [name for name, schema in properties.items() if "anyOf" in schema]


@pytest.mark.parametrize("block_type", [SMTPConnection, Mailbox, ListStorage])
def test_a_block_type_has_a_logo_of_the_server_itself(block_type: type[Block]) -> None:
    """The address is neither `data:`, which Prefect refuses, nor on the internet."""
    with temporary_settings({PREFECT_UI_URL: "http://127.0.0.1:4200/"}):
        logo = str(block_type._to_block_type().logo_url)
    assert logo == "http://127.0.0.1:4200/ico/android-chrome-192x192.png"
    assert (prefect.__ui_static_path__ / "ico" / "android-chrome-192x192.png").exists()
    with temporary_settings({PREFECT_UI_URL: None, PREFECT_API_URL: None}):
        assert block_type._to_block_type().logo_url is None


@pytest.mark.parametrize(
    ("model", "title"),
    [("SenderIdentity", "Identity"), ("EventsApi", "Events API"), ("WarmUp", "Warm-up")],
)
def test_the_older_ui_shows_the_name_of_a_box(model: str, title: str) -> None:
    """It takes the title of the model, not that of the field."""
    assert SMTPConnection.model_json_schema()["definitions"][model]["title"] == title


@pytest.mark.parametrize("kind", [SMTPConnection, Mailbox, ListStorage])
def test_the_schema_that_is_kept_is_the_one_that_prefect_generates(kind: type[Block]) -> None:
    generated = super(FormBlock, kind).model_json_schema()  # type: ignore[misc]
    for _ in range(2):
        found = kind.model_json_schema()
        assert found == generated
        assert [*found["properties"]] == [*generated["properties"]]
        found["properties"].clear()  # a copy
    assert kind.model_json_schema(by_alias=False) == (
        super(FormBlock, kind).model_json_schema(by_alias=False)  # type: ignore[misc]
    )
