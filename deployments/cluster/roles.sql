-- Two databases on one PostgreSQL, each for roles of its own. Run once, by the superuser, with psql.
-- `prefect` owns Prefect's. `mailsluice_owner` owns Mailsluice's and changes its schema;
-- `mailsluice`, which campaigns run as, reads and writes rows, and can do no more.
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_PASSWORD
\getenv mailsluice_owner_password MAILSLUICE_OWNER_PASSWORD
\getenv mailsluice_password MAILSLUICE_PASSWORD

create role prefect login password :'prefect_password';
create role mailsluice_owner login password :'mailsluice_owner_password';
create role mailsluice login password :'mailsluice_password';

create database prefect owner prefect;
create database mailsluice owner mailsluice_owner;
revoke all on database prefect, mailsluice, postgres, template1 from public;
grant connect on database mailsluice to mailsluice;

\connect mailsluice
revoke all on schema public from public;
grant usage on schema public to mailsluice;
alter default privileges for role mailsluice_owner in schema public
    grant select, insert, update, delete on tables to mailsluice;
alter default privileges for role mailsluice_owner in schema public
    grant usage, select on sequences to mailsluice;
