use super::*;
use crate::domain::period::parse_day;
use crate::domain::price::Asked;
use std::path::Path;

fn imported(format: Format, name: &str, provider: &str) -> Imported {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prices").join(name);
    let day = parse_day("2026-01-15").unwrap();
    import(format, name, &std::fs::read_to_string(path).unwrap(), Terms { provider, from: day, checked: day }).unwrap()
}

/// The book and what is left out, as they stand in the file; BLESS=1 rewrites it.
fn golden(file: &str, imported: &Imported) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prices").join(file);
    let left_out: String = imported.left_out.iter().map(|left_out| format!("# left out: {left_out}\n")).collect();
    let text = format!("{}\n{left_out}", imported.book);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    prices::parse(file, &text).unwrap();
}

#[test]
fn books_are_as_they_stand_in_the_fixtures() {
    for provider in ["openai", "anthropic", "google"] {
        golden(&format!("litellm-{provider}.toml"), &imported(Format::Litellm, "litellm.json", provider));
    }
    golden("genai-prices-anthropic.toml", &imported(Format::GenaiPrices, "genai-prices.json", "anthropic"));
}

#[test]
fn an_imported_book_prices_calls_by_meter_tier_band_and_day() {
    let book = |imported: &Imported| prices::parse("book", &imported.book).unwrap();
    let asked = |model, meter, tier, context, day: &str| Asked {
        model,
        meter,
        service_tier: tier,
        batch: false,
        context: Amount::whole(context),
        account: "a",
        api_key_id: None,
        day: parse_day(day).unwrap(),
    };
    let list = |book: &crate::domain::price::PriceBook, asked| book.price(asked).map(|price| price.list.normalize().to_string());
    let openai = book(&imported(Format::Litellm, "litellm.json", "openai"));
    let price = |model, meter, tier, context| list(&openai, asked(model, meter, tier, context, "2026-02-01"));
    assert_eq!(price("gpt-fixture", "input_tokens", None, 1).as_deref(), Some("1.25"));
    assert_eq!(price("gpt-fixture", "cache_read_tokens", Some("batch"), 1).as_deref(), Some("0.0625"));
    assert_eq!(price("gpt-fixture", "output_tokens", Some("priority"), 1).as_deref(), Some("20"));
    assert_eq!(price("gpt-fixture-long", "output_tokens", None, 272_000).as_deref(), Some("15"));
    assert_eq!(price("gpt-fixture-long", "output_tokens", None, 272_001).as_deref(), Some("22.5"));
    assert_eq!(price("gpt-fixture-long", "input_tokens", Some("flex"), 1), None, "flex has no price of every meter");
    assert_eq!(price("fixture-free", "input_tokens", None, 1), None, "zero is not taken for free");
    let google = book(&imported(Format::Litellm, "litellm.json", "google"));
    let output = |context| list(&google, asked("gemini-fixture", "output_tokens", None, context, "2026-02-01"));
    assert_eq!(output(150_000).as_deref(), Some("12"));
    assert_eq!(output(250_000).as_deref(), Some("15"));
    let anthropic = book(&imported(Format::GenaiPrices, "genai-prices.json", "anthropic"));
    let dated = |day| list(&anthropic, asked("claude-fixture-dated", "input_tokens", None, 200_001, day));
    assert_eq!(dated("2026-01-14"), None);
    assert_eq!(dated("2026-03-12").as_deref(), Some("10"));
    assert_eq!(dated("2026-03-13").as_deref(), Some("5"));
}

#[test]
fn digits_arrive_as_they_stand_or_not_at_all() {
    let read = |text: &str, is_for| price(&serde_json::from_str(text).unwrap(), is_for).map(|price| price.to_string());
    assert_eq!(read("2.5e-06", 1).as_deref(), Ok("2.5"));
    assert_eq!(read("0.0000001234567", 1).as_deref(), Ok("0.1234567"));
    assert_eq!(read("1e-18", 1).as_deref(), Ok("0.000000000001"));
    assert_eq!(read("0.1", PER).as_deref(), Ok("0.1"));
    assert_eq!(read("12.50", PER).as_deref(), Ok("12.5"));
    for bad in ["2.9999999999999997e-07", "1e-19", "0", "0.0", "-1", "1e30", "1000", "null", "\"1\""] {
        assert!(read(bad, 1).is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_such_map_is_refused() {
    let day = parse_day("2026-01-15").unwrap();
    for (format, text, provider) in [
        (Format::Litellm, "{", "openai"),
        (Format::Litellm, "[]", "openai"),
        (Format::Litellm, "{}", "openai"),
        (Format::Litellm, "{\"m\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": 0}}", "openai"),
        (Format::GenaiPrices, "{}", "openai"),
        (Format::GenaiPrices, "[{}]", "openai"),
        (Format::GenaiPrices, "[{\"id\": \"openai\", \"models\": []}]", "openai"),
    ] {
        let fault = import(format, "map.json", text, Terms { provider, from: day, checked: day }).unwrap_err();
        assert_eq!(fault.code, ExitCode::Data, "{text}");
    }
    let slip = "{\"m\": {\"litellm_provider\": \"opanai\", \"input_cost_per_token\": 1e-06}}";
    let fault = import(Format::Litellm, "map.json", slip, Terms { provider: "opanai", from: day, checked: day }).unwrap_err();
    assert!(fault.to_string().contains("did you mean"), "{fault}");
}

#[test]
fn names_of_models_are_read_again_or_named_as_left_out() {
    let day = parse_day("2026-01-15").unwrap();
    let text = r#"{"a\"b\\c": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
        "d\u0001": {"litellm_provider": "openai", "input_cost_per_token": 1e-06}}"#;
    let imported = import(Format::Litellm, "map.json", text, Terms { provider: "openai", from: day, checked: day }).unwrap();
    let book = prices::parse("book", &imported.book).unwrap();
    assert_eq!(book.models.keys().collect::<Vec<_>>(), ["a\"b\\c"]);
    assert_eq!(imported.left_out.len(), 1);
    assert_eq!(imported.left_out[0].model, "d\u{1}");
}
