//! tieout
#![forbid(unsafe_code)]
pub mod adapters;
pub mod domain;
pub mod edge;
pub mod job;
pub mod report;
pub mod stages;
