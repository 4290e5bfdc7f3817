//! Secrets by reference (reliability.md section 7): the job names where one is, never what it is. A value
//! has no way to be printed, stored or copied, and is wiped when it is dropped.

use super::redact;
use crate::domain::fault::{ExitCode, Fault};
use crate::job::secret::{SecretPlace, SecretRef};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longer files are something else.
const BYTES_MAX: u64 = 8 * 1024;
/// Where containers mount secrets, with the mount's own rights.
const MOUNTS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// A secret's value.
pub struct Secret {
    name: String,
    value: Zeroizing<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Secret {
    /// Reads what the reference names; no message shows it from now on.
    ///
    /// # Errors
    /// [`ExitCode::Config`] naming the reference, never the value: it is not there, others may read it, or it
    /// cannot be a secret.
    pub fn open(reference: &SecretRef) -> Result<Secret, Fault> {
        let fault = |what: String, hint: &str| {
            Fault::new(ExitCode::Config, reference.at.clone(), format!("secret {:?}: {what}", reference.name()), hint)
        };
        let value = match &reference.place {
            SecretPlace::Credential(name) => {
                let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                    let hint = "run under a service manager that sets it (LoadCredential=), or use file:/path";
                    return Err(fault("there is no credential directory ($CREDENTIALS_DIRECTORY)".to_string(), hint));
                };
                read(&PathBuf::from(folder).join(name), false).map_err(|(what, hint)| fault(what, hint))?
            }
            SecretPlace::File(path) => read(path, true).map_err(|(what, hint)| fault(what, hint))?,
            SecretPlace::Env(name) => match std::env::var(name) {
                Ok(value) => Zeroizing::new(value),
                Err(_) => return Err(fault("the variable is not set".to_string(), "set it, or use cred: or file:")),
            },
        };
        let value = match value.strip_suffix('\n') {
            Some(line) => Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_string()),
            None => value,
        };
        if value.len() < redact::PART {
            return Err(fault(format!("shorter than {} bytes", redact::PART), "put the whole secret there"));
        }
        // A key file is JSON in lines; everything else is one line.
        let is_file = value.trim_start().starts_with('{');
        if value.chars().any(|letter| letter.is_control() && !(is_file && "\r\n\t".contains(letter))) {
            return Err(fault("it has control characters or several lines".to_string(), "put the secret alone on one line"));
        }
        learn(&value);
        Ok(Secret { name: reference.name(), value })
    }

    /// A value made of a secret, such as a token that was got with it: kept under the same rules.
    pub(super) fn made(name: String, value: String) -> Secret {
        let value = Zeroizing::new(value);
        learn(&value);
        Secret { name, value }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value. Only for the place where a header, a signature or a connection is made of it.
    pub(super) fn expose(&self) -> &str {
        &self.value
    }
}

/// Lets no crash write memory to disk. Where the system refuses, the run goes on.
pub fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Of a key file only the key is secret; the rest is addresses that messages need.
fn learn(value: &str) {
    let file: Option<serde_json::Value> = serde_json::from_str(value).ok();
    match file.as_ref().and_then(|file| file.get("private_key")?.as_str()) {
        Some(key) => key.lines().filter(|line| !line.starts_with("-----")).for_each(redact::learn),
        // Of a URL without a user its path and query are the secret; what stands before them is in every message.
        None => redact::learn(path_of_url(value).unwrap_or_else(|| own_part(value))),
    }
}

/// What every key of a kind begins with, longest first. It is no secret: providers' lists show each key by its first letters.
const FRONTS: [&str; 9] =
    ["sk-ant-admin01-", "sk-ant-api03-", "sk-svcacct-", "sk-or-v1-", "sk-admin-", "sk-proj-", "gsk_", "sk-", "sk_"];

/// The part of a key that no other key has: behind its front, or behind the id that stands before a colon (fal) and in
/// every report.
fn own_part(value: &str) -> &str {
    let is_id = |id: &str| id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let own = FRONTS.iter().find_map(|front| value.strip_prefix(front));
    let own = own.or_else(|| value.split_once(':').filter(|(id, _)| is_id(id)).map(|(_, own)| own));
    own.filter(|own| own.len() >= redact::PART).unwrap_or(value)
}

fn path_of_url(value: &str) -> Option<&str> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    (!host.contains('@')).then_some(path)
}

fn read(path: &Path, check_mode: bool) -> Result<Zeroizing<String>, (String, &'static str)> {
    let cannot = |error: std::io::Error| (format!("cannot be read: {error}"), "check the path and who may read it");
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if !meta.is_file() {
        return Err(("is not a file".to_string(), "name the file that holds the secret alone"));
    }
    let mode = meta.permissions().mode() & 0o777;
    if check_mode && mode & 0o077 != 0 && !is_mounted(path) {
        return Err((format!("others may read it (mode {mode:04o})"), "chmod 600 it"));
    }
    let mut value = Zeroizing::new(String::new());
    match file.take(BYTES_MAX + 1).read_to_string(&mut value) {
        Ok(length) if length as u64 > BYTES_MAX => Err((format!("longer than {BYTES_MAX} bytes"), "name the secret's own file")),
        Ok(_) => Ok(value),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(("is not UTF-8 text".to_string(), "name the secret's own file"))
        }
        Err(error) => Err(cannot(error)),
    }
}

/// A secret that a container platform has mounted: the platform decides who reads it.
fn is_mounted(path: &Path) -> bool {
    MOUNTS.iter().any(|mount| path.starts_with(mount))
        || path.parent().is_some_and(|folder| folder.join("..data").symlink_metadata().is_ok_and(|meta| meta.is_symlink()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, SecretRef) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, SecretRef { place: SecretPlace::File(path), at: "job.toml:3".to_string() })
    }

    #[test]
    fn a_secret_is_read_whole_and_never_shown() {
        let (_folder, reference) = file("correct-horse-battery\n", 0o600);
        let secret = Secret::open(&reference).unwrap();
        assert_eq!(secret.expose(), "correct-horse-battery");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(redact::redact("no correct-horse here"), "no [redacted] here");
        let key =
            "{\n \"client_email\": \"robot@example.test\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIEvQABCDEFgh\\n\"}";
        let (_folder, reference) = file(key, 0o400);
        Secret::open(&reference).unwrap();
        assert_eq!(redact::redact("robot@example.test MIIEvQABCDEFgh"), "robot@example.test [redacted]");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_showing_it() {
        for (text, mode, said) in [
            ("visible-to-all\n", 0o644, "others may read it (mode 0644)"),
            ("visible-to-group", 0o640, "others may read it"),
            ("two\nlines-of-it\n", 0o600, "control characters"),
            ("line-and-more\n\n", 0o600, "control characters"),
            ("short", 0o600, "shorter than 8"),
            ("", 0o600, "shorter than 8"),
            (&"x".repeat(9000), 0o600, "longer than 8192"),
        ] {
            let (folder, reference) = file(text, mode);
            let fault = Secret::open(&reference).unwrap_err();
            assert_eq!((fault.code, fault.place.as_str()), (ExitCode::Config, "job.toml:3"));
            assert!(fault.what.contains(said) && !fault.to_string().contains("lines-of-it"), "{fault}");
            drop(folder);
            assert!(Secret::open(&reference).unwrap_err().what.contains("cannot be read"));
        }
        let unset = SecretRef { place: SecretPlace::Env("TIEOUT_NO_SUCH_VARIABLE".to_string()), at: String::new() };
        assert!(Secret::open(&unset).unwrap_err().what.contains("not set"));
    }

    #[test]
    fn what_all_keys_of_a_kind_share_is_no_secret() {
        for (key, own) in [
            ("sk-or-v1-0e6f5b2a9c", "0e6f5b2a9c"),
            ("sk-ant-admin01-Zk3_x-9qLm2", "Zk3_x-9qLm2"),
            ("3f0c9a1e-77aa-4d55-9a5c-0c8a9b1f2d31:5d41402abc4b", "5d41402abc4b"),
            ("team:5d41402abc4b", "team:5d41402abc4b"),
            ("sk-short", "sk-short"),
            ("HQSxfB7IaJRK", "HQSxfB7IaJRK"),
        ] {
            assert_eq!(own_part(key), own);
        }
    }
}
