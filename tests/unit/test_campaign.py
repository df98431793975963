"""The campaign document: valid documents, and the advice for invalid ones."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign import Campaign, Strategy
from mailsluice.campaign.routes import Route
from mailsluice.core.forms import in_words
from mailsluice.core.named_address import parse_mailbox

DAY = date(2026, 1, 5)
TO_GOOGLE = {"provider": "google", "per_hour": 2_000}
MESSAGE = {"sender": "News <news@example.com>", "subject": "Hi", "text": "Hello"}


def campaign(**changes: Any) -> Campaign:
    """Return a small valid campaign, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "spring-sale",
        "recipients": {"path": "recipients.csv"},
        "message": MESSAGE,
        "routes": [{"connection": "sendgrid"}],
    }
    return Campaign(**{**fields, **changes})


def routes(percents: list[Any]) -> list[dict[str, Any]]:
    """Return a route for each percentage, named c0, c1, ..."""
    return [{"connection": f"c{i}", "percent": percent} for i, percent in enumerate(percents)]


def refusal(**changes: Any) -> str:
    """Return the error for a campaign with these fields changed."""
    with pytest.raises(ValidationError) as caught:
        campaign(**changes)
    return str(caught.value)


def test_the_smallest_campaign_has_one_connection_and_no_limits() -> None:
    small = campaign()
    assert small.strategy is Strategy.SINGLE
    assert small.throttle.per_hour is None
    assert small.shares(DAY) == {"sendgrid": Decimal(1)}


@pytest.mark.parametrize(
    "percents",
    [
        [70, 30],
        [33.3, 33.3, 33.4],  # floats, as in JSON, are exact as well
        ["33.3", "33.3", "33.4"],
        [12.5] * 8,
        [0, 100],  # a connection may have no share
        [100],
        ["0.000001", "99.999999"],
    ],
)
def test_percentages_that_add_up_to_100_are_accepted(percents: list[Any]) -> None:
    taken = campaign(strategy="percentage", routes=routes(percents))
    assert [route.percent for route in taken.routes] == [Decimal(str(value)) for value in percents]
    assert sum(taken.shares(DAY).values()) == 1


@pytest.mark.parametrize(
    ("percents", "advice"),
    [
        ([33.33] * 3, "add up to 99.99, not 100: raise one of them by 0.01"),
        ([70, 30.5], "add up to 100.5, not 100: lower one of them by 0.5"),
        ([70], "add up to 70, not 100: raise one of them by 30"),
        ([0, 0], "add up to 0, not 100: raise one of them by 100"),
        ([70, None], "connection 'c1' has no percentage: give it one (0 is allowed)"),
        ([101, -1], "less than or equal to 100"),
        ([110, -10], "greater than or equal to 0"),
        (["33.3333333", "66.6666667"], "no more than 6 decimal places"),
        (["a third", 50], "valid decimal"),
    ],
)
def test_other_percentages_are_refused_with_the_correction(
    percents: list[Any], advice: str
) -> None:
    assert advice in refusal(strategy="percentage", routes=routes(percents))


@given(st.lists(st.integers(0, 100_000_000), min_size=1, max_size=20))
def test_percentages_are_accepted_exactly_if_their_sum_is_100(millionths: list[int]) -> None:
    """No rounding lets a sum of 99.999999 or 100.000001 pass."""
    percents = [Decimal(share) / 1_000_000 for share in millionths]
    if sum(millionths) == 100_000_000:
        assert campaign(strategy="percentage", routes=routes(percents))
    else:
        assert "not 100" in refusal(strategy="percentage", routes=routes(percents))


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=9))
def test_the_last_percentage_can_always_complete_the_sum(millionths: list[int]) -> None:
    percents = [Decimal(share) / 1_000_000 for share in millionths]
    percents.append(100 - sum(percents, Decimal(0)))
    assert campaign(strategy="percentage", routes=routes(percents))


@pytest.mark.parametrize("strategy", ["single", "round_robin", "throughput"])
def test_a_percentage_outside_percentage_mode_is_refused(strategy: str) -> None:
    error = refusal(strategy=strategy, routes=routes([100]))
    assert (
        f"'c0' has a percentage, but the strategy is '{strategy}': remove the percentage" in error
    )


def test_a_single_campaign_takes_one_connection() -> None:
    error = refusal(routes=[{"connection": "a"}, {"connection": "b"}])
    assert "'single' takes one connection, not 2: remove the others, or choose" in error


def test_round_robin_shares_are_equal() -> None:
    three = campaign(strategy="round_robin", routes=[{"connection": name} for name in "abc"])
    assert set(three.shares(DAY).values()) == {Decimal(1) / 3}


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"routes": [{"connection": "a"}] * 2}, "'a' is listed twice: merge the two routes"),
        ({"routes": []}, "at least 1 item"),
        ({"routes": [{"connection": ""}]}, "at least 1 character"),
        (
            {"recipients": {"path": "a.csv", "url": "https://example.com/a.csv"}},
            "give either a file (path) or a URL (url), not both",
        ),
        (
            {"recipients": {"path": "a.csv", "storage": "crm"}},
            "a storage is for a URL: give the url of the list, too",
        ),
        (
            {"recipients": {"path": "a", "columns": [{"column": "a", "name": n} for n in "bc"]}},
            "the column 'a' is listed twice",
        ),
        (
            {"recipients": {"path": "a", "email_column": "x", "columns": {"email": "y"}}},
            "columns gives the addresses the column 'y', and email_column 'x'",
        ),
        (
            {"recipients": {}},
            "no recipients: give a file (path), a URL (url), or a query with",
        ),
        (
            {"recipients": {"path": "a.csv", "query": "select 1", "database": "crm"}},
            "either a file (path) or a query with its database, not both",
        ),
        ({"recipients": {"query": "select 1"}}, "add database"),
        ({"recipients": {"database": "crm"}}, "add query"),
        ({"exclude": {"query": "select 1"}}, "add database"),
        (
            {"recipients": {"path": "a.csv", "encoding": "utf-9"}},
            "unknown encoding 'utf-9': use a Python codec name such as utf-8 or cp1252",
        ),
        ({"recipients": {"path": "a.csv", "delimiter": "||"}}, "at most 1 character"),
        ({"recipients": {"path": "a.csv", "delimiter": "é"}}, "'é' cannot separate columns"),
        ({"recipients": {"path": "a.csv", "delimiter": "@"}}, "'@' cannot separate columns"),
        ({"recipients": {"path": "a.csv", "delimiter": '"'}}, "cannot separate columns"),
        ({"recipients": {"path": "a.csv", "delimiter": "\n"}}, "cannot separate columns"),
        ({"recipients": {"path": "a.csv", "delimiter": "1"}}, "'1' cannot separate columns"),
        # Codecs that are not the encoding of any file.
        *(
            ({"recipients": {"path": "a.csv", "encoding": name}}, f"unknown encoding {name!r}")
            for name in (
                "unicode_escape",
                "raw-unicode-escape",
                "rot13",
                "idna",
                "punycode",
                "undefined",
                "base64",
            )
        ),
        ({"message": {**MESSAGE, "text": None}}, "the message is empty: give html, text, or both"),
        ({"message": {**MESSAGE, "sender": "News"}}, "not an e-mail address: write it as Name <"),
        ({"message": {**MESSAGE, "sender": "News <news@>"}}, "not an e-mail address"),
        ({"message": {**MESSAGE, "reply_to": "a@b\r\nBcc: c@d"}}, "remove the line break"),
        (
            {"message": {**MESSAGE, "headers": [{"name": "Subject", "value": "x"}]}},
            "header Subject is set by Mailsluice itself: leave it out",
        ),
        (
            {"message": {**MESSAGE, "headers": [{"name": "X Y", "value": "x"}]}},
            "is not the name of a",
        ),
        ({"message": {**MESSAGE, "headers": [{"name": "X", "value": "a\nb"}]}}, "one line"),
        ({"name": ""}, "the name is empty"),
        ({"name": "two\nlines"}, "U+000A (a control character) as its character 4"),
        ({"name": "n" * 201}, "has 201 characters, 200 are allowed"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"throttle": {"per_hour": 0}}, "greater than or equal to 1"),
        ({"throttle": {"per_fortnight": 1}}, "Extra inputs are not permitted"),
        ({"per_provider": [{"provider": "google"}]}, "'google' has no limit: fill in per_second"),
        ({"per_provider": [{"provider": "gogle", "per_hour": 1}]}, "did you mean google?"),
        ({"per_provider": [TO_GOOGLE, TO_GOOGLE]}, "'google' is listed twice"),
        ({"retry": {"max_attempts": 0}}, "greater than or equal to 1"),
        ({"retry": {"max_age_hours": 0}}, "greater than 0"),
        ({"strategy": "random"}, "'single', 'percentage', 'round_robin' or 'throughput'"),
        (
            {"strategy": "throughput", "canary": {"percent": 1, "approve": "operator"}},
            "a canary is a part of each connection's recipients, which the strategy 'throughput'",
        ),
        (
            {"strategy": "throughput", "sending_window": {"days": "Mon", "zone_column": "zone"}},
            "with the strategy 'throughput' there is one sending window for all recipients",
        ),
        (
            {"strategy": "throughput", "spread_over": 2},
            "the strategy 'throughput' ends it as early as possible: remove them",
        ),
        (
            {
                "strategy": "throughput",
                "routes": [{"connection": "a"}, {"connection": "b", "standby": True}],
                "on_connection_down": "reassign",
            },
            "'b' is a standby, but with the strategy 'throughput' all connections send",
        ),
        (
            {
                "strategy": "throughput",
                "routes": [{"connection": "a"}, {"connection": "b"}],
                "lend": True,
            },
            "with the strategy 'throughput', connections that have room claim more anyway",
        ),
        (
            {
                "strategy": "throughput",
                "on_connection_down": "reassign",
                "reassign_after_minutes": 5,
            },
            "with the strategy 'throughput', the other connections send to them anyway",
        ),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        *(
            ({"processes": wrong}, "write a number from 1 to 64, or auto")
            for wrong in (0, 65, "65", "02", "two", True, 1.0, None)
        ),
        ({"dispatch": "workers", "processes": 2}, "processes is for the dispatch 'inline'"),
    ],
)
def test_invalid_campaigns_are_refused_with_advice(changes: dict[str, Any], advice: str) -> None:
    assert advice in refusal(**changes)


def test_a_campaign_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        campaign().name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        campaign().routes[0].connection = "other"  # type: ignore[misc]


def test_names_are_stripped_and_a_tab_stays_a_delimiter() -> None:
    taken = campaign(name=" spring-sale ", recipients={"path": " a.csv ", "delimiter": "\t"})
    (source,) = taken.recipient_sources
    assert (taken.name, source.path) == ("spring-sale", "a.csv")
    assert source.delimiter == "\t"


@pytest.mark.parametrize("name", ["recipients", "exclude"])
def test_a_list_of_one_source_is_that_source(name: str) -> None:
    source = {"path": "a.csv", "encoding": "cp1252"}
    one, listed = campaign(**{name: source}), campaign(**{name: [source]})
    assert listed == one
    assert listed.content() == one.content()


def test_sources_are_read_in_the_order_of_the_list() -> None:
    several = [{"path": "a.csv"}, {"query": "select 1", "database": "crm"}]
    taken = campaign(recipients=several, exclude=several[::-1])
    assert [source.label for source in taken.recipient_sources] == ["a.csv", "query on crm"]
    assert taken.excluded_sources == taken.recipient_sources[::-1]
    assert taken.databases == {"crm"}
    assert campaign(**json.loads(json.dumps(taken.content()))) == taken


@pytest.mark.parametrize("empty", [{}, []])
def test_nothing_is_excluded_by_an_exclusion_that_is_not_filled_in(empty: Any) -> None:
    taken = campaign(exclude=empty)
    assert taken.excluded_sources == ()
    assert taken.content() == campaign().content()


@pytest.mark.parametrize(
    ("sources", "advice"),
    [
        ([], "recipients: no recipients: give a file"),
        ([{"path": "a.csv"}, {}], "recipients: no. 2 names nothing to read"),
        ([{"path": "a.csv"}, {"pth": "b.csv"}], "recipients > no. 2 > pth: there is no such field"),
        ([{"path": "a.csv"}] * 101, "at most 100 are read"),
        ("a.csv", "recipients: this must be a group of fields"),
    ],
)
def test_a_list_of_sources_is_checked_one_by_one(sources: Any, advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        campaign(recipients=sources)
    assert advice in in_words(caught.value)


@pytest.mark.parametrize(
    ("path", "is_parquet"),
    [
        ("a.parquet", True),
        ("A.PARQUET", True),
        ("a.pq", True),
        ("a.csv", False),
        ("parquet", False),
    ],
)
def test_a_parquet_file_is_recognised_by_its_name(path: str, is_parquet: bool) -> None:
    (source,) = campaign(recipients={"path": path}).recipient_sources
    assert source.is_parquet is is_parquet


@pytest.mark.parametrize(("given", "taken"), [(2, 2), ("2", 2), ("64", 64), ("auto", "auto")])
def test_processes_are_a_number_or_text_as_a_form_has_it(given: Any, taken: Any) -> None:
    assert campaign(processes=given).processes == taken


@pytest.mark.parametrize(
    ("campaigns", "routes_say", "lenders"),
    [
        (False, (None, None), []),
        (True, (None, None), ["a", "b"]),
        (True, (None, False), ["a"]),  # the second one sends to its own recipients only
        (False, (True, None), ["a"]),
        (True, ("no", "campaign"), ["b"]),
        (False, ("yes", "campaign"), ["a"]),
    ],
)
def test_a_route_says_itself_whether_it_sends_for_others(
    campaigns: bool, routes_say: tuple[object, ...], lenders: list[str]
) -> None:
    given = [
        {"connection": name, "lend": lend} for name, lend in zip("ab", routes_say, strict=True)
    ]
    assert campaign(strategy="round_robin", lend=campaigns, routes=given).lenders == lenders


def test_lending_needs_another_connection() -> None:
    assert "lend needs at least two connections" in refusal(lend=True)
    standby = [{"connection": "a"}, {"connection": "b", "standby": True}]
    only_standby = {"routes": standby, "on_connection_down": "reassign"}
    assert "lend needs at least two connections" in refusal(lend=True, **only_standby)


def test_settings_of_lending_without_a_lender_are_refused() -> None:
    nobody = [{"connection": name, "percent": 50, "lend": "no"} for name in "ab"]
    assert "no route may send for others" in refusal(lend=True, routes=nobody)
    assert "max_shift_percent is for lend" in refusal(max_shift_percent=20)


STANDBY = {"connection": "b", "standby": True}


@pytest.mark.parametrize(
    ("strategy", "routes", "shares"),
    [
        ("single", [{"connection": "a"}, STANDBY], {"a": 1}),
        ("percentage", [{"connection": "a", "percent": 100}, STANDBY], {"a": 1}),
        ("round_robin", [STANDBY, {"connection": "a"}, {"connection": "c"}], {"a": 0.5, "c": 0.5}),
    ],
)
def test_a_standby_has_no_share(
    strategy: str, routes: list[dict[str, Any]], shares: dict[str, float]
) -> None:
    found = campaign(strategy=strategy, routes=routes, on_connection_down="reassign")
    assert found.standbys == ("b",)
    assert found.shares(DAY) == shares
    assert found.content()["routes"][routes.index(STANDBY)]["standby"]


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"routes": [STANDBY]}, "all connections are standbys"),
        ({"routes": [{"connection": "a"}, STANDBY], "on_connection_down": "hold"}, "set that"),
        ({"reassign_after_minutes": 5, "on_connection_down": "hold"}, "or remove the minutes"),
        (
            {"routes": [{**STANDBY, "percent": 0}], "strategy": "percentage"},
            "remove its percentage, or its standby",
        ),
        ({"routes": [{"connection": "a"}, {**STANDBY, "lend": True}]}, "remove its lend"),
    ],
)
def test_a_standby_that_makes_no_sense_is_refused(fields: dict[str, Any], advice: str) -> None:
    assert advice in refusal(**{"on_connection_down": "reassign", **fields})


def test_content_leaves_out_the_name_and_the_changeable_settings() -> None:
    changed = campaign(
        name="other",
        throttle={"per_hour": 6000},
        per_provider=[TO_GOOGLE],
        retry={"max_attempts": 2},
        uncertain="resend",
        on_connection_down="reassign",
        reassign_after_minutes=10,
        processes="auto",
        routes=[{"connection": "sendgrid", "lend": False}],
    )
    assert changed.content() == campaign().content()
    two = {"strategy": "round_robin", "routes": [{"connection": "a"}, {"connection": "b"}]}
    lending = campaign(**two, lend=True, max_shift_percent=5)
    assert lending.content() == campaign(**two).content()


@pytest.mark.parametrize(
    "changes",
    [
        {"recipients": {"path": "other.csv"}},
        {"exclude": {"path": "other.csv"}},
        {"message": {**MESSAGE, "subject": "Ho"}},
        {"routes": [{"connection": "other"}]},
        {"strategy": "round_robin"},
        {"batch_size": 7},
        {"resolve": "mx"},
    ],
)
def test_different_campaigns_have_different_content(changes: dict[str, Any]) -> None:
    assert campaign(**changes).content() != campaign().content()


@pytest.mark.parametrize("off", ["off", False])  # YAML reads a bare off as false
def test_content_is_that_of_campaigns_stored_before_there_were_look_ups(off: object) -> None:
    assert campaign(resolve=off).content() == campaign().content()
    assert "resolve" not in campaign().content()
    assert campaign(resolve="mx").content()["resolve"] == "mx"


def test_an_order_is_content_only_if_it_is_set() -> None:
    assert campaign(order_by="").content() == campaign(order_by=None).content()
    assert "order_by" not in campaign().content()
    assert campaign(order_by="score").content()["order_by"] == "score"
    ascending = campaign(order_by="score", order_descending=False)
    assert ascending.content() != campaign(order_by="score").content()
    assert campaign(order_descending=False).content() == campaign().content()


def test_content_is_json_that_makes_the_same_campaign() -> None:
    first = campaign(strategy="percentage", routes=routes([33.3, 33.3, 33.4]))
    again = campaign(**json.loads(json.dumps(first.content())))
    assert again == first


def test_every_field_of_the_schema_has_one_plain_type() -> None:
    """Forms show any other schema as tabs, or as a raw JSON editor.

    Sources are the only fields with tabs: one for a source, and one for a list of them.
    """
    schema = Campaign.model_json_schema()
    for name in ("recipients", "exclude"):
        one, several = schema["properties"][name].pop("anyOf")
        assert several["items"] == one
        schema["properties"][name] |= one
        assert (schema["$defs"]["RecipientSource"]["title"], several["title"]) == (
            "One source",
            "Several sources",
        )
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert {"type", "$ref"} & field.keys(), (model["title"], name)
            assert field.get("default", "") is not None
            assert field.get("description") or "$ref" in field, (model["title"], name)
    percent = schema["$defs"]["Route"]["properties"]["percent"]
    assert percent["type"] == "number"
    assert Route.model_json_schema()["properties"]["percent"]["maximum"] == 100
    assert schema["properties"]["batch_size"]["title"] == "Batch size"


def test_a_form_does_not_show_the_identity_of_a_route_but_programs_may_give_it() -> None:
    schema = Campaign.model_json_schema()
    route = schema["$defs"]["Route"]
    assert "identity" not in route["properties"]
    assert not route["additionalProperties"]
    check = jsonschema.Draft202012Validator({"$defs": schema["$defs"], **route}).is_valid
    assert check({"connection": "a", "identity": {"reply_to": "a@example.com"}})
    assert not check({"connection": "a", "identity": {"replyto": "a@example.com"}})
    assert not check({"connection": "a", "identities": {}})


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("news@example.com", "", "news@example.com"),
        ("News <news@example.com>", "News", "news@example.com"),
        ('"News, daily" <news@example.com>', "News, daily", "news@example.com"),
        ("Zoë <zoë@exämple.com>", "Zoë", "zoë@exämple.com"),
    ],
)
def test_mailboxes_are_parsed_into_name_and_address(text: str, name: str, address: str) -> None:
    taken = parse_mailbox(text)
    assert (taken.display_name, taken.addr_spec) == (name, address)


def test_fields_that_stored_campaigns_are_older_than_belong_to_the_content_when_they_are_set() -> (
    None
):
    plain = campaign().content()["recipients"]
    assert {"url", "storage", "columns"} & {*plain} == set()
    source = {"url": "https://example.com/a.csv", "storage": "crm", "columns": {"name": "Name"}}
    given = campaign(recipients=[source, {"path": "b.csv"}]).content()["recipients"]
    assert given[0]["url"] == source["url"]
    assert given[0]["columns"] == [{"column": "Name", "name": "name"}]
    assert "storage" not in given[0]  # only how the list is reached
    assert {*given[1]} == {*plain}
