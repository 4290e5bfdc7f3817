-- The rows of a native request ledger (contract 3.2) that may belong to a span of UTC days, from SQLite.
--
-- Every column leaves as text: SQLite has no decimal type, and a reader of text serves other engines too.
-- {table} becomes the quoted name of the table or view; each {column} becomes the column's name, or NULL
-- where the table does not have it. Columns come in the order of the contract; the reader counts on it.
--
-- ?1 and ?2 are days as text, one day wider on both sides than what is asked for: text is compared here,
-- and an offset like +02:00 can move an instant by most of a day. The reader then decides exactly.
-- A row that carries no calendar day at its start (null, a number, 18/11/2026) is selected for every span:
-- the reader sets it aside or makes out its instant, but it never vanishes. That condition makes this a
-- scan of the whole table even where started_at is indexed, which is the price of not losing rows.
SELECT
    CAST({request_id} AS TEXT),
    CAST({attempt} AS TEXT),
    CAST({started_at} AS TEXT),
    CAST({finished_at} AS TEXT),
    CAST({provider} AS TEXT),
    CAST({model} AS TEXT),
    CAST({provider_request_id} AS TEXT),
    CAST({upstream_provider} AS TEXT),
    CAST({upstream_account} AS TEXT),
    CAST({upstream_model} AS TEXT),
    CAST({upstream_request_id} AS TEXT),
    CAST({upstream_cost} AS TEXT),
    CAST({account} AS TEXT),
    CAST({sub_account} AS TEXT),
    CAST({api_key_id} AS TEXT),
    CAST({team} AS TEXT),
    CAST({user_id} AS TEXT),
    CAST({feature} AS TEXT),
    CAST({client} AS TEXT),
    CAST({funding} AS TEXT),
    CAST({status} AS TEXT),
    CAST({service_tier} AS TEXT),
    CAST({batch} AS TEXT),
    CAST({input_tokens} AS TEXT),
    CAST({cache_read_tokens} AS TEXT),
    CAST({cache_write_5m_tokens} AS TEXT),
    CAST({cache_write_1h_tokens} AS TEXT),
    CAST({output_tokens} AS TEXT),
    CAST({reasoning_tokens} AS TEXT),
    CAST({images} AS TEXT),
    CAST({image_size} AS TEXT),
    CAST({image_quality} AS TEXT),
    CAST({megapixels} AS TEXT),
    CAST({video_seconds} AS TEXT),
    CAST({video_resolution} AS TEXT),
    CAST({audio_seconds} AS TEXT),
    CAST({characters} AS TEXT),
    CAST({provider_credits} AS TEXT),
    CAST({web_searches} AS TEXT),
    CAST({builds} AS TEXT),
    CAST({extra_meters} AS TEXT),
    CAST({expected_cost} AS TEXT),
    CAST({expected_currency} AS TEXT),
    CAST({reported_cost} AS TEXT),
    CAST({credits_charged} AS TEXT),
    CAST({credit_unit} AS TEXT)
FROM {table}
WHERE (started_at >= ?1 AND started_at < ?2)
    OR started_at IS NULL
    OR date(substr(started_at, 1, 10)) IS NOT substr(started_at, 1, 10)
