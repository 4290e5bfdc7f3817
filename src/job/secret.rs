//! References to secrets (reliability.md section 7.1). A job never holds a secret: whatever is no reference
//! is refused, and not repeated in the message.

use super::toml_at::Value;
use crate::domain::fault::Fault;
use std::path::{Path, PathBuf};

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// `cred:name`: a file in the service manager's credential directory.
    Credential(String),
    /// `file:/path`: readable by nobody else, or mounted by a container platform.
    File(PathBuf),
    /// `env:NAME`. Discouraged: every child and every crash report sees it.
    Env(String),
}

/// A reference, with the job's line that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    pub place: SecretPlace,
    /// `job.toml:12`, for messages.
    pub at: String,
}

impl SecretRef {
    /// What messages call the secret: its name, never its value.
    pub fn name(&self) -> String {
        match &self.place {
            SecretPlace::Credential(name) | SecretPlace::Env(name) => name.clone(),
            SecretPlace::File(path) => path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        }
    }
}

/// Reads a reference. A relative `file:` starts at the job file's folder.
///
/// # Errors
/// Whatever is no reference, without repeating it.
pub fn secret(value: &Value<'_>, folder: &Path) -> Result<SecretRef, Fault> {
    let hint = "write where the secret is: \"cred:name\", \"file:/path\" or \"env:NAME\"; never the secret itself";
    let fault = || value.fault(format!("{}: expected a reference to a secret", value.name()), hint);
    let text = value.text().map_err(|_| fault())?;
    let plain = |name: &str| {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        letters && !name.starts_with('.') && !name.is_empty()
    };
    let place = match text.split_once(':') {
        Some(("cred", name)) if plain(name) => SecretPlace::Credential(name.to_string()),
        Some(("env", name)) if plain(name) => SecretPlace::Env(name.to_string()),
        Some(("file", path)) if !path.is_empty() => SecretPlace::File(folder.join(path)),
        _ => return Err(fault()),
    };
    Ok(SecretRef { place, at: value.place() })
}
