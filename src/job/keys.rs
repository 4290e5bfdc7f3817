//! Every key of the job file and of the reference files: name, default, meaning, example. The parsers
//! refuse what is not listed here, their hints quote the examples, and `jobs/README.md` has these rows.

mod alerts;
mod ledger;
mod plans;
mod reference;
mod savings;

pub use alerts::{JOB_ALERTS, JOB_CHANNEL, JOB_QUIET};
pub use ledger::{JOB_LEDGER, JOB_POSTGRES, JOB_ROUTE};
pub use plans::{
    PLANS, PLANS_BYOK, PLANS_CREDITS, PLANS_DISCOUNT, PLANS_MINIMUM, PLANS_PACK, PLANS_RATE, PLANS_RATE_TIER, PLANS_STEP,
    PLANS_TIER, PLANS_TOP,
};
pub use reference::{
    FX, FX_RATE, FX_TOP, NAMES, NAMES_NAME, NAMES_TOP, PRICES, PRICES_BAND, PRICES_DISCOUNT, PRICES_PRICE, PRICES_TOP, TEAMS,
    TEAMS_OWNER, TEAMS_SHARED, TEAMS_TEAM, TEAMS_TOP,
};
pub use savings::{
    INVOICES, INVOICES_INVOICE, INVOICES_TOP, JOB_PLAN, JOB_SAVINGS, PURCHASES, PURCHASES_BALANCE, PURCHASES_POOL,
    PURCHASES_PURCHASE, PURCHASES_REFUND, PURCHASES_TOP,
};

/// One key of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    /// `required`, `none`, or the value that stands where the key is absent.
    pub default: &'static str,
    pub meaning: &'static str,
    /// A value as it stands in the file.
    pub example: &'static str,
}

/// The keys of one section of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// As it stands in the file, `[[source]]`; `the top of the file` before all sections.
    pub title: &'static str,
    pub keys: &'static [Key],
}

/// One kind of file with all its sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKeys {
    pub title: &'static str,
    pub sections: &'static [&'static Keys],
}

/// All files that a person writes, for documentation.
pub fn known_keys() -> [&'static FileKeys; 8] {
    [&JOB, &PRICES, &TEAMS, &NAMES, &FX, &PLANS, &PURCHASES, &INVOICES]
}

impl Keys {
    /// The key of that name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The rows of a section for documentation, in Markdown.
pub fn table(keys: &Keys) -> String {
    let row = |key: &Key| format!("| `{}` | {} | {} | `{}` |\n", key.name, key.default, key.meaning, key.example);
    let rows: String = keys.keys.iter().map(row).collect();
    format!("| key | default | meaning | example |\n|---|---|---|---|\n{rows}")
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str, example: &'static str) -> Key {
    Key { name, default, meaning, example }
}

const TOP: &str = "the top of the file";
const FROM: Key = key("from", "always", "first UTC day on which this holds", "\"2026-01-01\"");
const TO: Key = key("to", "for ever", "UTC day on which this no longer holds", "\"2026-11-10\"");

/// Job file (contract 3.1).
pub const JOB: FileKeys = FileKeys {
    title: "Job file",
    sections: &[
        &JOB_TOP,
        &JOB_WINDOW,
        &JOB_LIMITS,
        &JOB_LEDGER,
        &JOB_POSTGRES,
        &JOB_ROUTE,
        &JOB_SOURCE,
        &JOB_PULL,
        &JOB_API,
        &JOB_ALERTS,
        &JOB_QUIET,
        &JOB_CHANNEL,
        &JOB_SAVINGS,
        &JOB_PLAN,
        &JOB_SPIKES,
        &JOB_BUDGET,
    ],
};
pub const JOB_TOP: Keys = Keys {
    title: TOP,
    keys: &[
        key("name", "required", "what messages and the manifest call the job", "\"nightly\""),
        key("reporting_currency", "\"USD\"", "currency of the second, converted cost column", "\"EUR\""),
        key("time_zone", "\"UTC\"", "IANA zone of `local_date`; books stay in UTC days", "\"Europe/Berlin\""),
        key("as_of", "the clock", "the moment the run speaks for, with its offset", "\"2026-11-19T06:00:00Z\""),
        key("output", "required", "folder that runs are published in", "\"../out/nightly\""),
        key("state", "required", "folder for what the program remembers between runs", "\"../out/nightly-state\""),
        key("teams", "none", "team map", "\"teams.toml\""),
        key("prices", "none", "price books, one for each provider", "[\"prices/openai.toml\"]"),
        key("prices_max_age_days", "90", "age, 1 to 3,650, beyond which `check` names a price book by its `checked` day", "30"),
        key("names", "none", "names map", "\"names.toml\""),
        key("fx", "none", "exchange rates", "\"fx.toml\""),
        key("byte_order_mark", "true", "a byte order mark in the CSV files that people open", "false"),
        key("window", "trailing 35 days", "section `[window]`: the UTC days to reconcile", "{ trailing_days = 35 }"),
        key(
            "kind",
            "\"nightly\"",
            "`nightly` reconciles; `watch` looks for incidents only, up to the last full hour",
            "\"watch\"",
        ),
        key("alerts", "none", "section `[alerts]`: who is told of what", "{ drift_above = \"50\" }"),
        key("limits", "as listed", "section `[limits]`: bounds of what is fetched", "{ provider_ms = 600000 }"),
        key(
            "ledger",
            "required",
            "sections `[[ledger]]`: request ledgers, at least one",
            "[{ name = \"app\", sqlite = \"ledger.db\" }]",
        ),
        key(
            "source",
            "required",
            "sections `[[source]]`: provider accounts, at least one; in a `watch` job none, or those whose APIs tell hours",
            "[{ provider = \"openai\", account = \"org_acme\" }]",
        ),
        key("savings", "none", "section `[savings]`: wage, purchases, invoices", "{ wage = \"45\" }"),
        key(
            "plan",
            "none",
            "sections `[[plan]]`: how credits and own keys are paid for; without one there is nothing to compare",
            "[{ file = \"plans/moodnode.toml\", team = \"growth\" }]",
        ),
        key("spikes", "the defaults below", "section `[spikes]`: when spend is a spike", "{ money = \"5\" }"),
    ],
};
pub const JOB_WINDOW: Keys = Keys {
    title: "[window]",
    keys: &[
        key("trailing_days", "35", "days before the as-of day, 1 to 400, where `from` is absent", "35"),
        key("from", "none", "first UTC day of the window", "\"2026-10-08\""),
        key("to", "the as-of day", "UTC day after the last one of the window", "\"2026-11-19\""),
    ],
};
pub const JOB_LIMITS: Keys = Keys {
    title: "[limits]",
    keys: &[
        key("connect_ms", "10000", "longest wait for a connection", "5000"),
        key("idle_ms", "30000", "longest wait for the next bytes of an answer", "10000"),
        key("request_ms", "120000", "longest time for one answer as a whole", "60000"),
        key("provider_ms", "1200000", "longest time for all that is asked of one provider, waits included", "600000"),
        key("tries", "6", "times, 1 to 20, that one request is sent at most", "3"),
        key("backoff_ms", "1000", "longest wait before the second try; it doubles with each further one", "500"),
        key("backoff_max_ms", "60000", "longest wait before any try, unless the provider asks for more", "30000"),
        key("header_bytes", "65536", "largest headers of one answer", "32768"),
        key("body_bytes", "67108864", "largest body of one answer as it comes, compressed", "16777216"),
        key("page_bytes", "268435456", "largest body of one answer, decompressed", "67108864"),
        key("pages", "10000", "most pages that follow one another", "500"),
        key("freshness_minutes", "60", "what was fetched so long ago is not fetched again", "0"),
        key("quarantine_budget", "\"0.001\"", "part of a pull's rows, or of its money, that may be unreadable", "\"0.01\""),
        key("loopback_http", "false", "accept `http://` for this machine itself, for tests", "true"),
    ],
};
pub const JOB_SPIKES: Keys = Keys {
    title: "[spikes]",
    keys: &[
        key("score", "\"6\"", "usual deviations of the series that an hour must be above its baseline", "\"6\""),
        key("ratio", "\"3\"", "times the baseline that an hour must be", "\"3\""),
        key("money", "\"5\"", "money an hour that it must be above its baseline, in the currency of the series", "\"5\""),
        key("direction", "\"up\"", "`up`, `down` or `both`", "\"up\""),
        key("adapt_hours", "168", "hours after which a level that stays is the new baseline", "168"),
        key("resolve_hours", "6", "quiet hours after which an incident is over", "6"),
        key("holidays", "[]", "local days on which nobody works, besides Saturdays and Sundays", "[\"2026-12-25\"]"),
        key("morning_hour", "9", "local hour of a working day up to which spend is projected", "9"),
        key("dormant_days", "14", "days without a call after which a key that spends again is a finding", "14"),
        key("rotate_days", "none", "days after which a key must have been replaced, by `from` in the team map", "90"),
        key(
            "budget",
            "none",
            "sections `[[spikes.budget]]`: limits for a calendar month",
            "[{ team = \"growth\", amount = \"500\" }]",
        ),
    ],
};
pub const JOB_BUDGET: Keys = Keys {
    title: "[[spikes.budget]]",
    keys: &[
        key("provider", "every provider", "whose spend it limits", "\"fal\""),
        key("team", "every team", "whose spend it limits", "\"growth\""),
        key("amount", "required", "for a calendar month of UTC days", "\"500\""),
        key("currency", "`reporting_currency`", "currency of the amount; only spend in it counts", "\"USD\""),
    ],
};
pub const JOB_SOURCE: Keys = Keys {
    title: "[[source]]",
    keys: &[
        key("provider", "required", "whose account it is", "\"openai\""),
        key("account", "required", "the account as the provider names it; once for each provider", "\"org_acme\""),
        key("settle_days", "the provider's own", "days, 0 to 400, until a day's figures are taken as settled", "3"),
        key(
            "pull",
            "required unless `api` or `costs`",
            "sections `[[source.pull]]`: saved pages",
            "[{ files = [\"openai/costs-*.json\"] }]",
        ),
        key(
            "costs",
            "\"provider\"",
            "`\"ledger\"`: the request ledger also says what calls cost, where the provider has no report of it",
            "\"ledger\"",
        ),
        key("api", "none", "section `[source.api]`: fetch the reports from the provider", "{ secret = \"cred:openai_admin\" }"),
    ],
};
pub const JOB_API: Keys = Keys {
    title: "[source.api]",
    keys: &[
        key(
            "secret",
            "required",
            "where the key is: `cred:name`, `file:/path` or `env:NAME`; never the key",
            "\"cred:openai_admin\"",
        ),
        key(
            "base_url",
            "the provider's",
            "scheme and host to ask in place of the provider's own",
            "\"https://eu.api.openai.com\"",
        ),
        key(
            "token_url",
            "the provider's",
            "where a service account's key file is turned into a token",
            "\"https://oauth2.googleapis.com/token\"",
        ),
        key("trailing_days", "the provider's own", "days, 1 to 400, before the as-of day that are asked again each night", "35"),
        key("pause_ms", "the provider's own", "least time between two questions of the account", "1000"),
        key(
            "settings",
            "{}",
            "what else the provider must be told, as its README under fixtures says",
            "{ project = \"acme-billing\" }",
        ),
    ],
};
pub const JOB_PULL: Keys = Keys {
    title: "[[source.pull]]",
    keys: &[
        key(
            "files",
            "required",
            "saved pages or patterns, taken together; a later pull replaces a day of an earlier one",
            "[\"openai/costs-*.json\"]",
        ),
        key("report", "what the page says", "the report, where a page cannot tell", "\"costs\""),
        key("group_by", "[]", "what the answer was grouped by", "[\"project_id\"]"),
        key(
            "covers",
            "what the pages show",
            "UTC days the pages speak for, the second one excluded",
            "[\"2026-10-08\", \"2026-11-19\"]",
        ),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_key() {
        let page = include_str!("../../jobs/README.md");
        for section in known_keys().iter().flat_map(|file| file.sections) {
            assert!(page.contains(&table(section)), "jobs/README.md lacks\n{}", table(section));
        }
    }

    #[test]
    fn the_examples_of_the_documentation_are_read() {
        use crate::job::{fx, names, plans, prices, purchases, teams};
        let page = include_str!("../../jobs/README.md");
        let examples: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let [_job, book, map, aliases, rates, plan, bought, invoiced] = examples.as_slice() else { panic!("{examples:?}") };
        assert_eq!(prices::parse("book", book).err(), None);
        assert_eq!(teams::parse("map", map).err(), None);
        assert_eq!(names::parse("aliases", aliases).err(), None);
        assert_eq!(fx::parse("rates", rates).err(), None);
        assert_eq!(plans::parse("plan", plan).err(), None);
        assert_eq!(purchases::parse("bought", bought).err(), None);
        assert_eq!(purchases::parse_invoices("invoiced", invoiced).err(), None);
    }

    #[test]
    fn no_section_has_a_key_twice() {
        for section in known_keys().iter().flat_map(|file| file.sections) {
            let mut names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), section.keys.len(), "{}", section.title);
        }
    }
}
