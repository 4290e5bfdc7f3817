//! Plans as text.

use super::*;
use crate::job::testing::{Case, assert_faults, assert_robust};

fn read(text: &str) -> Result<Plan, Fault> {
    parse("plan.toml", text)
}

const TOP: &str = "name = \"p\"\ncurrency = \"USD\"\nunit = \"images\"\nchecked = 2026-11-18\nsource = \"s\"\n";

const FULL: &str = r#"name = "p"
currency = "EUR"
unit = "images"
checked = "2026-11-18"
source = "s"
[[credits]]
offer = "o"
from = "2026-01-01"
to = "2026-07-01"
signed_up_from = "2025-01-01"
signed_up_to = "2026-01-01"
flat_fee = ["1", "2"]
percent = ["20", "40.5"]
free_requests = 10
credit_price = "0.01"
deposit_percent = "5.5"
deposit_minimum = "0.80"
minimum_balance = "5"
expires_days = 365
unused = "carry"
ops_hours = "0.5"
wage = "60"
value = "10"
fx_percent = "1.5"
tier_choice = "cheapest"
tier = [{ included = 50, price = "29", overage = "1" }, { price = ["49", "99"] }]
[[credits.rate]]
provider = "fal"
model = "m"
meter = "video_seconds"
per = 10
graduated = true
in_credits = true
tier = [{ from = 0, price = "5" }, { from = 100, price = "4" }]
[[credits.minimum]]
amount = "3"
[[byok]]
free_list_cost = "25000"
percent = "5"
[[byok.step]]
provider = "elevenlabs"
meter = "characters"
tier = [{ included = 100000, price = "22" }]
[[byok.discount]]
account = "a"
percent = "22"
[[byok]]
from = "2026-08-10"
[[byok]]
offer = "pack"
"#;

#[test]
fn reads_every_key() {
    let plan = read(FULL).unwrap();
    let [terms] = plan.credits.as_slice() else { panic!("{:?}", plan.credits) };
    let amount = |text: &str| Amount::parse(text).unwrap();
    assert_eq!(terms.flat_fee, Range { low: amount("1"), high: amount("2") });
    assert_eq!(terms.percent, Some(Range { low: amount("0.2"), high: amount("0.405") }));
    assert_eq!(terms.allowance, Some(Allowance::Requests(amount("10"))));
    assert_eq!(terms.deposit, Some(Deposit { part: amount("0.055"), minimum: amount("0.8") }));
    assert_eq!((terms.unused, terms.expires_days, terms.wage), (Settlement::Carry, Some(365), Some(amount("60"))));
    assert_eq!((terms.value, terms.fx, terms.ops_hours.low), (amount("10"), amount("0.015"), amount("0.5")));
    assert_eq!(terms.subscription.as_ref().map(|ladder| (ladder.tiers.len(), ladder.choice)), Some((2, Choice::Cheapest)));
    assert_eq!((terms.rates[0].tiers.len(), terms.rates[0].per, terms.rates[0].graduated), (2, 10, true));
    assert_eq!(terms.minimums, [Minimum { provider: None, amount: amount("3") }]);
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let [first, second, pack] = plan.byok.as_slice() else { panic!("{:?}", plan.byok) };
    // An open end closes where the next terms of the same offer begin.
    assert_eq!((first.days.to, second.days.from, pack.days), (day("2026-08-10"), day("2026-08-10"), ALWAYS));
    assert_eq!((first.steps.len(), first.discounts[0].off), (1, amount("0.22")));
    assert_eq!(plan.terms(Route::Byok, None, None, day("2026-08-09")), Some(first));
    assert_eq!(plan.terms(Route::Credits, Some("o"), Some(day("2026-01-01")), day("2026-02-01")), None);
    assert_eq!(plan.terms(Route::Credits, Some("o"), Some(day("2025-12-31")), day("2026-02-01")), Some(terms));
    assert_eq!(plan.terms(Route::Credits, None, None, day("2026-02-01")), None);
}

#[test]
fn no_text_makes_it_panic() {
    assert_robust(FULL, read);
}

#[test]
fn says_where_what_and_what_to_do() {
    let cases: &[Case] = &[
        (
            "[[byok]]\nflat_fee = 20",
            7,
            "flat_fee: expected a number in quotes, found 20",
            "write it in quotes: \"20\"; without them digits may be lost",
        ),
        ("[[byok]]\nflat_fee = [\"50\", \"20\"]", 7, "flat_fee: the range ends below its start, 50", "write the lower end first"),
        (
            "[[credits]]\npercent = [\"20\"]",
            7,
            "percent: expected one figure, or a list of two, found a list",
            "for example: percent = [\"20\", \"40\"]",
        ),
        (
            "[[byok]]\npercent = \"10001\"",
            7,
            "percent: expected at most 10000 per cent, found \"10001\"",
            "for example: percent = \"5\"",
        ),
        (
            "[[byok]]\nstep = [{ provider = \"elevenlabs\", meter = \"characters\" }]",
            7,
            "missing key \"tier\" in [[byok.step]]",
            "add it, for example: tier = [{ included = 100000, price = \"22\", overage = \"0.0003\" }]",
        ),
        (
            "[[credits]]\nrate = [{ meter = \"images\" }]",
            7,
            "neither price nor tier",
            "add one of them, for example: price = \"0.06\"; a price that is not known is left out with its rate",
        ),
        ("[[credits]]\nrate = [{ meter = \"image\", price = \"1\" }]", 7, "unknown meter \"image\"", "did you mean \"images\"?"),
        (
            "[[credits]]\nrate = [{ meter = \"images\", price = \"5\", in_credits = true }]",
            7,
            "in_credits: the terms have no credit_price",
            "add credit_price to the terms, or write the price in money",
        ),
        (
            "[[credits]]\nrate = [{ meter = \"images\", tier = [{ from = 1, price = \"5\" }] }]",
            7,
            "from: the first tier begins at 1",
            "the first tier begins at 0",
        ),
        (
            "[[credits]]\ntier = [{ included = 500, price = \"49\" }, { included = 50, price = \"29\" }]",
            7,
            "included: 50 is not above the tier before it, 500",
            "write the tiers in ascending order",
        ),
        (
            "[[credits]]\ntier = [{ price = \"49\" }, { included = 50, price = \"29\" }]",
            7,
            "a tier without included",
            "only the last tier may go on without end",
        ),
        (
            "[[credits]]\ntier = [{ included = 5, price = \"49\", overage = \"1\" }, { included = 50, price = \"29\" }]",
            7,
            "overage: of a tier that is never exceeded",
            "take it out, or let the cheapest tier be taken: tier_choice = \"cheapest\"",
        ),
        (
            "[[credits]]\npack = { units = 100, price = \"5\" }\ntier = [{ included = 5, price = \"49\" }]",
            7,
            "both pack and tier",
            "a volume is bought in one way: take one of them out",
        ),
        ("[[credits]]\ntier_choice = \"line\"", 7, "tier_choice: there is no tier to choose", "take it out, or add tiers"),
        (
            "[[credits]]\nfree_requests = 5",
            7,
            "free_requests: there is no percent that it is free of",
            "add percent, or take this out",
        ),
        (
            "[[byok]]\npercent = \"5\"\nfree_requests = 5\nfree_list_cost = \"5\"",
            9,
            "both free_requests and free_list_cost",
            "one of them ends what is free: take the other out",
        ),
        (
            "[[credits]]\ndeposit_minimum = \"0.80\"",
            7,
            "deposit_minimum without deposit_percent",
            "add deposit_percent; \"0\" where the fee is the same for every deposit",
        ),
        (
            "[[byok]]\nminimum = [{ provider = \"fal\", amount = \"1\" }, { provider = \"fal\", amount = \"2\" }]",
            7,
            "a second minimum of \"fal\"",
            "keep the one that is charged",
        ),
        (
            "[[byok]]\ndiscount = [{ percent = \"101\" }]",
            7,
            "percent: expected more than 0 and at most 100, found \"101\"",
            "for example: percent = \"22\"",
        ),
        (
            "[[byok]]\nsigned_up_from = 2026-09-01\nsigned_up_to = 2026-09-01",
            8,
            "signed_up_to: 2026-09-01 is not after signed_up_from, 2026-09-01",
            "\"signed_up_to\" is excluded: for a single day write the day after it",
        ),
        (
            "[[byok]]\nfrom = 2026-01-01\nto = 2026-08-10\n[[byok]]\nfrom = 2026-08-01",
            9,
            "these terms and those on line 6 are in force on the same days",
            "end one of them with \"to\", or give it an \"offer\" of its own",
        ),
        (
            "",
            1,
            "neither [[credits]] nor [[byok]]",
            "add a section [[credits]] or [[byok]]; one without keys charges what jobs/README.md gives as default",
        ),
        ("[[byok]]\npack = { units = 1, price = \"1\" }", 7, "unknown key \"pack\"", "\"pack\" belongs to [[credits]]"),
        ("[[byok]]\nstepp = []", 7, "unknown key \"stepp\"", "did you mean \"step\"?"),
    ];
    assert_faults("plan.toml", ExitCode::Data, cases, |text| read(&format!("{TOP}{text}")));
}

#[test]
fn every_shipped_plan_is_read_and_names_its_source() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs/plans");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let plan = parse(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        let plan = plan.unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(plan.name.as_str()));
        names.push(plan.name);
    }
    names.sort();
    assert_eq!(names, ["aniavatar", "flo2", "kompozy", "logicmint", "moodnode", "openrouter"]);
}
