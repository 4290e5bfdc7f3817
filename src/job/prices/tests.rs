//! A full price book, and a table of mistakes in price books.

use super::*;
use crate::domain::money::Currency;
use crate::domain::period::Days;
use crate::job::testing::{Case, assert_faults, assert_robust};

fn read(text: &str) -> Result<PriceBook, Fault> {
    parse("prices/openai.toml", text)
}

const FULL: &str = r#"provider = "openai"
currency = "USD"
checked = "2026-11-18"
source = "published price page; see the rows"

[[price]]
model = "gpt-5.4"
from = "2026-07-30"
per = 1000000
meters = { input_tokens = "3", output_tokens = "18" }
[[price]]
model = "gpt-5.4"
from = "2026-03-06"
per = 1000000
meters = { input_tokens = "2.50", cache_read_tokens = "0.25", output_tokens = "15" }
tiers = { batch = "0.5", flex = "0.5", priority = "2" }
bands = [
  { above_input_tokens = 128000, meters = { input_tokens = "4" } },
  { above_input_tokens = 272000, meters = { input_tokens = "5", cache_read_tokens = "0.5" } },
]
[[price]]
model = "image"
from = 2026-01-01
to = 2026-02-01
meters = { images = "0.04" }
[[discount]]
from = "2026-01-01"
to = "2026-07-01"
account = "org_acme"
api_key_id = "key_1"
model = "gpt-5.4"
percent = "22"
[[discount]]
from = "2026-01-01"
percent = "2.5"
"#;
const TOP: &str = "provider = \"acme\"\ncurrency = \"USD\"\nchecked = \"2026-11-18\"\n";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn price(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn reads_every_key() {
    let book = read(FULL).unwrap();
    assert_eq!((book.provider.as_str(), book.currency, book.checked), ("openai", Currency::USD, day("2026-11-18")));
    let rows = &book.models["gpt-5.4"];
    assert_eq!(rows[0].days, Days { from: day("2026-03-06"), to: day("2026-07-30") }, "ends where the next row begins");
    assert_eq!(rows[1].days, Days { from: day("2026-07-30"), to: NaiveDate::MAX });
    assert_eq!((rows[0].per, rows[0].meters["input_tokens"], rows[0].tiers["batch"]), (1_000_000, price("2.50"), price("0.5")));
    assert_eq!(rows[0].meters["input_tokens"].to_string(), "2.50", "digits as written");
    let above: Vec<Amount> = rows[0].bands.iter().map(|band| band.above).collect();
    assert_eq!(above, [Amount::whole(128_000), Amount::whole(272_000)]);
    assert_eq!(rows[0].bands[1].meters["cache_read_tokens"], price("0.5"));
    let image = &book.models["image"][0];
    assert_eq!((image.days.to, image.per, image.tiers.len(), image.bands.len()), (day("2026-02-01"), 1, 0, 0));
    let days = Days { from: day("2026-01-01"), to: day("2026-07-01") };
    let [narrow, wide] = book.discounts.as_slice() else { panic!("{:?}", book.discounts) };
    let text = |text: &str| Some(text.to_string());
    let expected =
        Discount { days, account: text("org_acme"), api_key_id: text("key_1"), model: text("gpt-5.4"), off: price("0.22") };
    assert_eq!(*narrow, expected);
    let days = Days { from: day("2026-01-01"), to: NaiveDate::MAX };
    assert_eq!(*wide, Discount { days, account: None, api_key_id: None, model: None, off: price("0.025") });
}

#[test]
fn no_text_makes_it_panic() {
    assert_robust(FULL, read);
}

#[test]
fn faults_at_the_top() {
    let cases: &[Case] = &[
        ("currency = \"USD\"", 1, "missing key \"provider\"", "add it, for example: provider = \"openai\""),
        ("provider = \"a\"\ncurency = \"USD\"", 2, "unknown key \"curency\"", "did you mean \"currency\"?"),
        (
            "provider = \"a\"\ncurrency = \"USD\"\nchecked = \"18.11.2026\"",
            3,
            "checked: expected a day that exists, as YYYY-MM-DD, found \"18.11.2026\"",
            "for example: checked = \"2026-11-18\"",
        ),
        (
            "provider = \"a\"\ncurrency = \"USD\"\nchecked = 2026-11-18",
            1,
            "no [[price]]",
            "add a section [[price]] with: model, from, meters",
        ),
    ];
    assert_faults("prices/openai.toml", ExitCode::Data, cases, read);
}

#[test]
fn faults_in_prices() {
    let cases: &[Case] = &[
        (
            "meters = { input_tokens = 2.50 }",
            7,
            "input_tokens: expected a number in quotes, found 2.50",
            "write it in quotes: \"2.50\"; without them digits may be lost",
        ),
        (
            "meters = { input_tokens = 3 }",
            7,
            "input_tokens: expected a number in quotes, found 3",
            "write it in quotes: \"3\"; without them digits may be lost",
        ),
        (
            "meters = { input_tokens = \"-2.50\" }",
            7,
            "input_tokens: expected a number that is not negative, found \"-2.50\"",
            "write \"2.50\", or leave it out",
        ),
        (
            "meters = { input_tokens = \"2,50\" }",
            7,
            "input_tokens: expected a plain number, found \"2,50\"",
            "digits and one decimal point: no sign, exponent, separator or currency",
        ),
        (
            "meters = { input_tokens = \"2.5e-6\" }",
            7,
            "input_tokens: expected a plain number, found \"2.5e-6\"",
            "digits and one decimal point: no sign, exponent, separator or currency",
        ),
        (
            "meters = { input_tokens = \"0.0000000000001\" }",
            7,
            "input_tokens: expected a number below 1000000000 with at most 12 decimals, found \"0.0000000000001\"",
            "write it with fewer digits",
        ),
        (
            "meters = { input_tokens = \"1000000000\" }",
            7,
            "input_tokens: expected a number below 1000000000 with at most 12 decimals, found \"1000000000\"",
            "write it with fewer digits",
        ),
        ("meters = { input_tokens = true }", 7, "input_tokens: expected a number in quotes, found true", "for example: \"2.50\""),
        ("meters = { input_token = \"1\" }", 7, "unknown meter \"input_token\"", "did you mean \"input_tokens\"?"),
        (
            "meters = { \"Tokens In\" = \"1\" }",
            7,
            "unknown meter \"Tokens In\"",
            "meters are written like input_tokens: small letters, digits and _",
        ),
        (
            "meters = {}",
            7,
            "meters: expected a table with at least one entry, found a table",
            "for example: meters = { input_tokens = \"2.50\", output_tokens = \"15\" }",
        ),
        (
            "meters = [\"1\"]",
            7,
            "meters: expected a table, found a list",
            "for example: meters = { input_tokens = \"2.50\", output_tokens = \"15\" }",
        ),
        (
            "",
            4,
            "missing key \"meters\" in [[price]]",
            "add it, for example: meters = { input_tokens = \"2.50\", output_tokens = \"15\" }",
        ),
        (
            "meters = { images = \"1\" }\nper = 0",
            8,
            "per: expected a whole number from 1 to 1000000000, found 0",
            "for example: per = 1000000",
        ),
        (
            "meters = { images = \"1\" }\nto = \"2026-01-01\"",
            8,
            "to: 2026-01-01 is not after from, 2026-03-06",
            "\"to\" is excluded: for a single day write the day after it",
        ),
        (
            "meters = { images = \"1\" }\ntiers = { standard = \"2\" }",
            8,
            "tiers: standard is the tier that the prices are for, its multiplier is 1",
            "take it out; where this tier costs something else, change the prices",
        ),
        (
            "meters = { images = \"1\" }\ntiers = { batch = 0.5 }",
            8,
            "batch: expected a number in quotes, found 0.5",
            "write it in quotes: \"0.5\"; without them digits may be lost",
        ),
        (
            "meters = { images = \"1\" }\nbands = [{ above_input_tokens = 9, meters = { image = \"2\" } }]",
            8,
            "unknown meter \"image\"",
            "did you mean \"images\"?",
        ),
        (
            "meters = { images = \"1\" }\nbands = [{ above_input_tokens = 9, meters = { big_images = \"2\" } }]",
            8,
            "meters: \"big_images\" has no price outside the band",
            "known: images",
        ),
        (
            "meters = { images = \"1\" }\nbands = [{ above = 9 }]",
            8,
            "unknown key \"above\"",
            "known keys here: above_input_tokens, meters",
        ),
        (
            "meters = { images = \"1\" }\n[[price.bands]]\nmeters = { images = \"2\" }",
            8,
            "missing key \"above_input_tokens\" in [[price.bands]]",
            "add it, for example: above_input_tokens = 272000",
        ),
        (
            "meters = { images = \"1\" }\nbands = [\n{ above_input_tokens = 9, meters = { images = \"2\" } },\n{ above_input_tokens = 9, meters = { images = \"2\" } }]",
            10,
            "above_input_tokens: 9 is not above the band before it, 9",
            "write the bands in ascending order",
        ),
        (
            "meters = { images = \"1\" }\nto = \"2026-06-01\"\n[[price]]\nmodel = \"m\"\nfrom = \"2026-05-01\"\nmeters = { images = \"2\" }",
            9,
            "price of \"m\" from 2026-05-01 overlaps the row on line 4",
            "end the row on line 4 with to = \"2026-05-01\", or take its \"to\" out",
        ),
        (
            "meters = { images = \"1\" }\n[[price]]\nmodel = \"m\"\nfrom = \"2026-03-06\"\nmeters = { images = \"2\" }",
            8,
            "price of \"m\" from 2026-03-06 overlaps the row on line 4",
            "both rows begin on the same day: take one of them out",
        ),
        (
            "meters = { images = \"1\" }\n[[price]]\nmodel = \"m\"\nfrom = \"2026-01-01\"\nto = \"2026-04-01\"\nmeters = { images = \"2\" }",
            4,
            "price of \"m\" from 2026-03-06 overlaps the row on line 8",
            "end the row on line 8 with to = \"2026-03-06\", or take its \"to\" out",
        ),
    ];
    let row = "[[price]]\nmodel = \"m\"\nfrom = \"2026-03-06\"\n";
    assert_faults("prices/openai.toml", ExitCode::Data, cases, |text| read(&format!("{TOP}{row}{text}")));
}

#[test]
fn faults_in_discounts() {
    let cases: &[Case] = &[
        ("percent = \"5\"", 8, "missing key \"from\" in [[discount]]", "add it, for example: from = \"2026-01-01\""),
        ("from = \"2026-01-01\"", 8, "missing key \"percent\" in [[discount]]", "add it, for example: percent = \"22\""),
        (
            "from = \"2026-01-01\"\npercent = 22",
            10,
            "percent: expected a number in quotes, found 22",
            "write it in quotes: \"22\"; without them digits may be lost",
        ),
        (
            "from = \"2026-01-01\"\npercent = \"101\"",
            10,
            "percent: expected more than 0 and at most 100, found \"101\"",
            "for example: percent = \"22\"",
        ),
        (
            "from = \"2026-01-01\"\npercent = \"0\"",
            10,
            "percent: expected more than 0 and at most 100, found \"0\"",
            "for example: percent = \"22\"",
        ),
        (
            "from = \"2026-01-01\"\npercent = \"5\"\nmodel = \"mm\"",
            11,
            "model: this book has no price of \"mm\"",
            "did you mean \"m\"?",
        ),
    ];
    let row = "[[price]]\nmodel = \"m\"\nfrom = \"2026-03-06\"\nmeters = { images = \"1\" }\n[[discount]]\n";
    assert_faults("prices/openai.toml", ExitCode::Data, cases, |text| read(&format!("{TOP}{row}{text}")));
}
