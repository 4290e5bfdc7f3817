//! tieout reconciles what AI providers bill with what a request ledger recorded, names every difference
//! by cause, and attributes every billed line to a team so that the parts sum to the invoice exactly.
//!
//! ```text
//! jobs/*.toml ── job ── the job and its reference files
//!                 │
//!   saved pages, exports          request ledger           edge: all I/O
//!        │ adapters: bytes in, lines out   │
//!        ▼                                 ▼
//!   stages::lines, booking         stages::entries         normalise: names, units, each row once
//!        └──────────► stages::pools ◄──────┘               match: by request, by bucket, alone
//!                          ▼
//!             stages::classify, siblings, drift            one reason for each difference
//!                          ▼
//!             stages::attribute, slices                    who bears it; totals by slice
//!                          ▼
//!             report: tables, text, laws  ─► edge::publish a run directory, whole or not at all
//! ```
//!
//! Everything below reading is a pure function of the snapshot: the same snapshot gives the same bytes.
//!
//! | room | may import |
//! |---|---|
//! | `domain` | std, chrono with its time zones, rust_decimal, serde, 256-bit integers |
//! | `adapters` | `domain`, JSON and CSV readers |
//! | `stages` | `domain`, Polars |
//! | `report` | `domain`, what `stages` return |
//! | `job` | `domain`, the adapter list, TOML and JSON readers |
//! | `edge` | `domain`, `job`, the adapters as a list; the only room that touches files, databases, the clock, the terminal |
//! | `run`, `main` | all; they only connect |
//!
//! Deliberately absent: adapters never read the clock or a file, because a page must read the same
//! tomorrow; stages never know a provider's name, because a provider is one file in `adapters`; no
//! binary float touches money or quantity anywhere.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod cli;
pub mod domain;
pub mod edge;
pub mod job;
pub mod report;
pub mod run;
pub mod stages;
