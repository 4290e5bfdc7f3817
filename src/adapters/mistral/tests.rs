use super::*;
use crate::domain::money::{Amount, sum};
use crate::domain::usage::{Charge, meter};

fn named(file: &str, text: &str) -> Option<&'static str> {
    Mistral.identify(&Page { file, bytes: text.as_bytes(), group_by: &[] }).map(|report| report.name)
}

fn fault(text: &str) -> String {
    Mistral.parse(&Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] }, &mut |_| {}).unwrap_err().what
}

/// What `read` makes of each charge of a page.
fn charges<T>(text: &str, read: impl Fn(&Charge<'_>) -> T) -> Vec<T> {
    let mut found = Vec::new();
    let page = Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] };
    Mistral
        .parse(&page, &mut |line| {
            if let Line::Charge(charge) = line {
                found.push(read(&charge));
            }
        })
        .unwrap();
    found
}

const BASIC: &str = include_str!("../../../fixtures/mistral/basic.json");

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

#[test]
fn a_models_cost_is_what_is_charged_times_the_page_s_prices() {
    let cost = |model: &str| {
        let of_model = |charge: &Charge<'_>| (charge.model == Some(model)).then(|| charge.cost.unwrap());
        sum(charges(BASIC, of_model).into_iter().flatten()).unwrap()
    };
    assert_eq!(cost("mistral-large-2512"), amount("1.292"));
    assert_eq!(cost("mistral-small-2603"), amount("0.012"));
    assert!(charges(BASIC, |charge| charge.currency).iter().all(|currency| *currency == Currency::EUR));
}

#[test]
fn drift_is_on_what_was_consumed_and_money_on_what_is_charged() {
    let small = |charge: &Charge<'_>| {
        (charge.model == Some("mistral-small-2603")).then_some((charge.quantity.unwrap(), charge.cost.unwrap()))
    };
    let found: Vec<_> = charges(BASIC, small).into_iter().flatten().collect();
    assert_eq!(found, [(amount("120000"), amount("0.012"))]);
}

#[test]
fn events_say_what_is_counted_else_the_category_does() {
    let counted = |category: &str, event: Option<&str>, group: &str| {
        let mut page = serde_json::json!({ "currency": "EUR", "prices": [] });
        let row = serde_json::json!([{ "event_type": event, "timestamp": "2026-11-17", "value": 1 }]);
        page[category] = serde_json::json!({ "models": { "a::b": { group: row } } });
        // A category that nobody knows makes no page alone.
        page["chat"] = serde_json::json!({});
        charges(&page.to_string(), |charge| charge.meter.map(str::to_string)).remove(0)
    };
    for (category, event, group, expected) in [
        ("completion", Some("api_tokens"), "input", Some(meter::INPUT_TOKENS)),
        ("completion", None, "cached", Some(meter::CACHE_READ_TOKENS)),
        ("completion", None, "output", Some(meter::OUTPUT_TOKENS)),
        ("completion", Some("deployment_tokens"), "reasoning", Some("reasoning_tokens")),
        ("ocr", Some("api_pages"), "input", Some("pages")),
        ("ocr", None, "input", Some("pages")),
        ("audio", Some("api_tokens"), "output", Some(meter::OUTPUT_TOKENS)),
        ("audio", None, "input", Some(meter::AUDIO_SECONDS)),
        ("audio", Some("api_audio_seconds"), "input", Some(meter::AUDIO_SECONDS)),
        ("audio_characters", None, "input", Some(meter::CHARACTERS)),
        ("connectors", Some("api_connectors"), "input", Some("connector_calls")),
        ("robots", Some("gpu_hour"), "input", Some("gpu_hours")),
        ("robots", Some("reserved_instance"), "input", Some("reserved_instances")),
        ("robots", Some("robot_steps"), "input", Some("robot_steps")),
        ("robots", None, "input", None),
    ] {
        assert_eq!(counted(category, event, group).as_deref(), expected, "{category} {event:?} {group}");
    }
}

#[test]
fn only_the_file_s_name_tells_a_workspace() {
    assert_eq!(named("usage-2026-11.json", BASIC), Some("usage"));
    assert_eq!(named("usage-2026-11-workspace-0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10.json", BASIC), Some("usage_by_workspace"));
    assert_eq!(workspace("workspace-0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10"), Some("0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10"));
    for file in ["workspace-growth.json", "0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10.json", "workspace-0b5c7a9e-3a0e", "workspace-é"]
    {
        assert_eq!(workspace(file), None, "{file}");
    }
}

#[test]
fn the_finest_report_is_booked() {
    let money = Mistral.reports().iter().filter(|report| report.measures == Measures::Money);
    assert_eq!(money.map(|report| (report.name, report.rank)).collect::<Vec<_>>(), [("usage_by_workspace", 0), ("usage", 1)]);
}

#[test]
fn what_is_not_ours_is_nobody_s_and_says_what_it_is() {
    for (text, says) in [
        ("", "not valid JSON"),
        ("date,model\n", "not valid JSON"),
        ("[]", "found none of its fields"),
        ("{}", "found none of its fields"),
        (r#"{"limits":{"completion":{"total_usage":431.27}}}"#, "spend limit"),
        (r#"{"requests_per_second":20,"tokens_limits_by_model":{}}"#, "rate limits"),
        (r#"{"object":"error","message":"Requests rate limit exceeded"}"#, "Requests rate limit exceeded"),
        (r#"{"detail":[{"type":"missing"}]}"#, "the answer is an error"),
    ] {
        assert_eq!(named("usage.json", text), None, "{text}");
        assert!(fault(text).contains(says), "{text}: {}", fault(text));
    }
}

#[test]
fn without_a_currency_no_row_is_money() {
    for currency in ["null", "\"\"", "\" \"", "\"EURO\"", "7"] {
        let text = BASIC.replace(r#""currency": "EUR""#, &format!(r#""currency": {currency}"#));
        assert!(fault(&text).starts_with("currency: "), "{currency}");
    }
    let empty = r#"{"completion":{"models":{}},"currency":null,"prices":null}"#;
    assert_eq!(charges(empty, |_| ()), []);
}

#[test]
fn damaged_pages_never_panic_and_cut_ones_are_never_read() {
    const NESTED: &[u8] = include_bytes!("../../../fixtures/mistral/nested-categories.json");
    let read = |bytes: &[u8]| Mistral.parse(&Page { file: "page.json", bytes, group_by: &[] }, &mut |_| {}).is_ok();
    for page in [BASIC.as_bytes(), NESTED] {
        assert!(read(page));
        for end in (0..page.trim_ascii_end().len()).step_by(5) {
            assert!(!read(&page[..end]), "cut at {end}");
        }
        for at in (0..page.len()).step_by(11) {
            for byte in [b'9', b'-', b'[', 0xff] {
                let mut damaged = page.to_vec();
                damaged[at] = byte;
                read(&damaged);
            }
        }
    }
}
