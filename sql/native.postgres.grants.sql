-- A role for reading a request ledger and nothing else. Run as the owner of the ledger's schema, with names of your
-- own: psql -v role=tieout -v database=app -v schema=public -v table=request_ledger -f native.postgres.grants.sql
--
-- The role can log in, see one schema and read one table or view. It owns nothing, so it can change nothing; what
-- else it could do by default is cut off. The password is set apart, so that it stands in no file: \password tieout
--
-- Give the role a view rather than the table where the table also holds prompts, or rows of others: only the columns
-- that the view has are read. A table with row level security refuses to be read rather than show a part of itself:
-- grant BYPASSRLS, or read a view whose owner sees all rows.
CREATE ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION CONNECTION LIMIT 4;
ALTER ROLE :"role" SET default_transaction_read_only = on;
ALTER ROLE :"role" SET idle_in_transaction_session_timeout = '15min';
REVOKE ALL ON DATABASE :"database" FROM :"role";
GRANT CONNECT ON DATABASE :"database" TO :"role";
REVOKE ALL ON SCHEMA :"schema" FROM :"role";
GRANT USAGE ON SCHEMA :"schema" TO :"role";
GRANT SELECT ON :"schema".:"table" TO :"role";
