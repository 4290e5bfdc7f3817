-- Tables and views outside the system's own schemas, for the message that the ledger's table is not among them.
SELECT n.nspname || '.' || c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg\_toast%'
    AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1
LIMIT 50
