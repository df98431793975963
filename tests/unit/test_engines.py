"""Databases that cannot be used say what to install."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy

from mailsluice.audience.engines import opened
from mailsluice.core.errors import CampaignError


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("snowflake://me:s3cret@account/db", "install snowflake-sqlalchemy"),
        ("bigquery://project/dataset", "install sqlalchemy-bigquery"),
        ("mystery+driver://me:s3cret@host/db", "SQLAlchemy's dialect 'mystery'"),
        ("postgresql+pg8000://me:s3cret@host/db", "install the driver 'pg8000'"),
        ("s3cret", "has no SQLAlchemy URL"),
    ],
)
def test_a_database_that_cannot_be_used_says_what_to_install(url: str, advice: str) -> None:
    with pytest.raises(CampaignError, match="the database block 'warehouse'") as caught:
        opened("warehouse", partial(sqlalchemy.create_engine, url))
    assert advice in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_database_that_can_be_used_is_opened() -> None:
    engine = opened("warehouse", partial(sqlalchemy.create_engine, "sqlite://"))
    assert engine.dialect.name == "sqlite"
