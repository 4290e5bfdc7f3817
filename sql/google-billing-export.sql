-- Rows of Google's billing export that were used in a span of UTC days, as they are: no sum is made here, because
-- the same usage may stand in several rows and each of them is money (Google sheet, section 5).
--
-- {table} becomes the quoted name of the export's table or of a view of it; {partitions} a bound on the day of
-- loading, which keeps the query from scanning years: a row is never loaded before its usage begins.
-- Only columns that are read leave. Taxes and other lines of the whole invoice stand under other services.
SELECT
    billing_account_id,
    STRUCT(service.id AS id, service.description AS description) AS service,
    STRUCT(sku.id AS id, sku.description AS description) AS sku,
    usage_start_time,
    usage_end_time,
    STRUCT(project.id AS id, project.number AS number) AS project,
    labels,
    cost,
    currency,
    STRUCT(usage.amount AS amount, usage.unit AS unit) AS usage,
    ARRAY(SELECT AS STRUCT credit.id, credit.full_name, credit.type, credit.name, credit.amount FROM UNNEST(credits) AS credit) AS credits,
    STRUCT(adjustment_info.id AS id, adjustment_info.description AS description, adjustment_info.type AS type, adjustment_info.mode AS mode) AS adjustment_info,
    STRUCT(invoice.month AS month) AS invoice,
    cost_type,
    cost_at_list
FROM {table}
WHERE usage_start_time >= @from AND usage_start_time < @to
    AND {partitions}
    AND (ARRAY_LENGTH(@services) = 0 OR service.id IN UNNEST(@services))
