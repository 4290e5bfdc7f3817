//! What stops a command: one documented exit code, and where, what and what to do about it.

use std::fmt;

/// Exit codes of reliability.md section 2; an unknown code must be treated as failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    Ok = 0,
    Usage = 2,
    Partial = 10,
    Findings = 11,
    Undelivered = 12,
    Locked = 20,
    Data = 65,
    Internal = 70,
    State = 72,
    CantCreate = 73,
    IoErr = 74,
    TempFail = 75,
    Protocol = 76,
    NoPerm = 77,
    Config = 78,
    Interrupted = 130,
    Terminated = 143,
}

impl ExitCode {
    pub const fn name(self) -> &'static str {
        match self {
            ExitCode::Ok => "OK",
            ExitCode::Usage => "USAGE",
            ExitCode::Partial => "PARTIAL",
            ExitCode::Findings => "FINDINGS",
            ExitCode::Undelivered => "UNDELIVERED",
            ExitCode::Locked => "LOCKED",
            ExitCode::Data => "DATA",
            ExitCode::Internal => "INTERNAL",
            ExitCode::State => "STATE",
            ExitCode::CantCreate => "CANTCREAT",
            ExitCode::IoErr => "IOERR",
            ExitCode::TempFail => "TEMPFAIL",
            ExitCode::Protocol => "PROTOCOL",
            ExitCode::NoPerm => "NOPERM",
            ExitCode::Config => "CONFIG",
            ExitCode::Interrupted | ExitCode::Terminated => "SIGNAL",
        }
    }
}

/// A failure that ends a command. Shown as `place: what`, an empty line, `hint: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: ExitCode,
    /// File with line, page with row, or location. May be empty.
    pub place: String,
    pub what: String,
    pub hint: String,
}

impl Fault {
    pub fn new(code: ExitCode, place: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault { code, place: place.into(), what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.what)?;
        if !self.hint.is_empty() {
            write!(f, "\n\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
