//! Keys of `[[ledger]]` and its sections: where the request ledger is and how it is read.

use super::{FROM, Keys, TO, key};

pub const JOB_LEDGER: Keys = Keys {
    title: "[[ledger]]",
    keys: &[
        key("name", "required", "what messages call the ledger; each has its own", "\"app\""),
        key(
            "kind",
            "\"native\"",
            "form of the ledger: `native`, `bifrost`, `helicone`, `langfuse`, `litellm` or `newapi`",
            "\"litellm\"",
        ),
        key("sqlite", "none", "SQLite file; this, `postgres` or `files`", "\"ledger.db\""),
        key(
            "postgres",
            "none",
            "section `[ledger.postgres]`: a PostgreSQL database; this, `sqlite` or `files`",
            "{ host = \"db.internal\", database = \"app\", user = \"tieout\", password = \"cred:ledger\" }",
        ),
        key("files", "none", "CSV, JSON or Parquet files or patterns; this, `sqlite` or `postgres`", "[\"ledger/*.csv\"]"),
        key(
            "table",
            "\"request_ledger\"; of other kinds their own",
            "table or view, with `sqlite` or `postgres`; there a schema may stand before it: `app.request_ledger`",
            "\"request_ledger\"",
        ),
        key(
            "currency",
            "`reporting_currency`; USD for other kinds",
            "currency of `expected_cost` where a row has none",
            "\"USD\"",
        ),
        key("time_zone", "\"UTC\"", "IANA zone of times that have no offset, kind `native` only", "\"Europe/Berlin\""),
        key(
            "cost_decimals",
            "all digits; of other kinds what they keep",
            "decimals, 0 to 18, that the ledger rounds `expected_cost` to",
            "6",
        ),
        key(
            "quota_per_unit",
            "what the ledger says",
            "kind `newapi`: quota that one dollar buys, the operator's setting",
            "500000",
        ),
        key(
            "route",
            "none",
            "sections `[[ledger.route]]`, for other kinds than `native`: whom the ledger's own names stand for",
            "[{ name = \"7\", provider = \"openai\" }]",
        ),
    ],
};
pub const JOB_ROUTE: Keys = Keys {
    title: "[[ledger.route]]",
    keys: &[
        key(
            "name",
            "required",
            "how the ledger names an upstream: a channel, deployment, provider key, provider or model; `*` at its end is any rest",
            "\"7\"",
        ),
        key("provider", "what the ledger says", "the provider that it stands for", "\"openai\""),
        key("account", "none", "the provider account", "\"org_acme\""),
        key("api_key_id", "none", "the provider's key id, never the key", "\"key_abc\""),
        key("funding", "what the ledger says", "whose money it spends: `byok`, `credits` or `fallback_credits`", "\"byok\""),
        FROM,
        TO,
    ],
};
pub const JOB_POSTGRES: Keys = Keys {
    title: "[ledger.postgres]",
    keys: &[
        key("host", "required", "name or address of the server, or the folder of its socket", "\"db.internal\""),
        key("port", "5432", "its port", "5432"),
        key("database", "required", "the database", "\"app\""),
        key("user", "required", "a role that can do no more than read, see `sql/native.postgres.grants.sql`", "\"tieout\""),
        key("password", "none", "reference to its password: `cred:`, `file:` or `env:`", "\"cred:ledger\""),
        key(
            "tls",
            "\"verify-full\"; of a socket \"disable\"",
            "`verify-full`, `verify-ca` (any host of a trusted authority), `require` (encrypted, but to anyone) or `disable`",
            "\"verify-full\"",
        ),
        key("tls_ca", "none", "PEM file of an authority to trust beside the public ones", "\"ca.pem\""),
        key("statement_seconds", "600", "longest time that one query may take", "600"),
        key("lock_seconds", "30", "longest wait for a lock", "30"),
    ],
};
