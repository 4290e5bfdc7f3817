-- The rows of a native request ledger (contract 3.2) that may belong to a span of UTC days, from PostgreSQL.
--
-- {columns} becomes those columns of the contract that the table or view has, in the order of the contract;
-- {table} its quoted name; {span} the condition on started_at that its type allows: an exact one that an index
-- serves where it is a timestamp or a date, a wider one where it is text, none where it is a number. The reader
-- decides exactly in every case. Rows without a day are asked for by a second statement: none vanishes.
SELECT {columns}
FROM {table}
WHERE {span}
