//! Savings that hold, and one breach of each law.

use super::super::csv::render;
use super::super::laws::Sheet;
use super::super::savings;
use super::{by_client, compared, rolls_forward};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::parse_day;
use crate::domain::plan::{Component, Range};
use crate::stages::savings::rows::{ALL, ClientSaving, Compared, Prepaid, Saving};

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// Credits cost 1.5 times what keys cost, which is a markup; half of the saving is a fee.
fn figures(keys: i64) -> Compared {
    let at = Component::ALL.iter().position(|component| *component == Component::Markup).unwrap();
    let fee = Component::ALL.iter().position(|component| *component == Component::FlatFee).unwrap();
    let of = |numerator: i128| Amount::whole(keys).mul_div(numerator, 4).unwrap();
    let mut compared = Compared {
        volume: Some(Amount::whole(keys)),
        unit: "images".to_string(),
        actual_byok: of(4),
        actual_fees: of(1),
        all_credits: Range { low: of(6), high: of(7) },
        all_byok: Range { low: of(5), high: of(5) },
        ..Compared::default()
    };
    compared.components[at] = of(2);
    compared.components[fee] = of(-1);
    compared
}

fn saving(team: &str, provider: &str, model: &str, keys: i64) -> Saving {
    Saving {
        period_start: parse_day("2026-11-01").unwrap(),
        team: team.to_string(),
        provider: provider.to_string(),
        model: model.to_string(),
        plan: "p".to_string(),
        compared: Some(figures(keys)),
        not_comparable: 0,
        not_comparable_cost: Amount::ZERO,
        break_even: None,
        advice: None,
        split_saves: None,
        reason: String::new(),
    }
}

/// A leaf and the totals above it.
fn rows(keys: i64) -> Vec<Saving> {
    let places = [(ALL, ALL, ALL), (ALL, "fal", ALL), ("studio", ALL, ALL), ("studio", "fal", ALL), ("studio", "fal", "m")];
    places.map(|(team, provider, model)| saving(team, provider, model, keys)).to_vec()
}

fn files() -> Vec<(String, Vec<u8>)> {
    let clients = [("", 4), ("acme", 8)]
        .into_iter()
        .flat_map(|(client, keys)| rows(keys).into_iter().map(move |saving| ClientSaving { client: client.to_string(), saving }));
    let pool = Prepaid {
        period_start: parse_day("2026-11-01").unwrap(),
        pool: "growth".to_string(),
        unit: "USD".to_string(),
        opening: Amount::whole(10),
        purchased: Amount::whole(5),
        granted: Amount::ZERO,
        used: Amount::whole(3),
        expired: Amount::ZERO,
        refunded: Amount::ZERO,
        closing: Amount::whole(12),
        short: Amount::ZERO,
        shown: None,
        paid: Amount::ZERO,
        fees: Amount::ZERO,
        currency: Currency::USD,
    };
    let next = Prepaid {
        period_start: parse_day("2026-12-01").unwrap(),
        opening: Amount::whole(12),
        closing: amount("14"),
        ..pool.clone()
    };
    let tables = [
        savings::table(&rows(12), Currency::USD).unwrap(),
        savings::clients(&clients.collect::<Vec<_>>(), Currency::USD).unwrap().unwrap(),
        savings::prepaid(&[pool, next]).unwrap(),
    ];
    tables.iter().map(|table| (table.file.to_string(), render(table, true))).collect()
}

fn check(files: &[(String, Vec<u8>)]) -> Result<(), String> {
    let savings = Sheet::open(files, "savings.csv")?;
    compared(&savings)?;
    by_client(&Sheet::open(files, savings::CLIENTS)?, &savings)?;
    rolls_forward(&Sheet::open(files, "prepaid.csv")?)
}

#[test]
fn every_breach_of_the_savings_laws_is_named() {
    let sound = files();
    assert_eq!(check(&sound), Ok(()));
    let leaf = "\"studio\",\"fal\",\"m\",\"p\",12,\"images\",0,12,3,18,21,15,15,3,6,3,0,6,0,0,0,0,-3,0,0,0,0,0,3,6,";
    let client = "\"studio\",\"acme\",\"fal\",\"m\",\"p\",8,\"images\",0,8,2,12,14,10,10,2,4,2,0,4,0,0,0,0,-2,0,0,0,0,0,2,4,";
    let with = |row: &str, from: &str, to: &str| row.replacen(from, to, 1);
    for (file, from, to, named) in [
        ("savings.csv", leaf, with(leaf, ",3,6,3,", ",2,6,3,"), "saving_low against credits less own keys: 2 is not 3"),
        ("savings.csv", leaf, with(leaf, ",3,6,3,", ",3,7,3,"), "saving_high against credits less own keys: 7 is not 6"),
        ("savings.csv", leaf, with(leaf, ",18,21,15,15,3,6,", ",18,17,15,15,3,2,"), "saving_low 3 is above saving_high 2"),
        ("savings.csv", leaf, with(leaf, ",0,6,0,0", ",0,7,0,0"), "sum of the components against saving_low: 4 is not 3"),
        (
            "savings.csv",
            leaf,
            with(leaf, ",0,0,3,6,", ",1,0,3,6,"),
            "sum of the components with ops_hours against all_in_saving_low: 4",
        ),
        (
            "savings.csv",
            leaf,
            with(leaf, ",3,6,3,", ",3,6,4,"),
            "realised against all_credits_low less what was paid: 4 is not 3",
        ),
        ("savings.csv", leaf, with(leaf, ",0,12,3,", ",1,11,3,"), "sum of the rows against the total: "),
        ("savings.csv", leaf, with(leaf, "\"studio\"", "\"growth\""), "sum of the rows against the total: "),
        ("savings_clients.csv", client, with(client, ",0,8,2,", ",1,7,2,"), "sum of the clients against savings.csv: "),
        (
            "savings_clients.csv",
            client,
            with(client, ",8,\"images\"", ",9,\"images\""),
            "sum of the clients against savings.csv: 13 is not 12",
        ),
        ("savings_clients.csv", client, with(client, "\"m\"", "\"n\""), "sum of the clients against savings.csv: "),
        (
            "savings_clients.csv",
            client,
            with(client, ",2,4,2,", ",1,4,2,"),
            "saving_low against credits less own keys: 1 is not 2",
        ),
        ("prepaid.csv", ",3,0,0,12,", ",4,0,0,12,".to_string(), "what went in against what went out and is left: 15 is not 16"),
        (
            "prepaid.csv",
            "\"USD\",12,5,0,3,0,0,14",
            "\"USD\",11,5,0,2,0,0,14".to_string(),
            "opening against the closing before: 11 is not 12",
        ),
    ] {
        let mut broken = sound.clone();
        let (_, bytes) = broken.iter_mut().find(|(name, _)| name == file).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{from} in\n{text}");
        assert_ne!(from, to, "{named}");
        *bytes = text.replacen(from, &to, 1).into_bytes();
        let fault = check(&broken).unwrap_err();
        assert!(fault.starts_with(file) && fault.contains(named), "{fault:?} should name {named:?}");
    }
    // A row of clients that savings.csv has not at all.
    let mut more = sound;
    let text = String::from_utf8(more[1].1.clone()).unwrap();
    let row = text.lines().find(|row| row.contains(client)).unwrap().replace("\"fal\"", "\"bfl\"");
    more[1].1.extend(format!("{row}\r\n").into_bytes());
    assert!(check(&more).unwrap_err().contains("not in savings.csv"));
}
