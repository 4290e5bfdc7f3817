//! The only room that does I/O: files, databases, the terminal.

pub mod lock;
pub mod log;
pub mod manifest;
pub mod preflight;
pub mod publish;
pub mod recover;
pub mod state;
pub mod verify;

mod crash;

#[cfg(test)]
mod tests;
