use super::figures::Tokens;
use super::*;
use crate::domain::money::{Amount, sum};
use crate::domain::price::{Asked, PriceBook};
use crate::domain::usage::{Charge, CostBasis, meter};

fn named(file: &str, text: &str) -> Option<&'static str> {
    Groq.identify(&Page { file, bytes: text.as_bytes(), group_by: &[] }).map(|report| report.name)
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn book() -> PriceBook {
    crate::job::prices::parse("groq.toml", include_str!("../../../jobs/prices/groq.toml")).unwrap()
}

/// What the book says a model's quantity costs on the day of the samples.
fn priced(book: &PriceBook, model: &str, meter: &str, quantity: Amount) -> Amount {
    let asked = Asked {
        model,
        meter,
        service_tier: Some("on_demand"),
        batch: false,
        context: Amount::ZERO,
        account: "org_acme",
        api_key_id: None,
        day: "2026-11-17".parse().unwrap(),
    };
    book.price(asked).unwrap().list_cost(quantity).unwrap()
}

#[test]
fn one_call_costs_what_its_tokens_come_to() {
    let whole = |count| Some(Amount::whole(count));
    let tokens = Tokens::split(whole(1204), whole(1024), whole(187)).unwrap();
    assert_eq!(tokens, Tokens { input: whole(180), cache_read: whole(1024), output: whole(187) });
    let (book, model) = (book(), "openai/gpt-oss-120b");
    let parts = [
        priced(&book, model, meter::INPUT_TOKENS, tokens.input.unwrap()),
        priced(&book, model, meter::CACHE_READ_TOKENS, tokens.cache_read.unwrap()),
        priced(&book, model, meter::OUTPUT_TOKENS, tokens.output.unwrap()),
    ];
    assert_eq!(parts, [amount("0.000027"), amount("0.0000768"), amount("0.0001122")]);
    assert_eq!(sum(parts), Some(amount("0.000216")));
}

const BASIC: &str = include_str!("../../../fixtures/groq/basic.csv");

#[test]
fn what_was_entered_is_what_the_price_book_says() {
    let book = book();
    let (mut entered, mut computed) = (Vec::new(), vec![Amount::ZERO; 2]);
    let page = Page { file: "basic.csv", bytes: BASIC.as_bytes(), group_by: &[] };
    Groq.parse(&page, &mut |line| {
        if let Line::Charge(Charge { row, model, meter, quantity, cost, basis, .. }) = line {
            assert_eq!(basis, CostBasis::Manual);
            match cost {
                Some(cost) => entered.push(cost),
                None => {
                    let cost = priced(&book, model.unwrap(), meter.unwrap(), quantity.unwrap());
                    let sum = &mut computed[row as usize - 1];
                    *sum = sum.checked_add(cost).unwrap();
                }
            }
        }
    })
    .unwrap();
    assert_eq!(entered, [amount("0.906"), amount("0.622")]);
    assert_eq!(computed, entered);
}

#[test]
fn cached_tokens_leave_the_input() {
    let whole = |count| Some(Amount::whole(count));
    assert!(Tokens::split(whole(10), whole(11), None).is_err());
    assert!(Tokens::split(None, whole(1), None).is_err());
    assert_eq!(Tokens::split(whole(10), None, None).unwrap().input, whole(10));
}

#[test]
fn tells_its_reports_apart_by_their_shape() {
    let header = "period_start,period_end,organization,project,model,requests,input_tokens,cached_input_tokens,output_tokens,\
                  cost_usd,source\n";
    assert_eq!(named("import.csv", header), Some("manual_csv"));
    assert_eq!(named("page.json", r#"{"object":"list","data":[{"num_requests":1}]}"#), Some("activity"));
    assert_eq!(named("activity-2026-11.json", r#"{"object":"list","data":[]}"#), Some("activity"));
    assert_eq!(named("page.json", r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#), Some("query_range"));
    for (text, says) in [
        ("", "expected the column period_start"),
        ("a,b\n", "expected the column period_start"),
        ("{", "not valid JSON"),
        ("{}", "object: expected \"list\""),
        (r#"{"object":"list","data":[{"id":"llama","object":"model"}]}"#, "another kind of list"),
        (r#"{"object":"list","data":3}"#, "data: expected a list"),
        (r#"{"error":{"message":"Invalid API Key"}}"#, "Invalid API Key"),
        (r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "parse error"),
        (r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, "expected \"matrix\""),
        (r#"{"id":"chatcmpl-1","object":"chat.completion","choices":[]}"#, "a single call"),
    ] {
        assert_eq!(named("page", text), None, "{text}");
        let page = Page { file: "page", bytes: text.as_bytes(), group_by: &[] };
        let fault = Groq.parse(&page, &mut |_| {}).unwrap_err().what;
        assert!(fault.contains(says), "{text}: {fault}");
    }
    assert_eq!(named("models.json", r#"{"object":"list","data":[]}"#), None);
}

#[test]
fn only_what_a_person_entered_or_the_console_shows_is_money() {
    let kinds: Vec<_> = Groq.reports().iter().map(|report| (report.measures, report.rank)).collect();
    assert_eq!(kinds, [(Measures::Money, 0), (Measures::Money, 1), (Measures::Estimate, 0)]);
}

#[test]
fn damaged_pages_never_panic_and_cut_ones_are_never_read() {
    let read = |bytes: &[u8]| Groq.parse(&Page { file: "page", bytes, group_by: &[] }, &mut |_| {}).is_ok();
    let pages: [&[u8]; 3] = [
        BASIC.as_bytes(),
        include_bytes!("../../../fixtures/groq/basic-activity.json"),
        include_bytes!("../../../fixtures/groq/basic-query-range.json"),
    ];
    for page in pages {
        assert!(read(page));
        for end in (0..page.trim_ascii_end().len()).step_by(5).filter(|_| page[0] == b'{') {
            assert!(!read(&page[..end]), "cut at {end}");
        }
        for at in (0..page.len()).step_by(11) {
            for byte in [b'9', b'-', b'"', 0xff] {
                let mut damaged = page.to_vec();
                damaged[at] = byte;
                read(&damaged);
            }
        }
    }
}
