//! Which rows of two ledgers are one call, by looking at every pair of rows.

use crate::worlds::Row;

type Order = (i64, &'static str, u32, usize);

fn order(row: &Row) -> Order {
    (row.started_at.timestamp(), row.request_id, row.attempt, row.ledger)
}

fn meters(row: &Row) -> Vec<(&'static str, i128)> {
    let mut meters: Vec<_> = row.meters.iter().map(|(meter, quantity)| (*meter, quantity.atto())).collect();
    meters.sort();
    meters
}

/// Winner and loser of each call that two ledgers have.
pub fn pairs(rows: &[Row]) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let places = |ledger: usize| {
        let mut places: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].ledger == ledger).collect();
        places.sort_by_key(|at| order(&rows[*at]));
        places
    };
    for loser in places(1) {
        let id = |at: usize| (rows[at].provider, rows[at].provider_request_id);
        let same = |winner: &usize| rows[loser].provider_request_id.is_some() && id(*winner) == id(loser);
        if let Some(winner) = places(0).into_iter().find(same) {
            pairs.push((winner, loser));
        }
    }
    let by_id = pairs.clone();
    for loser in places(1).into_iter().filter(|at| by_id.iter().all(|(_, loser)| loser != at)) {
        let (mine, apart) =
            (&rows[loser], |at: usize| (rows[at].started_at.timestamp() - rows[loser].started_at.timestamp()).abs());
        let fits = |at: &usize| {
            let row = &rows[*at];
            let alike = (row.provider, row.model) == (mine.provider, mine.model) && meters(row) == meters(mine);
            let tokens = row.meters.iter().any(|(meter, _)| meter.ends_with("_tokens"));
            let named = row.provider_request_id.is_some() && mine.provider_request_id.is_some();
            let free = !pairs[by_id.len()..].iter().any(|(winner, _)| winner == at);
            alike && tokens && !named && free && apart(*at) <= 5
        };
        let best = places(0).into_iter().filter(fits).min_by_key(|at| (apart(*at), order(&rows[*at])));
        if let Some(winner) = best {
            pairs.push((winner, loser));
        }
    }
    pairs
}

/// A row with what it leaves empty from the rows that it stands for, the earliest first.
pub fn filled(rows: &[Row], at: usize, pairs: &[(usize, usize)]) -> Row {
    let mut row = rows[at].clone();
    let mut others: Vec<&Row> = pairs.iter().filter(|(winner, _)| *winner == at).map(|(_, loser)| &rows[*loser]).collect();
    others.sort_by_key(|other| order(other));
    for other in others {
        row.team = row.team.or(other.team);
        row.feature = row.feature.or(other.feature);
        row.client = row.client.or(other.client);
        row.funding = row.funding.or(other.funding);
        row.provider_request_id = row.provider_request_id.or(other.provider_request_id);
    }
    row
}
