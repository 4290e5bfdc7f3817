-- The rows of new-api's log that may belong to a span of UTC days, with the type of the channel and the quota that a
-- dollar buys: the operator's setting, or the program's own where the table of settings has none. {columns} becomes
-- those columns that the reader wants and the table has, as text; {table} the quoted name; {=name} another table, or
-- nothing of the same form where there is none; {?name} whether it is there. {before} and {after} are days, a day
-- wider on both sides; created_at counts seconds. Fields are named {name}.
SELECT {columns},
    CAST(c.type AS TEXT) AS {channel_type},
    CASE WHEN {?options} THEN
        COALESCE((SELECT o.value FROM {=options} AS o WHERE o.key = 'QuotaPerUnit'), '500000')
    END AS {quota_per_unit}
FROM {table} AS s
LEFT JOIN {=channels} AS c ON c.id = s.channel_id
WHERE s.created_at >= unixepoch({before}) AND s.created_at < unixepoch({after})
    OR typeof(s.created_at) <> 'integer'
ORDER BY s.created_at, s.id
