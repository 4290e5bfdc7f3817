//! Keys of the reference files: price books, team map, names map, exchange rates.

use super::{FROM, FileKeys, Keys, TO, TOP, key};

/// Price book (contract 3.4).
pub const PRICES: FileKeys =
    FileKeys { title: "Price book", sections: &[&PRICES_TOP, &PRICES_PRICE, &PRICES_BAND, &PRICES_DISCOUNT] };
pub const PRICES_TOP: Keys = Keys {
    title: TOP,
    keys: &[
        key("provider", "required", "whose prices they are", "\"openai\""),
        key("currency", "required", "currency of every price in the book", "\"USD\""),
        key("checked", "required", "day on which a person last compared the book with the published prices", "\"2026-11-18\""),
        key("source", "none", "where the prices were read, for people", "\"published price page\""),
        key(
            "price",
            "required",
            "sections `[[price]]`: dated prices, at least one",
            "[{ model = \"gpt-5.4\", from = \"2026-03-06\", meters = { input_tokens = \"2.50\" } }]",
        ),
        key(
            "discount",
            "none",
            "sections `[[discount]]`: contracted discounts; the last one that fits holds",
            "[{ from = \"2026-01-01\", percent = \"22\" }]",
        ),
    ],
};
pub const PRICES_PRICE: Keys = Keys {
    title: "[[price]]",
    keys: &[
        key("model", "required", "model or other priced thing, as provider and ledger name it", "\"gpt-5.4\""),
        key("from", "required", "first UTC day in force", "\"2026-03-06\""),
        key("to", "the model's next `from`", "UTC day on which the price is no longer in force", "\"2026-07-30\""),
        key("per", "1", "units that one price buys, at most 1,000,000,000", "1000000"),
        key(
            "meters",
            "required",
            "price of each meter, in quotes; a meter left out is unknown, not free",
            "{ input_tokens = \"2.50\", output_tokens = \"15\" }",
        ),
        key("tiers", "{}", "multiplier of each service tier and of `batch`; `standard` is 1", "{ batch = \"0.5\" }"),
        key(
            "bands",
            "[]",
            "prices for long contexts, ascending",
            "[{ above_input_tokens = 272000, meters = { input_tokens = \"5\" } }]",
        ),
    ],
};
pub const PRICES_BAND: Keys = Keys {
    title: "[[price.bands]]",
    keys: &[
        key("above_input_tokens", "required", "the band holds for calls with more input tokens than this", "272000"),
        key("meters", "required", "meters that cost something else in this band, for the whole call", "{ input_tokens = \"5\" }"),
    ],
};
pub const PRICES_DISCOUNT: Keys = Keys {
    title: "[[discount]]",
    keys: &[
        key("account", "every account", "provider account", "\"org_acme\""),
        key("api_key_id", "every key", "key id, never the key", "\"key_abc\""),
        key("model", "every model", "a model of this book", "\"gpt-5.4\""),
        key("from", "required", "first UTC day in force", "\"2026-01-01\""),
        TO,
        key("percent", "required", "per cent taken off the list price, in quotes", "\"22\""),
    ],
};

/// Team map (contract 3.4 and 4.5).
pub const TEAMS: FileKeys = FileKeys { title: "Team map", sections: &[&TEAMS_TOP, &TEAMS_TEAM, &TEAMS_OWNER, &TEAMS_SHARED] };
pub const TEAMS_TOP: Keys = Keys {
    title: TOP,
    keys: &[
        key("team", "required", "sections `[[team]]`: who can bear cost, at least one", "[{ name = \"growth\" }]"),
        key(
            "owner",
            "none",
            "sections `[[owner]]`: what belongs to whom",
            "[{ kind = \"api_key\", name = \"key_abc\", team = \"growth\" }]",
        ),
        key("shared", "none", "sections `[[shared]]`: how shared cost is spread", "[{ method = \"proportional\" }]"),
    ],
};
pub const TEAMS_TEAM: Keys = Keys {
    title: "[[team]]",
    keys: &[
        key("name", "required", "the team in every report; not `unattributed` and not `ALL`", "\"growth\""),
        key("cost_centre", "none", "cost centre, for accounting", "\"CC-100\""),
        key("gl_account", "none", "general ledger account, for the journal", "\"6100\""),
    ],
};
pub const TEAMS_OWNER: Keys = Keys {
    title: "[[owner]]",
    keys: &[
        key(
            "kind",
            "required",
            "what `name` names: `api_key`, `sub_account`, `account`, `label`, `ledger_team`, `feature` or `client`",
            "\"api_key\"",
        ),
        key("provider", "any", "provider that `name` belongs to; an entry with it wins over one without", "\"openai\""),
        key("name", "required", "key id, project, account, label … as provider or ledger writes it", "\"key_abc\""),
        key("team", "required", "a team of this map", "\"growth\""),
        key("funding", "none", "whose money the key spends: `byok`, `credits` or `fallback_credits`", "\"byok\""),
        FROM,
        TO,
    ],
};
pub const TEAMS_SHARED: Keys = Keys {
    title: "[[shared]]",
    keys: &[
        key("provider", "any", "provider whose unowned charges are spread", "\"openai\""),
        key("categories", "all", "charge categories: `Usage`, `Purchase`, `Tax`, `Credit`, `Adjustment`", "[\"Tax\"]"),
        key("method", "required", "`proportional` to the teams' own cost, `even` or `fixed`", "\"fixed\""),
        key("teams", "required by `even`", "teams that bear equal parts", "[\"growth\", \"search\"]"),
        key(
            "shares",
            "required by `fixed`",
            "part of each team, in quotes; they sum to 1",
            "{ growth = \"0.7\", search = \"0.3\" }",
        ),
        FROM,
        TO,
    ],
};

/// Names map (contract 3.4).
pub const NAMES: FileKeys = FileKeys { title: "Names map", sections: &[&NAMES_TOP, &NAMES_NAME] };
pub const NAMES_TOP: Keys = Keys {
    title: TOP,
    keys: &[key(
        "name",
        "none",
        "sections `[[name]]`: what names stand for",
        "[{ kind = \"model\", provider = \"openai\", name = \"gpt-5.4-latest\", is = \"gpt-5.4\" }]",
    )],
};
pub const NAMES_NAME: Keys = Keys {
    title: "[[name]]",
    keys: &[
        key(
            "kind",
            "required",
            "what `name` names: `model`, `meter` (a model that says nothing of what it counts), `api_key` or `sub_account`",
            "\"model\"",
        ),
        key("provider", "required", "provider that uses the name", "\"openai\""),
        key("name", "required", "the name as it appears", "\"gpt-5.4-latest\""),
        key("is", "required", "the one name, id or meter that it stands for", "\"gpt-5.4\""),
        FROM,
        TO,
    ],
};

/// Exchange rates (contract 3.4).
pub const FX: FileKeys = FileKeys { title: "Exchange rates", sections: &[&FX_TOP, &FX_RATE] };
pub const FX_TOP: Keys = Keys {
    title: TOP,
    keys: &[key(
        "rate",
        "none",
        "sections `[[rate]]`: published rates; a day without one takes the last of the 7 days before",
        "[{ day = \"2026-11-18\", from = \"EUR\", to = \"USD\", rate = \"1.0853\" }]",
    )],
};
pub const FX_RATE: Keys = Keys {
    title: "[[rate]]",
    keys: &[
        key("day", "required", "day the rate was published for", "\"2026-11-18\""),
        key("from", "required", "currency that one unit is taken of", "\"EUR\""),
        key("to", "required", "currency that `rate` is written in", "\"USD\""),
        key("rate", "required", "how much of `to` one unit of `from` is, in quotes", "\"1.0853\""),
    ],
};
