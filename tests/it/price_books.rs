//! `prices import` and the age of price books in `check`, through the binary.

use std::path::Path;
use std::process::{Command, Output};

fn tieout(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tieout")).args(arguments).current_dir(folder).output().unwrap()
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn imports_a_book_to_stdout_and_names_on_stderr_what_is_left_out() {
    for (map, file, provider, golden) in [
        ("litellm", "litellm.json", "openai", "litellm-openai.toml"),
        ("genai-prices", "genai-prices.json", "anthropic", "genai-prices-anthropic.toml"),
    ] {
        let arguments = ["prices", "import", map, file, "--provider", provider, "--checked", "2026-01-15"];
        let output = tieout(&fixtures().join("prices"), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
        let left_out: String = text(output.stderr).lines().map(|line| format!("# {line}\n")).collect();
        let expected = std::fs::read_to_string(fixtures().join("prices").join(golden)).unwrap();
        assert_eq!(format!("{}\n{left_out}", text(output.stdout)), expected);
    }
}

#[test]
fn an_import_that_cannot_be_says_why() {
    let folder = fixtures().join("prices");
    for (arguments, code, says) in [
        (vec!["litellm", "litellm.json", "--provider", "groq"], 65, "providers in it: anthropic, gemini, openai"),
        (vec!["litellm", "genai-prices.json", "--provider", "openai"], 65, "not the price map that was said"),
        (vec!["litellm", "absent.json", "--provider", "openai"], 65, "cannot be read"),
        (vec!["litellm", "litellm.json", "--provider", "openai", "--from", "May"], 2, "--from: \"May\" is no day"),
    ] {
        let output = tieout(&folder, &[&["prices", "import"], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let said = text(output.stderr);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn check_names_an_old_price_book_with_its_age_and_exits_0() {
    let world = tempfile::tempdir().unwrap();
    let case = fixtures().join("errors/page-truncated");
    for file in ["costs-2026-11-17.json", "ledger.csv"] {
        std::fs::copy(case.join(file), world.path().join(file)).unwrap();
    }
    std::fs::copy(fixtures().join("prices/litellm-openai.toml"), world.path().join("openai.toml")).unwrap();
    let job = std::fs::read_to_string(case.join("job.toml")).unwrap();
    // The book was checked on 2026-01-15, the job speaks for 2026-11-19: 308 days.
    let checked = |keys: &str| {
        std::fs::write(world.path().join("job.toml"), format!("prices = [\"openai.toml\"]\n{keys}\n{job}")).unwrap();
        let output = tieout(world.path(), &["check", "job.toml"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
        text(output.stdout)
    };
    let old = |limit| format!("openai.toml: prices checked on 2026-01-15, 308 days ago, more than {limit}: ");
    assert!(checked("").starts_with(&old(90)));
    assert!(checked("prices_max_age_days = 307").starts_with(&old(307)));
    assert!(!checked("prices_max_age_days = 308").contains("308 days ago"));
}
