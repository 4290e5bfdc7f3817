-- The columns of a table or view: name, type as SQL writes it, base type (below domains) and its category, whether
-- it may be null, and whether the role may read it. {table} becomes a quoted name in a literal.
SELECT
    a.attname::text,
    format_type(a.atttypid, a.atttypmod),
    b.typname::text,
    b.typcategory::text,
    a.attnotnull::text,
    has_column_privilege(a.attrelid, a.attnum, 'SELECT')::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = to_regclass({table}) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
