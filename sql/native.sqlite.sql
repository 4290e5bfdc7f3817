-- The rows of a native request ledger (contract 3.2) that may belong to a span of UTC days, from SQLite.
--
-- {columns} becomes those columns of the contract that the table or view has, in the order of the contract; {table}
-- its quoted name. What is no text becomes one outside: SQLite has no decimal type, and a reader of text serves other
-- engines too.
-- {piece} is a condition on row ids where the table has them: then it is read piece by piece in their order.
--
-- {before} and {after} are days as text, one day wider on both sides than what is asked for: text is compared here,
-- and an offset like +02:00 can move an instant by most of a day. The reader then decides exactly.
-- A row that carries no calendar day at its start (null, a number, 18/11/2026) is selected for every span:
-- the reader sets it aside or makes out its instant, but it never vanishes. That condition makes this a
-- scan of the whole table even where started_at is indexed, which is the price of not losing rows.
SELECT {columns}
FROM {table}
WHERE {piece} AND ((started_at >= {before} AND started_at < {after})
    OR started_at IS NULL
    OR date(substr(started_at, 1, 10)) IS NOT substr(started_at, 1, 10))
