//! Keys of a job's savings: which plan holds for whom and when, and the files of purchases and invoices.

use super::{FROM, FileKeys, Key, Keys, TO, TOP, key};

pub const JOB_SAVINGS: Keys = Keys {
    title: "[savings]",
    keys: &[
        key("wage", "the plan's", "money an hour of key management costs, in the reporting currency, in quotes", "\"45\""),
        key("purchases", "none", "credit pools: what was bought, refunded and shown", "\"purchases.toml\""),
        key("invoices", "none", "invoices of platforms: flat fees and subscriptions", "\"platform-invoices.toml\""),
    ],
};

const TEAM: Key = key("team", "all teams together", "a team of the team map", "\"growth\"");

/// Section `[[plan]]` of the job file.
pub const JOB_PLAN: Keys = Keys {
    title: "[[plan]]",
    keys: &[
        key("file", "required", "the plan", "\"plans/moodnode.toml\""),
        key("byok_file", "`file`", "another plan for the side of own keys, in the same unit and currency", "\"plans/flo2.toml\""),
        TEAM,
        key("provider", "every provider", "provider whose usage it is for", "\"openai\""),
        key("account", "every account", "provider account whose usage it is for", "\"org_acme\""),
        key("credits_offer", "the offer for everybody", "a named offer of the plan's credits", "\"founding\""),
        key("byok_offer", "the offer for everybody", "a named offer of the plan for own keys", "\"founding\""),
        key("signed_up", "none", "day of the sign-up, where a price depends on it", "\"2026-05-01\""),
        key("route", "\"both\"", "what is paid for: `credits`, `byok`, or `both` side by side", "\"byok\""),
        key("switch", "none", "first UTC day of the route; on the days before it the other one was paid for", "\"2026-11-05\""),
        key("pool", "none", "credit pool of the purchases file that its credits come from", "\"growth\""),
        FROM,
        TO,
    ],
};

/// Credit purchases (contract 3.4).
pub const PURCHASES: FileKeys = FileKeys {
    title: "Credit purchases",
    sections: &[&PURCHASES_TOP, &PURCHASES_POOL, &PURCHASES_PURCHASE, &PURCHASES_REFUND, &PURCHASES_BALANCE],
};
pub const PURCHASES_TOP: Keys = Keys {
    title: TOP,
    keys: &[
        key(
            "pool",
            "required",
            "sections `[[pool]]`: balances of credits, at least one",
            "[{ name = \"growth\", currency = \"USD\" }]",
        ),
        key(
            "purchase",
            "none",
            "sections `[[purchase]]`: credits that were bought or granted",
            "[{ pool = \"growth\", day = \"2026-11-01\", units = \"100\", price = \"100\" }]",
        ),
        key(
            "refund",
            "none",
            "sections `[[refund]]`: credits that were given back",
            "[{ pool = \"growth\", day = \"2026-11-06\", units = \"5\" }]",
        ),
        key(
            "balance",
            "none",
            "sections `[[balance]]`: what the platform showed",
            "[{ pool = \"growth\", day = \"2026-11-30\", units = \"12.5\" }]",
        ),
    ],
};
pub const PURCHASES_POOL: Keys = Keys {
    title: "[[pool]]",
    keys: &[
        key("name", "required", "the pool in reports and in the job's `[[plan]]`", "\"growth\""),
        key("currency", "required", "currency of its prices and fees", "\"USD\""),
        key("unit", "the currency", "what a credit is called, as the ledger's `credit_unit` writes it", "\"credit\""),
        key("opening", "0", "units in it before the first day of the file, in quotes", "\"20\""),
    ],
};
pub const PURCHASES_PURCHASE: Keys = Keys {
    title: "[[purchase]]",
    keys: &[
        key("pool", "required", "a pool of this file", "\"growth\""),
        key("day", "required", "UTC day", "\"2026-11-01\""),
        key("units", "required", "credits, in quotes", "\"100\""),
        key("price", "none: granted", "what they cost without the fee, in quotes", "\"100\""),
        key("fee", "0", "fee of the deposit, in quotes", "\"5.50\""),
        key("expires", "never", "first UTC day on which they can no longer be used", "\"2027-11-01\""),
    ],
};
pub const PURCHASES_REFUND: Keys = Keys {
    title: "[[refund]]",
    keys: &[
        key("pool", "required", "a pool of this file", "\"growth\""),
        key("day", "required", "UTC day", "\"2026-11-06\""),
        key("units", "required", "credits, in quotes", "\"5\""),
    ],
};
pub const PURCHASES_BALANCE: Keys = Keys {
    title: "[[balance]]",
    keys: &[
        key("pool", "required", "a pool of this file", "\"growth\""),
        key("day", "required", "UTC day, at the end of which it was shown", "\"2026-11-30\""),
        key("units", "required", "credits, in quotes", "\"12.5\""),
    ],
};

/// Invoices of platforms (contract 3.4).
pub const INVOICES: FileKeys = FileKeys { title: "Platform invoices", sections: &[&INVOICES_TOP, &INVOICES_INVOICE] };
pub const INVOICES_TOP: Keys = Keys {
    title: TOP,
    keys: &[key(
        "invoice",
        "required",
        "sections `[[invoice]]`: what platforms invoiced, at least one",
        "[{ id = \"INV-7\", issuer = \"kompozy\", month = \"2026-11-01\", amount = \"20\", currency = \"USD\" }]",
    )],
};
pub const INVOICES_INVOICE: Keys = Keys {
    title: "[[invoice]]",
    keys: &[
        key("id", "required", "its number; once for each issuer", "\"INV-2026-11\""),
        key("issuer", "required", "the plan's name, as in its file", "\"kompozy\""),
        TEAM,
        key("month", "required", "first day of the month it is for", "\"2026-11-01\""),
        key("amount", "required", "fees and subscriptions without usage, in quotes", "\"20\""),
        key("currency", "required", "currency of the amount", "\"USD\""),
    ],
};
