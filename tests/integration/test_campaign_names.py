"""A campaign's identity: names that look the same are the same campaign."""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.core.errors import CampaignError, OutboxError
from mailsluice.core.status import CampaignStatus
from mailsluice.operations import accounts, launch
from mailsluice.store import Campaigns, Database
from mailsluice.store.schema import campaigns
from mailsluice.store.sent_mail import SentMail
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.old_schema import old_schema
from tests.smtpd import SmtpServer

CAFE = "caf\u00e9"
DECOMPOSED = unicodedata.normalize("NFD", CAFE)
UNSEEN = "spring\u200b sale"


def spell(database: Database, name: str, stored: str) -> None:
    """Store a campaign's name as earlier versions did."""
    with database.write() as writer:
        writer.execute(sa.update(campaigns).where(campaigns.c.name == name).values(name=stored))


async def test_two_spellings_of_a_name_are_one_campaign(database: Database, tmp_path: Path) -> None:
    with SmtpServer() as server:
        for name in (CAFE, DECOMPOSED, f" {DECOMPOSED}\u00a0"):
            sender = Sender(database, tmp_path)
            document = campaign(tmp_path, people(5), name=name)
            await sender.send(document, [connection("red", server)])
        assert server.recipients == dict.fromkeys(people(5), 1)


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        (DECOMPOSED, DECOMPOSED),  # the schedule of the earlier version still says it so
        (DECOMPOSED, CAFE),
        (UNSEEN, "spring sale"),
        ("spring\u2003\u2003sale", "spring sale"),
    ],
)
async def test_a_campaign_of_an_earlier_version_sends_nothing_twice(
    database: Database, tmp_path: Path, stored: str, name: str
) -> None:
    with SmtpServer() as server:
        first = campaign(tmp_path, people(5), name=unicodedata.normalize("NFC", name))
        await Sender(database, tmp_path).send(first, [connection("red", server)])
        spell(database, first.name, stored)
        again = campaign(tmp_path, people(5), name=name)
        await Sender(database, tmp_path).send(again, [connection("red", server)])
        assert server.recipients == dict.fromkeys(people(5), 1)
    assert Campaigns(database).get(name).name == stored


@pytest.mark.parametrize("name", [UNSEEN, "spring sale", " spring sale "])
async def test_a_campaign_with_an_unseen_character_is_found_by_either_spelling(
    database: Database, tmp_path: Path, name: str
) -> None:
    record = Campaigns(database).register("spring sale", {})
    Campaigns(database).set_status(record.id, CampaignStatus.READY)
    spell(database, "spring sale", UNSEEN)
    done = await accounts.cancel_campaign(database, name, owner="operator", home=tmp_path)
    assert done.before is CampaignStatus.SENDING


def test_of_two_stored_names_the_exact_one_is_meant(database: Database) -> None:
    store = Campaigns(database)
    plain = store.register("spring sale", {})
    spell(database, "spring sale", UNSEEN)
    unseen = plain
    with database.write() as writer:
        writer.execute(
            sa.insert(campaigns).values(
                name="spring sale", status="ready", content="{}", created_at=0.0
            )
        )
    assert store.get(UNSEEN).id == unseen.id
    assert store.get("spring sale").id != unseen.id


@pytest.mark.parametrize(
    "name",
    ["spring\0sale", "spring\ud800", "spring\u200bsale", "spring\u2028sale"],
)
def test_an_impossible_name_is_refused_before_the_database_sees_it(
    database: Database, name: str
) -> None:
    for ask in (Campaigns(database).find, Campaigns(database).get):
        with pytest.raises(CampaignError, match=r"the name has U\+"):
            ask(name)
    with pytest.raises(CampaignError, match=r"the name has U\+"):
        Campaigns(database).register(name, {})


def test_an_unknown_name_is_refused(database: Database) -> None:
    with pytest.raises(OutboxError, match="there is no campaign 'autumn'"):
        Campaigns(database).get("autumn")


@pytest.mark.parametrize("name", ["SPRING", "\uff53pring", "Spring"])
def test_a_new_campaign_that_could_be_taken_for_another_is_refused(
    database: Database, tmp_path: Path, name: str
) -> None:
    Campaigns(database).register("spring", {})
    with pytest.raises(CampaignError, match="could be taken for campaign 'spring'"):
        Campaigns(database).register(name, {})
    with pytest.raises(CampaignError, match="could be taken for campaign 'spring'"):
        launch.launched_before(database, campaign(tmp_path, people(1), name=name))  # a plan
    with database.read() as reader:
        assert reader.execute(sa.select(sa.func.count()).select_from(campaigns)).scalar() == 1


def test_stored_campaigns_with_similar_names_continue(database: Database) -> None:
    store = Campaigns(database)
    store.register("spring", {"a": 1})
    store.register("other", {"a": 2})
    spell(database, "other", "Spring")
    assert store.register("Spring", {"a": 2}).name == "Spring"
    assert store.register("spring", {"a": 1}).name == "spring"


@pytest.mark.parametrize(
    ("message", "domain"),
    [
        ({"sender": "News <news@example.com>"}, "example.com"),
        ({"sender": "news@b\u00fccher.example"}, "xn--bcher-kva.example"),
        ({"sender": "shop@first.example <news@second.example>"}, "first.example"),  # as it was then
        ({"sender": ",\u00e9@["}, None),  # Python's newer parser fails at it
        ({"sender": "(" * 2_000}, None),  # and its older one
        ({"sender": ["[] "]}, None),  # and never returns here
        ({"sender": 7}, None),
        ({"sender": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_campaigns_of_earlier_versions_get_their_sender_domain(
    empty_database_url: str, message: dict[str, object] | None, domain: str | None
) -> None:
    content = {"message": message, "text": "nobody\0parses this"}
    with old_schema(empty_database_url, "0009") as writer:
        writer.execute(
            sa.insert(campaigns).values(
                name="spring",
                status="ready",
                content=orjson.dumps(content).decode(),
                created_at=0.0,
            )
        )
    with Database(empty_database_url) as database:
        assert Campaigns(database).get("spring").sender_domain == domain


def test_mail_that_came_back_is_matched_without_reading_a_document(
    database: Database, tmp_path: Path
) -> None:
    """A single stored U+0000 once stopped the matching for every campaign on PostgreSQL."""
    with SmtpServer() as server:
        asyncio.run(
            Sender(database, tmp_path).send(
                campaign(tmp_path, people(2)), [connection("red", server)]
            )
        )
    with database.write() as writer:
        writer.execute(
            sa.insert(campaigns).values(
                name="older",
                status="ready",
                content='{"message": {"sender": "a@example.com", "text": "\\u0000"}}',
                created_at=0.0,
            )
        )
    (found,) = SentMail(database).by_address(["user0@example.com"], ["example.com"])
    assert (found.email, found.sender_domain) == ("user0@example.com", "example.com")
    assert [sent.email for sent in SentMail(database).by_id([found.recipient_id])] == [found.email]
