//! The clock: the only place that reads it.

use chrono::{DateTime, Utc};

/// Now.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// An id for one execution, fit for a folder's name: start time and process.
pub fn run_id() -> String {
    format!("{}-{}", now().format("%Y%m%dT%H%M%S%3f"), std::process::id())
}
