//! Secrets by reference (reliability.md section 7): read when they are needed, wiped when they are dropped,
//! shown nowhere.

use crate::domain::fault::{ExitCode, Fault};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const BYTES_MAX: u64 = 8 * 1024;

/// A secret. It has no `Display`, no `Clone` and no way into a report.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Reads the secret that `reference` names: `cred:name` in the service manager's folder of credentials,
/// `file:/path`, or `env:NAME`.
///
/// # Errors
/// 78 when it is not there, may not be read, is open to others, too long, or not one line of text. No
/// message repeats any part of it.
pub fn read(reference: &str) -> Result<Secret, Fault> {
    let fault = |what: &str, hint: &str| Fault::new(ExitCode::Config, format!("secret {reference:?}"), what, hint);
    let (scheme, name) = reference.split_once(':').unwrap_or(("", reference));
    let text = match scheme {
        "env" => Zeroizing::new(std::env::var(name).map_err(|_| fault("is not set", "set the variable, or use cred: or file:"))?),
        "cred" => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| fault("there is no folder of credentials", "start the job with LoadCredential=, or use file:"))?;
            if name.contains('/') || name.starts_with('.') {
                return Err(fault("is not the name of a credential", "write the name that LoadCredential= gives it"));
            }
            from_file(&PathBuf::from(folder).join(name), &fault)?
        }
        "file" => from_file(Path::new(name), &fault)?,
        _ => return Err(fault("is not a reference", "write cred:name, file:/path or env:NAME")),
    };
    let value = text.strip_suffix('\n').map_or(text.as_str(), |value| value.strip_suffix('\r').unwrap_or(value));
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err(fault("is empty or has control characters", "store the value alone, on one line"));
    }
    Ok(Secret(Zeroizing::new(value.to_string())))
}

fn from_file(path: &Path, fault: &dyn Fn(&str, &str) -> Fault) -> Result<Zeroizing<String>, Fault> {
    let hint = "let the user that runs this read it, and nobody else: chmod 0600";
    let file = File::open(path).map_err(|error| fault(&format!("cannot be read: {}", error.kind()), hint))?;
    let metadata = file.metadata().map_err(|error| fault(&format!("cannot be read: {}", error.kind()), hint))?;
    // A mounted secret is a link to a file of root that a group may read.
    if metadata.mode() & 0o037 != 0 || (metadata.mode() & 0o040 != 0 && metadata.uid() != 0) {
        return Err(fault("is open to other users", hint));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| fault(&format!("cannot be read: {}", error.kind()), "it must be one line of UTF-8 text"))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(fault("is longer than 8 KiB", "store the value alone, on one line"));
    }
    Ok(text)
}
