//! Keys of plans.

use super::{FileKeys, Key, Keys, TOP, key};

/// Plan (contract 3.4).
pub const PLANS: FileKeys = FileKeys {
    title: "Plan",
    sections: &[
        &PLANS_TOP,
        &PLANS_CREDITS,
        &PLANS_BYOK,
        &PLANS_RATE,
        &PLANS_RATE_TIER,
        &PLANS_TIER,
        &PLANS_PACK,
        &PLANS_MINIMUM,
        &PLANS_STEP,
        &PLANS_DISCOUNT,
    ],
};
pub const PLANS_TOP: Keys = Keys {
    title: TOP,
    keys: &[
        key("name", "required", "what jobs and reports call the plan", "\"moodnode\""),
        key("currency", "required", "currency of every money figure of the plan", "\"USD\""),
        key(
            "unit",
            "required",
            "what volume is counted in: a meter, `requests`, or `list_cost` for money at list price",
            "\"images\"",
        ),
        key("checked", "required", "day on which a person last compared the figures with their source", "\"2026-11-18\""),
        key("source", "required", "where the figures come from, for people", "\"the platform's price page\""),
        key("credits", "none", "sections `[[credits]]`: what usage on the platform's credits costs", "[{ percent = \"5\" }]"),
        key("byok", "none", "sections `[[byok]]`: what usage on own keys costs", "[{ flat_fee = \"20\" }]"),
    ],
};

const OFFER: Key = key("offer", "the one that everybody gets", "name of an offer that a job must ask for", "\"founding\"");
const FROM_NEXT: Key = key("from", "always", "first UTC day in force", "\"2025-10-01\"");
const TO_NEXT: Key =
    key("to", "the offer's next `from`", "UTC day on which these terms are no longer in force", "\"2026-08-10\"");
const SIGNED_UP_FROM: Key = key("signed_up_from", "always", "first day of signing up that gets these terms", "\"2026-01-01\"");
const SIGNED_UP_TO: Key = key("signed_up_to", "for ever", "day of signing up that no longer gets them", "\"2026-09-01\"");
const FLAT_FEE: Key = key("flat_fee", "\"0\"", "money a month, or a range of it", "[\"20\", \"50\"]");
const RATE: Key =
    key("rate", "none", "sections: prices for units; the first that fits holds", "[{ meter = \"images\", price = \"0.06\" }]");
const FREE_REQUESTS: Key = key("free_requests", "none", "calls a calendar month that `percent` is not taken of", "1000000");
const FREE_LIST_COST: Key =
    key("free_list_cost", "none", "list cost a calendar month that `percent` is not taken of", "\"25000\"");
const TIER: Key = key(
    "tier",
    "none",
    "sections: a subscription's tiers, ascending by what they include",
    "[{ included = 500, price = \"49\" }]",
);
const TIER_CHOICE: Key = key(
    "tier_choice",
    "\"fits\"",
    "which tier is taken: `fits`, the smallest that includes the volume; `cheapest`, overage included; `line`, the line between two",
    "\"cheapest\"",
);
const DEPOSIT_PERCENT: Key = key("deposit_percent", "none", "per cent of each deposit that the platform keeps", "\"5.5\"");
const DEPOSIT_MINIMUM: Key = key("deposit_minimum", "\"0\"", "least fee of a deposit", "\"0.80\"");
const MINIMUM: Key =
    key("minimum", "none", "sections: least spend a calendar month", "[{ provider = \"fal\", amount = \"10\" }]");
const OPS_HOURS: Key = key("ops_hours", "\"0\"", "hours a month that this route takes, or a range of them", "[\"2\", \"3\"]");
const WAGE: Key = key("wage", "the job's", "money an hour", "\"60\"");
const VALUE: Key =
    key("value", "\"0\"", "what fee and subscription give a month besides inference, in money: taken off them", "\"10\"");
const FX_PERCENT: Key = key("fx_percent", "\"0\"", "per cent that the bank takes on payments in the plan's currency", "\"1.5\"");
const DISCOUNT: Key =
    key("discount", "none", "sections: negotiated discounts on list price; the last that fits holds", "[{ percent = \"22\" }]");

pub const PLANS_CREDITS: Keys = Keys {
    title: "[[credits]]",
    keys: &[
        OFFER,
        FROM_NEXT,
        TO_NEXT,
        SIGNED_UP_FROM,
        SIGNED_UP_TO,
        FLAT_FEE,
        RATE,
        key(
            "percent",
            "none: list cost is not passed through",
            "markup on list cost in per cent, or a range of it",
            "[\"20\", \"40\"]",
        ),
        FREE_REQUESTS,
        FREE_LIST_COST,
        TIER,
        TIER_CHOICE,
        key("pack", "none", "section: whole packs of the plan's unit, in place of tiers", "{ units = 1000, price = \"50\" }"),
        key(
            "credit_price",
            "none",
            "money for one credit: for rates in credits and for credits that a ledger debits",
            "\"0.01\"",
        ),
        DISCOUNT,
        DEPOSIT_PERCENT,
        DEPOSIT_MINIMUM,
        MINIMUM,
        key("minimum_balance", "\"0\"", "money that must stay in the balance: held, no cost", "\"5\""),
        key("expires_days", "never", "days after which bought credits expire, at most 36,500", "365"),
        key(
            "unused",
            "\"forfeit\"",
            "what becomes of credits that are left on leaving: `refund`, `carry` or `forfeit`",
            "\"refund\"",
        ),
        OPS_HOURS,
        WAGE,
        VALUE,
        FX_PERCENT,
    ],
};
pub const PLANS_BYOK: Keys = Keys {
    title: "[[byok]]",
    keys: &[
        OFFER,
        FROM_NEXT,
        TO_NEXT,
        SIGNED_UP_FROM,
        SIGNED_UP_TO,
        FLAT_FEE,
        RATE,
        key("percent", "\"0\"", "fee of the platform on list cost in per cent, or a range of it", "\"5\""),
        FREE_REQUESTS,
        FREE_LIST_COST,
        TIER,
        TIER_CHOICE,
        DISCOUNT,
        DEPOSIT_PERCENT,
        DEPOSIT_MINIMUM,
        MINIMUM,
        key(
            "step",
            "none",
            "sections: subscriptions at providers",
            "[{ provider = \"elevenlabs\", meter = \"characters\", tier = [{ included = 100000, price = \"22\" }] }]",
        ),
        OPS_HOURS,
        WAGE,
        VALUE,
        FX_PERCENT,
    ],
};
pub const PLANS_RATE: Keys = Keys {
    title: "[[credits.rate]] or [[byok.rate]]",
    keys: &[
        key("provider", "every provider", "provider that it is a price of", "\"fal\""),
        key("model", "every model", "model that it is a price of", "\"flux-2-max\""),
        key(
            "meter",
            "required",
            "what is counted; a rate on the plan's unit or on `requests` is for the whole call",
            "\"images\"",
        ),
        key("per", "1", "units that one price buys, at most 1,000,000,000", "1000000"),
        key("price", "required, or `tier`", "price in quotes, or a range of it", "[\"0.04\", \"0.08\"]"),
        key("tier", "required, or `price`", "sections: prices by volume, the first from 0", "[{ from = 0, price = \"0.05\" }]"),
        key("graduated", "false", "a tier's price is for the units inside it only, not for all", "true"),
        key("in_credits", "false", "with credits: prices are in credits of `credit_price` each", "true"),
    ],
};
pub const PLANS_RATE_TIER: Keys = Keys {
    title: "[[credits.rate.tier]] or [[byok.rate.tier]]",
    keys: &[
        key("from", "required", "units a month from which the price holds, this one included", "10000"),
        key("price", "required", "price in quotes, or a range of it", "\"0.04\""),
    ],
};
pub const PLANS_TIER: Keys = Keys {
    title: "[[credits.tier]], [[byok.tier]] or [[byok.step.tier]]",
    keys: &[
        key("included", "required but in the last", "units a month included; without it, without end", "500"),
        key("price", "required", "money a month, or a range of it", "[\"29\", \"49\"]"),
        key("overage", "none: no more can be had", "money for a unit beyond, or a range of it", "\"0.10\""),
    ],
};
pub const PLANS_PACK: Keys = Keys {
    title: "[credits.pack]",
    keys: &[
        key("units", "required", "units in a pack", "1000"),
        key("price", "required", "money for a pack, or a range of it", "\"50\""),
    ],
};
pub const PLANS_MINIMUM: Keys = Keys {
    title: "[[credits.minimum]] or [[byok.minimum]]",
    keys: &[
        key("provider", "all usage of the route together", "provider whose bill has the minimum", "\"fal\""),
        key("amount", "required", "least spend a calendar month", "\"10\""),
    ],
};
pub const PLANS_STEP: Keys = Keys {
    title: "[[byok.step]]",
    keys: &[
        key("provider", "required", "provider that sells the subscription", "\"elevenlabs\""),
        key("meter", "required", "what it includes", "\"characters\""),
        key("tier", "required", "sections: its tiers", "[{ included = 100000, price = \"22\", overage = \"0.0003\" }]"),
        key("tier_choice", "\"fits\"", "as with `[[credits]]`", "\"cheapest\""),
    ],
};
pub const PLANS_DISCOUNT: Keys = Keys {
    title: "[[credits.discount]] or [[byok.discount]]",
    keys: &[
        key("provider", "every provider", "provider that grants it", "\"openai\""),
        key("account", "every account", "provider account", "\"org_acme\""),
        key("api_key_id", "every key", "key id, never the key", "\"key_abc\""),
        key("percent", "required", "per cent taken off the list price, in quotes", "\"22\""),
    ],
};
