-- The rows of Bifrost's log of a span of UTC days. {columns} becomes those columns that the reader wants and the
-- table has, as text; {table} the quoted name; {from} and {to} are instants.
SELECT {columns}
FROM {table} AS s
WHERE s."timestamp" >= {from} AND s."timestamp" < {to}
