"""Packing the tables of ended campaigns, on PostgreSQL; rights of the role that is in effect.

See `mailsluice.store.packing`. The functions that change tables run with the rights of the schema's
owner, so `current_user` is the owner in them. Up to now they checked the rights of `session_user`,
the role of the login. Where a pool of connections logs in as one role and acts as another (SET
ROLE), the rights of the second one count.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_REQUIRE = """
CREATE OR REPLACE FUNCTION mailsluice_require(wanted text) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    caller name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
    IF NOT has_table_privilege(caller, 'recipients_shared', wanted) THEN
        RAISE insufficient_privilege USING MESSAGE =
            format('permission denied: %s needs the right to %s recipients', caller, wanted);
    END IF;
END $$;
"""

# CLUSTER keeps what refers to the table, and the rows that older snapshots see. It writes a new
# file, and replaces the old one at the commit, so a pack that is killed changes nothing.
_PACK = """
CREATE FUNCTION mailsluice_pack_tables(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp SET lock_timeout = '900ms' AS $$
BEGIN
    PERFORM mailsluice_require('DELETE');
    EXECUTE format('LOCK TABLE recipients_%s IN ACCESS EXCLUSIVE MODE', campaign);
    IF NOT EXISTS (
        SELECT FROM campaigns WHERE id = campaign AND status IN ('completed', 'cancelled')
    ) THEN
        RAISE EXCEPTION 'campaign % has not ended: its tables are not packed', campaign;
    END IF;
    EXECUTE format('DROP INDEX IF EXISTS ix_recipients_claim_%s', campaign);
    EXECUTE format('ALTER INDEX pk_recipients_%s SET (fillfactor = 100)', campaign);
    EXECUTE format('ALTER TABLE recipients_%s SET (fillfactor = 100)', campaign);
    EXECUTE format('CLUSTER recipients_%1$s USING pk_recipients_%1$s', campaign);
END $$;

CREATE FUNCTION mailsluice_index_claims(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM mailsluice_require('UPDATE');
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS ix_recipients_claim_%1$s ON recipients_%1$s (connection, id)'
        ' WITH (fillfactor = 95)',
        campaign);
END $$;
"""


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
        statements = (_REQUIRE + _PACK).replace("{schema}", schema)
        bind.exec_driver_sql(statements.replace("%", "%%"))
