"""Tables for each large campaign, on PostgreSQL.

`recipients` and `attempts` become parents without rows. The tables of earlier versions are renamed
and inherit from the parents with the rows that they have: nothing is rewritten, whatever the number
of rows. See `mailsluice.store.campaign_tables`.

The functions run with the rights of the schema's owner, since the role that sends campaigns may
not be allowed to change the schema. The caller needs the right to insert into `recipients_shared`,
or to delete from it. Roles have the same rights on the new tables as on the shared ones.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Columns of eight bytes come first, then those of two: rows have no gaps.
_PARENTS = """
ALTER TABLE recipients RENAME TO recipients_shared;

ALTER TABLE attempts RENAME TO attempts_shared;

CREATE TABLE recipients (
    id bigint NOT NULL DEFAULT nextval('recipients_id_seq'),
    campaign_id bigint NOT NULL,
    first_attempt_at double precision,
    settled_at double precision,
    next_attempt_at double precision,
    claimed_by bigint,
    attempts smallint NOT NULL DEFAULT 0,
    code smallint,
    status text NOT NULL,
    connection text NOT NULL,
    email text NOT NULL,
    variables text NOT NULL,
    reply text,
    folded text,
    reassigned_from text,
    CONSTRAINT ck_recipients_has_no_rows_of_its_own CHECK (false) NO INHERIT
);

CREATE TABLE attempts (
    id bigint NOT NULL DEFAULT nextval('attempts_id_seq'),
    recipient_id bigint NOT NULL,
    at double precision NOT NULL,
    code smallint,
    connection text NOT NULL,
    phase text NOT NULL,
    verdict text NOT NULL,
    reply text NOT NULL,
    CONSTRAINT ck_attempts_has_no_rows_of_its_own CHECK (false) NO INHERIT
);

ALTER SEQUENCE recipients_id_seq OWNED BY recipients.id;

ALTER SEQUENCE attempts_id_seq OWNED BY attempts.id;

ALTER TABLE recipients_shared INHERIT recipients;

ALTER TABLE attempts_shared INHERIT attempts;

CREATE FUNCTION mailsluice_sharing(campaign bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM campaigns WHERE id = campaign AND first_recipient_id IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'campaign % has tables of its own: insert into recipients_%',
            campaign, campaign;
    END IF;
    RETURN campaign;
END $$;

CREATE RULE recipients_are_shared AS ON INSERT TO recipients DO INSTEAD
    INSERT INTO recipients_shared (
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from)
    VALUES (
        NEW.id, mailsluice_sharing(NEW.campaign_id), NEW.first_attempt_at, NEW.settled_at,
        NEW.next_attempt_at, NEW.claimed_by, NEW.attempts, NEW.code, NEW.status, NEW.connection,
        NEW.email, NEW.variables, NEW.reply, NEW.folded, NEW.reassigned_from)
    RETURNING
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from;

CREATE RULE attempts_are_shared AS ON INSERT TO attempts DO INSTEAD
    INSERT INTO attempts_shared (id, recipient_id, at, code, connection, phase, verdict, reply)
    VALUES (NEW.id, NEW.recipient_id, NEW.at, NEW.code, NEW.connection, NEW.phase, NEW.verdict,
        NEW.reply)
    RETURNING id, recipient_id, at, code, connection, phase, verdict, reply;
"""

_GRANTS = """
CREATE FUNCTION mailsluice_copy_grants(origin regclass, target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT acl.privilege_type,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
        FROM pg_class, aclexplode(relacl) AS acl
        WHERE pg_class.oid = origin AND acl.grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', granted.privilege_type, target, granted.grantee);
    END LOOP;
END $$;

SELECT mailsluice_copy_grants('recipients_shared', 'recipients');

SELECT mailsluice_copy_grants('attempts_shared', 'attempts');

CREATE FUNCTION mailsluice_require(wanted text) RETURNS void
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF NOT has_table_privilege(session_user, 'recipients_shared', wanted) THEN
        RAISE insufficient_privilege USING MESSAGE =
            format('permission denied: %s needs the right to %s recipients', session_user, wanted);
    END IF;
END $$;
"""

# The lock on recipients' numbers ends with the transaction, so callers take numbers in one of their
# own. A drop gives up before PostgreSQL looks for deadlocks (1 s), so that it ends no reader. The
# statistics are for the first minute, until autovacuum makes them: without any, each claim would
# read all recipients of its connection.
_FUNCTIONS = """
CREATE FUNCTION mailsluice_take_ids(number bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    first bigint;
BEGIN
    PERFORM mailsluice_require('INSERT');
    PERFORM pg_advisory_xact_lock('recipients_id_seq'::regclass::bigint);
    first := nextval('recipients_id_seq');
    PERFORM setval('recipients_id_seq', first + greatest(number, 1) - 1);
    RETURN first;
END $$;

CREATE FUNCTION mailsluice_drop_tables(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp SET lock_timeout = '900ms' AS $$
BEGIN
    PERFORM mailsluice_require('DELETE');
    EXECUTE format('DROP TABLE IF EXISTS attempts_%1$s, recipients_%1$s', campaign);
    UPDATE campaigns SET first_recipient_id = NULL, last_recipient_id = NULL
    WHERE id = campaign AND first_recipient_id IS NOT NULL;
END $$;

CREATE FUNCTION mailsluice_create_tables(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM mailsluice_require('INSERT');
    PERFORM pg_advisory_xact_lock(hashtext('mailsluice_create_tables'), campaign::integer);
    IF EXISTS (SELECT FROM campaigns WHERE id = campaign AND status <> 'resolving') THEN
        RAISE EXCEPTION 'campaign % is launched: its tables are not replaced', campaign;
    END IF;
    PERFORM mailsluice_drop_tables(campaign);
    EXECUTE format(
        'CREATE TABLE recipients_%1$s (LIKE recipients INCLUDING DEFAULTS,'
        ' CONSTRAINT ck_recipients_campaign_%1$s CHECK (campaign_id = %1$s))'
        ' WITH (fillfactor = 50)',
        campaign);
    EXECUTE format('CREATE TABLE attempts_%s (LIKE attempts INCLUDING DEFAULTS)', campaign);
    PERFORM mailsluice_copy_grants(
        'recipients_shared', format('recipients_%s', campaign)::regclass);
    PERFORM mailsluice_copy_grants('attempts_shared', format('attempts_%s', campaign)::regclass);
END $$;

CREATE FUNCTION mailsluice_attach_tables(campaign bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp SET default_statistics_target = 10 AS $$
BEGIN
    PERFORM mailsluice_require('INSERT');
    EXECUTE format(
        'ALTER TABLE recipients_%1$s ADD CONSTRAINT pk_recipients_%1$s PRIMARY KEY (id)'
        ' WITH (fillfactor = 95)',
        campaign);
    EXECUTE format(
        'CREATE INDEX ix_recipients_claim_%1$s ON recipients_%1$s (connection, id)'
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

CREATE FUNCTION mailsluice_campaign_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
BEGIN
    PERFORM mailsluice_drop_tables(OLD.id);
    RETURN NULL;
END $$;

CREATE TRIGGER mailsluice_campaign_deleted AFTER DELETE ON campaigns
FOR EACH ROW EXECUTE FUNCTION mailsluice_campaign_deleted();
"""


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("first_recipient_id", sa.BigInteger))
    op.add_column("campaigns", sa.Column("last_recipient_id", sa.BigInteger))
    if op.get_bind().dialect.name == "postgresql":
        _add_parents(op.get_bind())


def _add_parents(bind: sa.Connection) -> None:
    schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    statements = (_PARENTS + _GRANTS + _FUNCTIONS).replace("{schema}", schema)
    bind.exec_driver_sql(statements.replace("%", "%%"))
