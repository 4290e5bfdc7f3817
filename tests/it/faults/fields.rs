//! Fields that come, go and turn into something else, and words that nobody knows (reliability.md section 5).

use super::world::{DAYS, ROW, Row, World, openai_costs, openai_page};
use super::{Case, check};
use crate::fault_server::json;
use serde_json::{Value, json as value};

const COSTS: &str = "/v1/organization/costs";

/// All reports but the summary, which names what is new.
fn figures(world: &World) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut reports = world.reports();
    reports.remove("summary.txt").unwrap();
    reports
}

fn schema(world: &World, report: &str) -> Value {
    let schemas = world.manifest()["schemas"].clone();
    schemas.as_array().unwrap().iter().find(|schema| schema["report"] == report).cloned().unwrap_or(Value::Null)
}

#[test]
fn a_new_field_changes_no_figure_and_is_named_once() {
    let known = World::new(&["openai"], "");
    assert_eq!(known.run(&[]).code, 0);
    let page = openai_costs()
        .replace("\"object\":\"page\"", "\"object\":\"page\",\"brand_new\":{\"deep\":[1]}")
        .replace("\"project_id\"", "\"=cmd()\":1,\"project_id\"");
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![json(&page)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(figures(&world), figures(&known));
    let summary = world.report("summary.txt");
    let expected = "\nNew fields of providers, which this version does not read (all are in MANIFEST.json):\n  \
                    openai costs: brand_new\n  openai costs: data.results.=cmd()\n";
    assert!(summary.contains(expected), "{summary}");
    assert_eq!(ran.out.matches("brand_new").count(), 1, "{}", ran.out);
    assert_eq!(schema(&world, "costs")["new_fields"], value!(["brand_new", "data.results.=cmd()"]));
    // The same again is nothing new, and what is known has no section of its own.
    let again = world.run(&[]);
    assert!(again.code == 0 && again.err.contains("nothing new: 2026-11-18.r1 stands"), "{}", again.err);
    assert!(!known.report("summary.txt").contains("New fields"));
    let (before, after) = (schema(&known, "costs"), schema(&world, "costs"));
    assert!(before["new_fields"] == value!([]) && before["sha256"] != after["sha256"], "{before} {after}");
    // Once it is gone the summary says nothing of it.
    world.heal();
    assert_eq!(world.run(&[]).code, 0);
    assert_eq!(world.reports(), known.reports());
}

#[test]
fn a_number_as_text_or_a_text_as_number_counts_and_is_named() {
    let known = World::new(&["openai", "anthropic"], "");
    assert_eq!(known.run(&[]).code, 0);
    let world = World::new(&["openai", "anthropic"], "");
    world.fail(COSTS, vec![json(openai_costs().replace("\"quantity\":1000000", "\"quantity\":\"1000000\""))]);
    world.fail(ANTHROPIC, vec![json(super::world::anthropic_costs().replace("\"amount\":\"250\"", "\"amount\":250"))]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(figures(&world), figures(&known));
    let summary = world.report("summary.txt");
    let expected = "\nFields with another kind of value than documented; numbers count where they are exact:\n  \
                    anthropic cost_report: data.results.amount: number for text\n  \
                    openai costs: data.results.quantity: text for number\n";
    assert!(summary.contains(expected), "{summary}");
    let changed = value!([{ "field": "data.results.quantity", "expected": ["number"], "found": "text" }]);
    assert_eq!(schema(&world, "costs")["other_kinds"], changed);

    // What is no exact number is no number in either form.
    for (name, wrong) in [
        ("words", "\"quantity\":\"a million\""),
        ("a list", "\"quantity\":[1000000]"),
        ("no number of a computer's", "\"quantity\":\"1e999\""),
        ("a flag", "\"quantity\":true"),
    ] {
        let page = json(openai_costs().replace("\"quantity\":1000000", wrong));
        let says = "3 of 3 rows cannot be read, more than 0.001 of them; the first is row 1: quantity: ";
        check(&Case::new(name, vec![page], says));
    }
    // A word is no number either way.
    let page = json(openai_costs().replace("\"project_id\":\"proj_a\"", "\"project_id\":17"));
    check(&Case::new("an id as number", vec![page], "the first is row 1: project_id: expected text, found 17"));
}

const ANTHROPIC: &str = "/v1/organizations/cost_report";

#[test]
fn what_is_optional_may_go_and_what_is_needed_may_not() {
    // Nobody is charged, or nobody says by which key: the money stands all the same.
    let world = World::new(&["openai"], "");
    let page = openai_costs().replace("\"api_key_id\":\"key_a\",", "").replace("\"project_id\":\"proj_a\",", "");
    world.fail(COSTS, vec![json(page)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(world.said("attribution.csv", &["sub_account", "api_key_id", "billed_cost"]), ["  2.5"; 3]);

    for (name, from, to, says, requests) in [
        (
            "amount gone",
            "\"amount\":{\"value\":\"2.5\",\"currency\":\"usd\"},",
            "",
            "3 of 3 rows cannot be read, more than 0.001 of them; the first is row 1: amount.value: expected a number, found nothing",
            1,
        ),
        ("currency gone", ",\"currency\":\"usd\"", "", "the first is row 1: amount.currency: expected a currency code", 1),
        ("rows gone", "\"results\":", "\"rows\":", "data[0].results: expected a list, found nothing", 2),
        ("days gone", "\"start_time\":", "\"start\":", "data[0].start_time: expected a Unix time, found nothing", 2),
        ("pages gone", "\"data\":", "\"buckets\":", "data: expected a list, found nothing", 2),
    ] {
        let page = json(openai_costs().replace(from, to));
        check(&Case { requests, ..Case::new(name, vec![page], says) });
    }
}

/// What was billed on the first day, sorted.
fn of_the_first_day(world: &World, columns: &[&str]) -> Vec<String> {
    let lines = world.said("attribution.csv", &[&["charge_date"], columns].concat());
    let mut lines: Vec<String> = lines.iter().filter_map(|line| line.strip_prefix("2026-11-16 ")).map(str::to_string).collect();
    lines.sort();
    lines
}

/// What nobody knows stands on a line of its own, without a price, and is never added to anything else.
#[test]
fn unknown_models_tiers_and_currencies_stand_alone() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let rows: Vec<Row<'_>> = vec![
        ROW,
        ("proj_a", "gpt-99-nobody, input", "1.5"),
        ("proj_a", "gpt-5.4, dreams", "0.25"),
        ("proj_a", "quantum foam", "0.125"),
    ];
    let page = openai_page(&[(first, rows), (second, vec![ROW]), (third, vec![ROW])], None);
    // A second row of euros, for the same model and project as the dollars.
    let euro = page.split("\"results\":[").nth(1).and_then(|rest| rest.split("},{\"object\"").next()).unwrap();
    let euro = format!("{}}}", euro.trim_end_matches('}')).replace("\"usd\"", "\"eur\"").replace("2.5", "7");
    let page = page.replacen("\"results\":[", &format!("\"results\":[{euro},"), 1);
    let world = World::new(&["openai"], "");
    std::fs::write(world.path("prices.toml"), PRICES).unwrap();
    std::fs::write(world.path("fx.toml"), RATES).unwrap();
    let files = "state = \"state\"\nprices = [\"prices.toml\"]\nfx = \"fx.toml\"\n";
    world.change_job("state = \"state\"\n", files);
    world.fail(COSTS, vec![json(page)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines = of_the_first_day(&world, &["model", "meter", "billed_cost", "currency"]);
    let expected = [
        // What no word of the line item tells has neither model nor meter.
        "  0.375 USD",
        "gpt-5.4 input_tokens 2.5 USD",
        "gpt-5.4 input_tokens 7 EUR",
        "gpt-99-nobody input_tokens 1.5 USD",
    ];
    assert_eq!(lines, expected);
    // Each currency has its own total, and what has no price is not given one.
    let totals: Vec<String> = world
        .rows("reconciliation.csv")
        .iter()
        .filter(|row| row["charge_date"] == "2026-11-16")
        .map(|row| format!("{} {}", row["provider_total"], row["currency"]))
        .collect();
    assert_eq!(totals, ["7 EUR", "4.375 USD"]);
    let unpriced = world.rows("attribution.csv");
    let unpriced = unpriced.iter().filter(|row| row["model"] == "gpt-99-nobody" && row["contracted_cost"].is_empty());
    assert_eq!(unpriced.count(), 1);

    // Words of another provider that nobody knows either.
    let world = World::new(&["anthropic"], "");
    std::fs::write(world.path("ledger.csv"), "request_id,attempt,started_at,provider,model\n").unwrap();
    let page: Value = serde_json::from_str(&super::world::anthropic_costs()).unwrap();
    let known = page["data"][0]["results"][0].clone();
    let with = |changes: &[(&str, &str)]| {
        let mut row = known.clone();
        changes.iter().for_each(|(field, word)| row[*field] = value!(word));
        row
    };
    let rows = value!([
        known,
        with(&[("amount", "10"), ("service_tier", "quantum")]),
        with(&[("amount", "20"), ("token_type", "dream_tokens")]),
        with(&[("amount", "40"), ("cost_type", "seance"), ("model", "claude-nobody")]),
    ]);
    let mut page = page;
    page["data"][0]["results"] = rows;
    world.fail(ANTHROPIC, vec![json(page.to_string())]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines = of_the_first_day(&world, &["model", "service_tier", "meter", "billed_cost"]);
    let expected = [
        "claude-nobody standard input_tokens 0.4",
        "claude-opus-5-5 quantum input_tokens 0.1",
        "claude-opus-5-5 standard dream_tokens 0.2",
        "claude-opus-5-5 standard input_tokens 2.5",
    ];
    assert_eq!(lines, expected);

    // A code that no currency has names no currency: such a row is set aside with its amount.
    let page = openai_costs().replace("\"usd\"", "\"xqz\"");
    check(&Case::new("no currency", vec![json(page)], "the first is row 1: amount.currency: "));
}

const PRICES: &str = r#"provider = "openai"
currency = "USD"
checked = "2026-11-15"
source = "the test"
[[price]]
model = "gpt-5.4"
from = "2026-01-01"
per = 1000000
meters = { input_tokens = "2.5" }
"#;
const RATES: &str = r#"[[rate]]
day = "2026-11-16"
from = "EUR"
to = "USD"
rate = "1.1"
"#;
