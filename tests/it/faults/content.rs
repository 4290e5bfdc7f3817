//! What stands on a page, and how pages follow each other.

use super::world::{DAYS, ROW, Row, World, openai_costs, openai_page};
use super::{Case, check};
use crate::fault_server::{answer, json};

const COSTS: &str = "/v1/organization/costs";

#[test]
fn what_is_no_page_is_looked_at_twice_and_never_used() {
    let json_type = [("content-type", "application/json")];
    let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
    for (name, page, says) in [
        (
            "html",
            answer(200, &[("content-type", "text/html")], b"<html>\n\x1b[31m Please <b>log in</b>"),
            "the answer is text/html, expected application/json; it begins: <html> \\u{1b}[31m Please",
        ),
        ("html as json", answer(200, &json_type, b"<html>"), "the answer is no sound JSON: expected value at line 1 column 1"),
        ("empty", answer(200, &json_type, b""), "the answer is empty"),
        ("no content", answer(204, &json_type, b""), "HTTP 204"),
        ("cut", answer(200, &json_type, &openai_costs().as_bytes()[..100]), "the answer is no sound JSON: EOF"),
        ("not UTF-8", answer(200, &json_type, b"{\"data\":\"\xff\xfe\"}"), "the answer is not UTF-8 text"),
        ("deep", answer(200, &json_type, deep.as_bytes()), "nested deeper than 64"),
        ("key twice", answer(200, &json_type, b"{\"data\":[],\"data\":[]}"), "the key \"data\" stands twice"),
        ("another page", json("{\"hello\":1}"), "costs-2026-11-16-001.json: "),
        (
            "cursor missing",
            json(openai_page(&[], None).replace("\"has_more\":false", "\"has_more\":true")),
            "next_page: expected a cursor",
        ),
        ("day not asked for", json(openai_page(&[(DAYS[0].1 - 86_400, vec![ROW])], None)), "row 1: is of 2026-11-15"),
        (
            "day begins at noon",
            json(openai_page(&[(DAYS[0].1 + 43_200, vec![ROW])], None)),
            "data[0].end_time: expected a later instant of the day",
        ),
    ] {
        let requests = if name == "no content" { 1 } else { 2 };
        check(&Case { name, limits: "", answers: vec![page], code: 76, says, requests });
    }
}

#[test]
fn of_what_is_no_page_little_is_shown_and_nothing_that_a_terminal_obeys() {
    let world = World::new(&["openai"], "");
    let page = "<html>\u{1b}[2J\u{202e}\r\n".repeat(400);
    world.fail(COSTS, vec![answer(200, &[("content-type", "text/html")], page.as_bytes())]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 76, "{}", ran.err);
    let last = ran.err.lines().last().unwrap();
    let shown = last.split("it begins: ").nth(1).and_then(|rest| rest.split("; published").next()).unwrap();
    assert!(shown.starts_with("<html>\\u{1b}[2J") && shown.len() <= 200, "{shown}");
    assert!(!ran.err.contains(['\u{1b}', '\u{202e}']), "{}", ran.err);
}

#[test]
fn a_page_that_is_good_the_second_time_costs_nothing() {
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![answer(200, &[("content-type", "text/html")], b"<html>"), json(openai_costs())]);
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.server.seen().len()), (0, 2), "{}", ran.err);
}

#[test]
fn pages_that_lead_in_a_circle_or_never_end_are_76() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    check(&Case {
        name: "circle",
        limits: "",
        answers: vec![
            json(openai_page(&[(first, vec![ROW])], Some("p2"))),
            json(openai_page(&[(second, vec![ROW])], Some("p2"))),
        ],
        code: 76,
        says: "the pages lead in a circle",
        requests: 2,
    });
    let world = World::new(&["openai"], "pages = 3");
    let pages = ["p2", "p3", "p4", "p5"].map(|cursor| json(openai_page(&[(third, vec![ROW])], Some(cursor))));
    world.fail(COSTS, pages.to_vec());
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.server.seen().len()), (76, 3), "{}", ran.err);
    assert!(ran.err.contains("more than 3 pages follow one another"), "{}", ran.err);
}

#[test]
fn pages_in_any_cut_and_order_say_the_same() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let other: Row<'_> = ("proj_b", "gpt-5.4, output", "0.5");
    let whole = World::new(&["openai"], "");
    whole
        .fail(COSTS, vec![json(openai_page(&[(first, vec![ROW, other]), (second, vec![ROW]), (third, vec![other, ROW])], None))]);
    assert_eq!(whole.run(&[]).code, 0);
    let cut = World::new(&["openai"], "");
    // The middle day stands on both pages, and the rows in another order.
    let one = openai_page(&[(third, vec![ROW, other]), (second, vec![ROW])], Some("p2"));
    let two = openai_page(&[(second, vec![ROW]), (first, vec![other, ROW])], None);
    cut.fail(COSTS, vec![json(one), json(two)]);
    let ran = cut.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for file in ["attribution.csv", "reconciliation.csv", "team_month.csv"] {
        assert_eq!(whole.report(file), cut.report(file), "{file}");
    }
    let counted = |world: &World| world.report("coverage.csv").lines().filter(|line| line.contains(",2,1,1,0,")).count();
    assert_eq!((counted(&whole), counted(&cut)), (0, 1), "{}", cut.report("coverage.csv"));
    let asked = cut.server.seen();
    assert_eq!(asked[1].query("page").as_deref(), Some("p2"));
    assert!(asked[1].at - asked[0].at >= std::time::Duration::from_millis(400), "pages are asked politely");
}

#[test]
fn one_row_told_in_two_ways_is_fetched_again_and_then_refused() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let changed = ("proj_a", "gpt-5.4, input", "\"2.6\"");
    let one = json(openai_page(&[(first, vec![ROW]), (second, vec![ROW])], Some("p2")));
    let two = json(openai_page(&[(second, vec![changed]), (third, vec![ROW])], None));
    check(&Case {
        name: "conflict",
        limits: "",
        answers: vec![one.clone(), two.clone(), one.clone(), two.clone()],
        code: 76,
        says: "two pages say different things of the same row",
        requests: 4,
    });
    // A page that was rewritten while it was read is consistent the second time.
    let world = World::new(&["openai"], "");
    let good = json(openai_page(&[(second, vec![ROW]), (third, vec![ROW])], None));
    world.fail(COSTS, vec![one.clone(), two, one, good]);
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.server.seen().len()), (0, 4), "{}", ran.err);
}

#[test]
fn rows_that_cannot_be_read_stay_within_their_budget() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let bad = ("proj_a", "gpt-5.4, output", "123456789012345678901234567890.5");
    let page = openai_page(&[(first, vec![ROW, bad]), (second, vec![ROW]), (third, vec![ROW])], None);
    check(&Case {
        name: "over budget",
        limits: "",
        answers: vec![json(&page)],
        code: 76,
        says: "1 of 4 rows cannot be read, more than 0.001 of them; the first is row 2: amount.value: ",
        requests: 1,
    });
    let world = World::new(&["openai"], "quarantine_budget = \"0.3\"");
    world.fail(COSTS, vec![json(&page)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(world.report("quarantine.csv").lines().filter(|line| line.contains("amount.value: ")).count(), 1);
}

/// One row of a thousand and a half, but most of the money.
#[test]
fn rows_that_cannot_be_read_stay_within_their_budget_of_money() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let items: Vec<String> = (0..1500).map(|n| format!("gpt-5.4, input {n}")).collect();
    let rows = items.iter().map(|item| ("proj_a", item.as_str(), "0.001")).collect();
    let page = openai_page(&[(first, rows), (second, vec![ROW]), (third, vec![ROW])], None);
    let bad = openai_page(&[(first, vec![("proj_a", "gpt-5.4, output", "50")])], None)
        .replace("\"quantity\":1000000", "\"quantity\":-1");
    let bad = bad.split("\"results\":[").nth(1).and_then(|rest| rest.split("]}").next()).unwrap();
    check(&Case::new(
        "money over budget",
        vec![json(page.replacen("\"results\":[", &format!("\"results\":[{bad},"), 1))],
        "rows of 50 USD out of 56.5 cannot be read, more than 0.001 of it; the first is row 1: quantity: ",
    ));
}

#[test]
fn below_zero_is_an_adjustment_and_no_usage() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let credit: Row<'_> = ("proj_a", "credit for an outage", "-1.25");
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![json(openai_page(&[(first, vec![ROW, credit]), (second, vec![ROW]), (third, vec![ROW])], None))]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let adjusted: Vec<String> = world
        .rows("attribution.csv")
        .iter()
        .filter(|row| row["charge_category"] == "Adjustment")
        .map(|row| format!("{} {}", row["charge_date"], row["billed_cost"]))
        .collect();
    assert_eq!(adjusted, ["2026-11-16 -1.25"]);
    let reasons: Vec<String> = world.rows("drift.csv").iter().map(|row| row["reason"].clone()).collect();
    assert!(reasons.contains(&"non_usage".to_string()), "{reasons:?}");
}

#[test]
fn no_number_makes_it_stumble() {
    let [first, ..] = DAYS.map(|(_, start)| start);
    for number in ["\"NaN\"", "\"inf\"", "1e999", "-1e999", "\"1e400\"", "12345678901234567890123456789012", "null", "[]", "true"]
    {
        let world = World::new(&["openai"], "");
        world.fail(COSTS, vec![json(openai_page(&[(first, vec![("proj_a", "gpt-5.4, input", number)])], None))]);
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.runs()), (76, Vec::<String>::new()), "{number}: {}", ran.err);
    }
}
