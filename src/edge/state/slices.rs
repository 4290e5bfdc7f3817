//! Slices in the state store: what each report says about each UTC day, in versions (reliability.md section 3).
//! An answer lands whole, in one transaction, or not at all. What is told by the hour between the nights is kept apart
//! from the nights' slices, so that neither changes a figure of the other.

use super::{Query, State, WATCH, instant};
use crate::domain::fault::Fault;
use crate::domain::period::{Days, parse_day};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeMap;

/// An account of a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub provider: String,
    pub account: String,
}

/// A slice that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceRow {
    pub endpoint: String,
    pub day: NaiveDate,
    pub version: u32,
    pub fetch_id: i64,
    pub digest: String,
    pub rows: u64,
    /// The moment that the run spoke for which fetched it last, and the clock's.
    pub as_of: DateTime<Utc>,
    pub fetched_at: DateTime<Utc>,
}

/// What an answer says about one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub digest: String,
    pub rows: u64,
    /// A JSON object of decimal texts by currency.
    pub amounts: String,
}

/// A page of an answer; its bytes are in the raw store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRow {
    pub name: String,
    pub sha256: String,
    pub group_by: Vec<String>,
}

/// A whole answer that is to land.
#[derive(Clone, Debug)]
pub struct Answered {
    pub owner: Owner,
    pub endpoint: String,
    pub pages: Vec<PageRow>,
    pub days: BTreeMap<NaiveDate, Said>,
    pub fetched_at: DateTime<Utc>,
}

/// How a run takes what it fetches.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    pub as_of: DateTime<Utc>,
    pub business_date: NaiveDate,
    /// Slices that shrank are taken as they are.
    pub accept_shrink: bool,
}

/// An answer as the snapshot reads it: its pages speak for these days and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub endpoint: String,
    pub days: Vec<NaiveDate>,
    pub pages: Vec<PageRow>,
}

/// A version that differs from the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStep {
    pub owner: Owner,
    pub endpoint: String,
    pub day: NaiveDate,
    /// The newer one of the two.
    pub version: u32,
    pub seen_on: NaiveDate,
    pub rows: (u64, u64),
    /// As [`Said::amounts`]: before and after.
    pub amounts: (String, String),
}

/// Before the names of providers in slices of runs that watch; no provider has this sign in its name.
const WATCHED: &str = "watch/";

const IN_FORCE: &str = "version = (SELECT max(version) FROM slice AS other WHERE other.provider = slice.provider \
    AND other.account = slice.account AND other.endpoint = slice.endpoint AND other.day = slice.day)";

impl State {
    /// As the store writes the owner of slices for runs of this kind.
    fn kept(&self, owner: &Owner) -> Owner {
        let before = if self.kind == WATCH { WATCHED } else { "" };
        Owner { provider: format!("{before}{}", owner.provider), account: owner.account.clone() }
    }

    /// The slices of an account that are in force on these days.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn slices(&mut self, owner: &Owner, days: Days) -> Result<Vec<SliceRow>, Fault> {
        let sql = format!(
            "SELECT slice.endpoint, day, version, slice.fetch_id, digest, rows, as_of, fetched_at FROM slice \
             JOIN fetch USING (fetch_id) WHERE slice.provider = ? AND slice.account = ? AND day >= ? AND day < ? AND {IN_FORCE} \
             ORDER BY slice.endpoint, day"
        );
        let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), &self.kept(owner));
        let rows = self.store.query(owned(query, days))?;
        rows.iter().map(|row| slice_row(row).ok_or_else(|| self.store.corrupt("table slice"))).collect()
    }

    /// The answers that slices in force come from, oldest first, each with the days that it speaks for.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn stored(&mut self, owner: &Owner, days: Days) -> Result<Vec<Stored>, Fault> {
        let mut by_fetch: BTreeMap<i64, Stored> = BTreeMap::new();
        for slice in self.slices(owner, days)? {
            let stored = by_fetch.entry(slice.fetch_id).or_insert_with(|| Stored {
                endpoint: slice.endpoint.clone(),
                days: Vec::new(),
                pages: Vec::new(),
            });
            stored.days.push(slice.day);
        }
        for (fetch, stored) in &mut by_fetch {
            let query = sqlx::query("SELECT name, sha256, group_by FROM page WHERE fetch_id = ? ORDER BY number");
            let rows = self.store.query(query.bind(*fetch))?;
            let pages = rows.iter().map(|row| page_row(row).ok_or_else(|| self.store.corrupt("table page")));
            stored.pages = pages.collect::<Result<_, Fault>>()?;
        }
        Ok(by_fetch.into_values().collect())
    }

    /// Takes an answer, whole: a day that reads as before keeps its version, another gets a new one, and one
    /// that shrank is held back (reliability.md section 3, "Shrink guard"). Returns the days that are held.
    ///
    /// # Errors
    /// The store cannot be written; then nothing has landed.
    pub fn land(&mut self, answer: &Answered, landing: &Landing) -> Result<Vec<NaiveDate>, Fault> {
        let (Some(first), Some(last)) = (answer.days.keys().next(), answer.days.keys().next_back()) else {
            return Ok(Vec::new());
        };
        let span = Days { from: *first, to: last.succ_opt().unwrap_or(*last) };
        let there: BTreeMap<NaiveDate, SliceRow> = self
            .slices(&answer.owner, span)?
            .into_iter()
            .filter(|slice| slice.endpoint == answer.endpoint)
            .map(|slice| (slice.day, slice))
            .collect();
        let owner = self.kept(&answer.owner);
        let held_before = self.held_since(&owner, &answer.endpoint)?;
        let fetch_id = self.store.number(sqlx::query("SELECT coalesce(max(fetch_id), 0) + 1 FROM fetch"))?;
        let mut changes = self.new_fetch(fetch_id, &owner, answer, landing);
        let mut held = Vec::new();
        for (day, said) in &answer.days {
            let slice = Slice { owner: &owner, endpoint: &answer.endpoint, day: *day };
            let before = there.get(day);
            let shrunk =
                before.is_some_and(|before| before.rows > 0 && said.rows * 2 < before.rows && said.digest != before.digest);
            let seen = held_before.get(day).is_some_and(|since| *since < landing.business_date);
            if shrunk && !seen && !landing.accept_shrink {
                held.push(*day);
                changes.push(slice.hold("shrunk", held_before.get(day).copied().unwrap_or(landing.business_date)));
                continue;
            }
            changes.push(
                slice.bind(sqlx::query("DELETE FROM held WHERE provider = ? AND account = ? AND endpoint = ? AND day = ?")),
            );
            match before {
                Some(before) if before.digest == said.digest => {
                    let same = sqlx::query(
                        "UPDATE slice SET fetch_id = ? WHERE provider = ? AND account = ? AND endpoint = ? AND day = ? AND version = ?",
                    );
                    changes.push(slice.bind(same.bind(fetch_id)).bind(i64::from(before.version)));
                }
                // What was said before the day was over is completed: nothing is restated.
                Some(before) if before.as_of < day_end(*day) => {
                    changes.push(slice.completed(before.version, fetch_id, said, landing))
                }
                _ => changes.extend(slice.newer(before.map_or(0, |before| before.version), fetch_id, said, landing)),
            }
        }
        // What nothing comes from any more has done its duty.
        changes
            .push(sqlx::query("DELETE FROM fetch WHERE fetch_id NOT IN (SELECT fetch_id FROM slice WHERE fetch_id IS NOT NULL)"));
        self.store.change(changes)?;
        Ok(held)
    }

    fn new_fetch(&self, fetch_id: i64, owner: &Owner, answer: &Answered, landing: &Landing) -> Vec<Query> {
        let fetch = sqlx::query(
            "INSERT INTO fetch (fetch_id, provider, account, endpoint, as_of, fetched_at, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let fetch = fetch
            .bind(fetch_id)
            .bind(owner.provider.clone())
            .bind(owner.account.clone())
            .bind(answer.endpoint.clone())
            .bind(instant(landing.as_of))
            .bind(instant(answer.fetched_at))
            .bind(self.run_id.clone());
        let mut changes = vec![fetch];
        for (number, page) in (1i64..).zip(&answer.pages) {
            let insert = sqlx::query("INSERT INTO page (fetch_id, number, name, sha256, group_by) VALUES (?, ?, ?, ?, ?)");
            let group_by = serde_json::Value::from(page.group_by.clone()).to_string();
            changes.push(insert.bind(fetch_id).bind(number).bind(page.name.clone()).bind(page.sha256.clone()).bind(group_by));
        }
        changes
    }

    /// Goes back to the version before, because the newest is off by a unit (reliability.md section 3, "Unit
    /// guard"): only for a slice that this run has changed. False where there is nothing to go back to.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn hold_back(&mut self, owner: &Owner, endpoint: &str, day: NaiveDate, landing: &Landing) -> Result<bool, Fault> {
        let owner = self.kept(owner);
        let slice = Slice { owner: &owner, endpoint, day };
        let newest = sqlx::query(
            "SELECT version FROM slice JOIN fetch USING (fetch_id) WHERE slice.provider = ? AND slice.account = ? \
             AND slice.endpoint = ? AND day = ? AND run_id = ? AND EXISTS (SELECT 1 FROM slice AS before \
             WHERE before.provider = slice.provider AND before.account = slice.account AND before.endpoint = slice.endpoint \
             AND before.day = slice.day AND before.version = slice.version - 1 AND before.fetch_id IS NOT NULL) \
             AND seen_on = ? ORDER BY version DESC LIMIT 1",
        );
        let newest = slice.bind(newest).bind(self.run_id.clone()).bind(landing.business_date.to_string());
        let rows = self.store.query(newest)?;
        let Some(version) = rows.first().and_then(|row| row.try_get::<i64, _>(0).ok()) else { return Ok(false) };
        let delete =
            sqlx::query("DELETE FROM slice WHERE provider = ? AND account = ? AND endpoint = ? AND day = ? AND version = ?");
        self.store.change(vec![slice.bind(delete).bind(version), slice.hold("unit", landing.business_date)])?;
        Ok(true)
    }

    /// `owner` as the store writes it.
    fn held_since(&mut self, owner: &Owner, endpoint: &str) -> Result<BTreeMap<NaiveDate, NaiveDate>, Fault> {
        let query =
            sqlx::query("SELECT day, since FROM held WHERE provider = ? AND account = ? AND endpoint = ? AND reason = 'shrunk'");
        let rows = self.store.query(bound(query, owner).bind(endpoint.to_string()))?;
        rows.iter()
            .map(|row| Some((date(row, "day")?, date(row, "since")?)))
            .map(|row| row.ok_or_else(|| self.store.corrupt("table held")))
            .collect()
    }

    /// Slices that are held back: endpoint and day.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn held(&mut self, owner: &Owner, days: Days) -> Result<Vec<(String, NaiveDate)>, Fault> {
        let query = sqlx::query("SELECT endpoint, day FROM held WHERE provider = ? AND account = ? AND day >= ? AND day < ?");
        let query = owned(bound(query, &self.kept(owner)), days);
        let rows = self.store.query(query)?;
        rows.iter()
            .map(|row| Some((row.try_get("endpoint").ok()?, date(row, "day")?)))
            .map(|row| row.ok_or_else(|| self.store.corrupt("table held")))
            .collect()
    }

    /// Every change of a slice of a night within these days, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn version_steps(&mut self, days: Days) -> Result<Vec<VersionStep>, Fault> {
        let query = sqlx::query(
            "SELECT new.provider, new.account, new.endpoint, new.day, new.version, new.seen_on, old.rows AS old_rows, \
             new.rows AS new_rows, old.amounts AS old_amounts, new.amounts AS new_amounts FROM slice AS new \
             JOIN slice AS old USING (provider, account, endpoint, day) WHERE old.version = new.version - 1 \
             AND day >= ? AND day < ? AND substr(new.provider, 1, 6) <> ? \
             ORDER BY day, provider, account, endpoint, new.version",
        );
        let rows = self.store.query(owned(query, days).bind(WATCHED))?;
        rows.iter().map(|row| step(row).ok_or_else(|| self.store.corrupt("table slice"))).collect()
    }

    /// The hashes of all pages that are still needed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn pages_kept(&mut self) -> Result<Vec<String>, Fault> {
        self.store.texts(sqlx::query("SELECT DISTINCT sha256 FROM page"))
    }
}

struct Slice<'a> {
    owner: &'a Owner,
    endpoint: &'a str,
    day: NaiveDate,
}

impl Slice<'_> {
    fn bind(&self, query: Query) -> Query {
        bound(query, self.owner).bind(self.endpoint.to_string()).bind(self.day.to_string())
    }

    fn hold(&self, reason: &'static str, since: NaiveDate) -> Query {
        let insert = sqlx::query(
            "INSERT INTO held (provider, account, endpoint, day, reason, since) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (provider, account, endpoint, day) DO NOTHING",
        );
        self.bind(insert).bind(reason).bind(since.to_string())
    }

    /// The version with what the whole day says.
    fn completed(&self, version: u32, fetch_id: i64, said: &Said, landing: &Landing) -> Query {
        let update = sqlx::query(
            "UPDATE slice SET fetch_id = ?, digest = ?, rows = ?, amounts = ?, seen_on = ? \
             WHERE provider = ? AND account = ? AND endpoint = ? AND day = ? AND version = ?",
        );
        let update = update.bind(fetch_id).bind(said.digest.clone()).bind(i64::try_from(said.rows).unwrap_or(i64::MAX));
        let update = update.bind(said.amounts.clone()).bind(landing.business_date.to_string());
        self.bind(update).bind(i64::from(version))
    }

    /// A version after this one. Of those before it only this one keeps its pages.
    fn newer(&self, before: u32, fetch_id: i64, said: &Said, landing: &Landing) -> Vec<Query> {
        let insert = sqlx::query(
            "INSERT INTO slice (provider, account, endpoint, day, version, fetch_id, digest, rows, amounts, seen_on) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = self
            .bind(insert)
            .bind(i64::from(before) + 1)
            .bind(fetch_id)
            .bind(said.digest.clone())
            .bind(i64::try_from(said.rows).unwrap_or(i64::MAX))
            .bind(said.amounts.clone())
            .bind(landing.business_date.to_string());
        let forget = sqlx::query(
            "UPDATE slice SET fetch_id = NULL WHERE provider = ? AND account = ? AND endpoint = ? AND day = ? AND version < ?",
        );
        vec![insert, self.bind(forget).bind(i64::from(before))]
    }
}

fn day_end(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc() + Duration::days(1)
}

fn bound(query: Query, owner: &Owner) -> Query {
    query.bind(owner.provider.clone()).bind(owner.account.clone())
}

fn owned(query: Query, days: Days) -> Query {
    query.bind(days.from.to_string()).bind(days.to.to_string())
}

fn date(row: &SqliteRow, column: &str) -> Option<NaiveDate> {
    parse_day(&row.try_get::<String, _>(column).ok()?)
}

fn moment(row: &SqliteRow, column: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(&row.try_get::<String, _>(column).ok()?).ok()?.with_timezone(&Utc))
}

fn count(row: &SqliteRow, column: &str) -> Option<u64> {
    u64::try_from(row.try_get::<i64, _>(column).ok()?).ok()
}

fn slice_row(row: &SqliteRow) -> Option<SliceRow> {
    Some(SliceRow {
        endpoint: row.try_get("endpoint").ok()?,
        day: date(row, "day")?,
        version: u32::try_from(count(row, "version")?).ok()?,
        fetch_id: row.try_get("fetch_id").ok()?,
        digest: row.try_get("digest").ok()?,
        rows: count(row, "rows")?,
        as_of: moment(row, "as_of")?,
        fetched_at: moment(row, "fetched_at")?,
    })
}

fn page_row(row: &SqliteRow) -> Option<PageRow> {
    let group_by: String = row.try_get("group_by").ok()?;
    Some(PageRow {
        name: row.try_get("name").ok()?,
        sha256: row.try_get("sha256").ok()?,
        group_by: serde_json::from_str(&group_by).ok()?,
    })
}

fn step(row: &SqliteRow) -> Option<VersionStep> {
    Some(VersionStep {
        owner: Owner { provider: row.try_get("provider").ok()?, account: row.try_get("account").ok()? },
        endpoint: row.try_get("endpoint").ok()?,
        day: date(row, "day")?,
        version: u32::try_from(count(row, "version")?).ok()?,
        seen_on: date(row, "seen_on")?,
        rows: (count(row, "old_rows")?, count(row, "new_rows")?),
        amounts: (row.try_get("old_amounts").ok()?, row.try_get("new_amounts").ok()?),
    })
}

#[cfg(test)]
mod tests;
