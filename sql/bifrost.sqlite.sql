-- The rows of Bifrost's log that may belong to a span of UTC days. Times are texts with an offset, so days are a day
-- wider on both sides, {before} and {after}, and the reader decides; a time that does not begin with a day is selected
-- for every span. {columns} becomes those columns that the reader wants and the table has, as text; {table} the
-- quoted name.
SELECT {columns}
FROM {table} AS s
WHERE substr(s.timestamp, 1, 10) BETWEEN {before} AND {after}
    OR date(substr(s.timestamp, 1, 10)) IS NOT substr(s.timestamp, 1, 10)
ORDER BY s.timestamp, s.id
