//! Names map text into [`Names`]. A name stands for one thing on a day.

use super::checked::{meter, provider};
use super::keys::{NAMES, NAMES_NAME, NAMES_TOP};
use super::toml_at::{self, Origin, Section, quoted};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::names::{NameKind, Names};
use crate::domain::period::Days;

const KINDS: [(&str, NameKind); 4] = [
    ("model", NameKind::Model),
    ("meter", NameKind::Meter),
    ("api_key", NameKind::ApiKey),
    ("sub_account", NameKind::SubAccount),
];

/// Reads a names map.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<Names, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &NAMES };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &NAMES_TOP)?;
    let mut names = Names::default();
    let mut lines: Vec<(NameKind, &str, &str, Days, usize)> = Vec::new();
    for section in top.sections("name", &NAMES_NAME)? {
        let kind = section.need("kind")?.word(&KINDS)?;
        let provider = provider(&section.need("provider")?)?;
        let name = section.need("name")?.text()?;
        let stands_for = section.need("is")?;
        let is = match kind {
            NameKind::Meter => meter(stands_for.text()?, &stands_for)?,
            _ => stands_for.text()?,
        };
        let days = section.days()?;
        if !names.insert(kind, provider, name, days, is) {
            let overlaps = |other: &Days| other.from < days.to && days.from < other.to;
            let other = lines.iter().find(|(k, p, n, other, _)| (*k, *p, *n) == (kind, provider, name) && overlaps(other));
            let line = other.map_or(0, |(.., line)| *line);
            let what = format!("name {} of {provider}: overlaps line {line}", quoted(name));
            return Err(section.fault(what, "give the earlier one a \"to\", and the later one the same day as \"from\""));
        }
        lines.push((kind, provider, name, days, section.line()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::testing::{Case, assert_faults, assert_robust};

    fn read(text: &str) -> Result<Names, Fault> {
        parse("names.toml", text)
    }

    const FULL: &str = r#"[[name]]
kind = "model"
provider = "openai"
name = "gpt-latest"
is = "gpt-5.3"
to = "2026-03-06"
[[name]]
kind = "model"
provider = "openai"
name = "gpt-latest"
is = "gpt-5.4"
from = "2026-03-06"
[[name]]
kind = "meter"
provider = "fal"
name = "fal-ai/flux"
is = "images"
[[name]]
kind = "sub_account"
provider = "openai"
name = "Default project"
is = "proj_1"
"#;

    #[test]
    fn reads_every_key() {
        let names = read(FULL).unwrap();
        let is = |kind, provider, name, day: &str| names.resolve(kind, provider, name, day.parse().unwrap());
        assert_eq!(is(NameKind::Model, "openai", "gpt-latest", "2026-03-05"), Some("gpt-5.3"));
        assert_eq!(is(NameKind::Model, "openai", "gpt-latest", "2026-03-06"), Some("gpt-5.4"));
        assert_eq!(is(NameKind::Meter, "fal", "fal-ai/flux", "2026-03-06"), Some("images"));
        assert_eq!(is(NameKind::SubAccount, "openai", "Default project", "2026-03-06"), Some("proj_1"));
        assert_eq!(is(NameKind::ApiKey, "openai", "Default project", "2026-03-06"), None);
    }

    #[test]
    fn no_text_makes_it_panic() {
        assert_robust(FULL, read);
    }

    #[test]
    fn says_where_what_and_what_to_do() {
        let cases: &[Case] = &[
            ("kind = \"modle\"", 2, "kind: unknown kind \"modle\"", "did you mean \"model\"?"),
            (
                "kind = \"model\"\nname = \"x\"",
                1,
                "missing key \"provider\" in [[name]]",
                "add it, for example: provider = \"openai\"",
            ),
            (
                "kind = \"model\"\nprovider = \"p\"\nname = \"x\"",
                1,
                "missing key \"is\" in [[name]]",
                "add it, for example: is = \"gpt-5.4\"",
            ),
            (
                "kind = \"meter\"\nprovider = \"p\"\nname = \"x\"\nis = \"image\"",
                5,
                "unknown meter \"image\"",
                "did you mean \"images\"?",
            ),
            (
                "kind = \"model\"\nprovider = \"p\"\nname = \"x\"\nis = \"y\"\n[[name]]\nkind = \"model\"\nprovider = \"p\"\nname = \"x\"\nis = \"z\"",
                6,
                "name \"x\" of p: overlaps line 1",
                "give the earlier one a \"to\", and the later one the same day as \"from\"",
            ),
        ];
        assert_faults("names.toml", ExitCode::Data, cases, |text| read(&format!("[[name]]\n{text}")));
    }
}
