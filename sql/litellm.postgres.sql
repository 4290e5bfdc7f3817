-- The rows of LiteLLM's spend log of a span of UTC days, each with the teams that its key leads to: the key's own,
-- its successor's where it was rotated, and that of a deleted key. Prisma's names have capitals, so all are quoted.
--
-- {columns} becomes those columns that the reader wants and the table has, as text; {table} the quoted name;
-- {=name} another table of the same schema, or nothing of the same form where there is none; {?name} whether it is
-- there. {from} and {to} are instants; "startTime" is UTC without a zone. Fields are named {name}.
SELECT {columns},
    k.team_id::text AS {live_key_team},
    n.team_id::text AS {successor_team},
    x.team_id::text AS {deleted_key_team},
    CASE
        WHEN NOT {?LiteLLM_VerificationToken} OR s.api_key IN ('', 'litellm_proxy_master_key') THEN NULL
        WHEN k.token IS NOT NULL THEN 'live'
        WHEN n.token IS NOT NULL THEN 'rotated'
        WHEN x.token IS NOT NULL THEN 'deleted'
        ELSE 'unknown'
    END AS {key_state}
FROM {table} AS s
LEFT JOIN {=LiteLLM_VerificationToken} AS k ON k.token = s.api_key
LEFT JOIN {=LiteLLM_DeprecatedVerificationToken} AS d ON d.token = s.api_key
LEFT JOIN {=LiteLLM_VerificationToken} AS n ON n.token = d.active_token_id
LEFT JOIN (
    -- A key can be deleted, made again and deleted again: the last time counts.
    SELECT DISTINCT ON (token) token, team_id
    FROM {=LiteLLM_DeletedVerificationToken} AS deleted
    ORDER BY token, deleted_at DESC
) AS x ON x.token = s.api_key
WHERE s."startTime" >= {from} AND s."startTime" < {to}
