"""Mailbox providers: who hosts each recipient's mailbox, and a cache of the look-ups.

Recipients of campaigns that were launched before have no provider. So the own tables of such
campaigns keep the index that they have; a table that is indexed again gets the new one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_CLAIMS = ["campaign_id", "connection", "id", "provider"]

# Every INSERT into `recipients` is passed to the shared table, with its new column.
_RULE = """
CREATE OR REPLACE RULE recipients_are_shared AS ON INSERT TO recipients DO INSTEAD
    INSERT INTO recipients_shared (
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider)
    VALUES (
        NEW.id, mailsluice_sharing(NEW.campaign_id), NEW.first_attempt_at, NEW.settled_at,
        NEW.next_attempt_at, NEW.claimed_by, NEW.attempts, NEW.code, NEW.status, NEW.connection,
        NEW.email, NEW.variables, NEW.reply, NEW.folded, NEW.reassigned_from, NEW.provider)
    RETURNING
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider;
"""

# As in 0012 and 0015, with the provider in the index for claims: a claim for one provider then
# reads no row of another one. A column that INCLUDE adds could not be searched for in the index.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION mailsluice_attach_tables(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp SET default_statistics_target = 10 AS $$
BEGIN
    PERFORM mailsluice_require('INSERT');
    EXECUTE format(
        'ALTER TABLE recipients_%1$s ADD CONSTRAINT pk_recipients_%1$s PRIMARY KEY (id)'
        ' WITH (fillfactor = 95)',
        campaign);
    EXECUTE format(
        'CREATE INDEX ix_recipients_claim_%1$s ON recipients_%1$s (connection, id, provider)'
        ' WITH (fillfactor = 95)',
        campaign);
    EXECUTE format(
        'CREATE INDEX ix_recipients_due_%1$s ON recipients_%1$s (connection, next_attempt_at)'
        ' WHERE next_attempt_at IS NOT NULL',
        campaign);
    EXECUTE format(
        'ALTER TABLE attempts_%1$s ADD CONSTRAINT pk_attempts_%1$s PRIMARY KEY (id),'
        ' ADD CONSTRAINT fk_attempts_recipient_id_%1$s FOREIGN KEY (recipient_id)'
        ' REFERENCES recipients_%1$s ON DELETE CASCADE',
        campaign);
    EXECUTE format(
        'CREATE INDEX ix_attempts_recipient_id_%1$s ON attempts_%1$s (recipient_id)', campaign);
    EXECUTE format('ANALYZE recipients_%s', campaign);
    EXECUTE format('ALTER TABLE recipients_%s INHERIT recipients', campaign);
    EXECUTE format('ALTER TABLE attempts_%s INHERIT attempts', campaign);
    EXECUTE format(
        'UPDATE campaigns SET (first_recipient_id, last_recipient_id) ='
        ' (SELECT min(id), max(id) FROM recipients_%1$s) WHERE id = %1$s',
        campaign);
END $$;

CREATE OR REPLACE FUNCTION mailsluice_index_claims(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM mailsluice_require('UPDATE');
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS ix_recipients_claim_%1$s'
        ' ON recipients_%1$s (connection, id, provider) WITH (fillfactor = 95)',
        campaign);
END $$;
"""


def upgrade() -> None:
    bind = op.get_bind()
    is_postgresql = bind.dialect.name == "postgresql"
    op.add_column("recipients", sa.Column("provider", sa.SmallInteger))
    op.drop_index("ix_recipients_claim", "recipients")
    shared = "recipients_shared" if is_postgresql else "recipients"
    op.create_index("ix_recipients_claim", shared, _CLAIMS)
    op.add_column(
        "campaigns",
        sa.Column("no_mail_server", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "campaign_providers",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("recipients", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mail_domains",
        sa.Column("domain", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("accepts_mail", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_mail_domains_expires_at", "mail_domains", ["expires_at"])
    if is_postgresql:
        schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
        statements = (_RULE + _FUNCTIONS).replace("{schema}", schema)
        bind.exec_driver_sql(statements.replace("%", "%%"))
