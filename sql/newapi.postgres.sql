-- The rows of new-api's log of a span of UTC days, with the type of the channel and the quota that a dollar buys: the
-- operator's setting, or the program's own where the table of settings has none. {columns} becomes those columns that
-- the reader wants and the table has, as text; {table} the quoted name; {=name} another table of the same schema, or
-- nothing of the same form where the log has a database of its own; {?name} whether it is there. {from} and {to} are
-- instants; created_at counts seconds. Fields are named {name}.
SELECT {columns},
    c.type::text AS {channel_type},
    CASE WHEN {?options} THEN
        COALESCE((SELECT o.value FROM {=options} AS o WHERE o.key = 'QuotaPerUnit'), '500000')
    END AS {quota_per_unit}
FROM {table} AS s
LEFT JOIN {=channels} AS c ON c.id::text = s.channel_id::text
WHERE s.created_at >= EXTRACT(EPOCH FROM TIMESTAMPTZ {from})::bigint
    AND s.created_at < EXTRACT(EPOCH FROM TIMESTAMPTZ {to})::bigint
