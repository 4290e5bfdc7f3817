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

/// A job over one day with these price books and a ledger; `more` are further sections.
fn world(books: &[(&str, &str)], ledger: &str, more: &str) -> tempfile::TempDir {
    let world = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(world.path().join(name), text).unwrap();
    let names: Vec<String> = books.iter().map(|(provider, _)| format!("\"{provider}.toml\"")).collect();
    for (provider, rows) in books {
        let head = format!("provider = \"{provider}\"\ncurrency = \"USD\"\nchecked = \"2026-11-01\"\n");
        write(&format!("{provider}.toml"), &format!("{head}{rows}"));
    }
    let columns =
        "request_id,attempt,started_at,provider,model,status,service_tier,batch,input_tokens,output_tokens,expected_cost";
    write("ledger.csv", &format!("{columns}\n{ledger}"));
    let job = format!(
        "name = \"prices\"\nas_of = \"2026-11-19T06:00:00Z\"\noutput = \"out\"\nstate = \"state\"\nprices = [{}]\n\
         [window]\nfrom = \"2026-11-17\"\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n{more}",
        names.join(", ")
    );
    write("job.toml", &job);
    world
}

/// What `check` says before its last line.
fn findings(world: &Path) -> Vec<String> {
    let output = tieout(world, &["check", "job.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(output.stderr));
    let mut lines: Vec<String> = text(output.stdout).lines().map(str::to_string).collect();
    assert!(lines.pop().is_some_and(|last| last.ends_with("all in order")));
    lines
}

/// A source without a report of its own.
const SOURCE: &str = "[[source]]\nprovider = \"groq\"\naccount = \"acme\"\ncosts = \"ledger\"\n";
const KNOWN: &str = "[[price]]\nmodel = \"gpt-known\"\nfrom = \"2026-11-01\"\nper = 1000000\n\
    meters = { input_tokens = \"1\" }\ntiers = { batch = \"0.5\" }\n";

#[test]
fn check_names_models_in_the_data_that_their_book_has_no_price_of() {
    let ledger = "a,1,2026-11-17T10:00:00Z,openai,gpt-known,ok,,,10,,\n\
        b,1,2026-11-17T10:00:00Z,openai,gpt-known,ok,,true,10,,\n\
        c,1,2026-11-17T10:00:00Z,openai,gpt-known,ok,priority,,10,,\n\
        d,1,2026-11-17T10:00:00Z,openai,gpt-known,ok,,,10,5,0.5\n\
        e,1,2026-11-17T10:00:00Z,openai,gpt-new,ok,,,10,5,\n\
        f,1,2026-11-18T10:00:00Z,openai,gpt-new,ok,,,10,0,\n\
        g,1,2026-11-18T10:00:00Z,openai,gpt-failed,error,,,10,5,\n\
        h,1,2026-11-18T10:00:00Z,anthropic,claude-new,ok,,,10,5,\n";
    let end = "): add it, or say in the names map what the name stands for";
    let priced = world(&[("openai", KNOWN)], ledger, SOURCE);
    assert_eq!(
        findings(priced.path()),
        [
            format!("openai.toml: no price of gpt-known: output_tokens (on 2026-11-17; ledger rows: 1, report lines: 0{end}"),
            format!(
                "openai.toml: no price of gpt-known at priority: input_tokens (on 2026-11-17; ledger rows: 1, report lines: 0{end}"
            ),
            format!(
                "openai.toml: no price of gpt-new: input_tokens, output_tokens (from 2026-11-17 to 2026-11-18; ledger rows: 3, \
                 report lines: 0{end}"
            ),
        ]
    );
    // Without books nothing is compared, and without anything to name nothing is named.
    assert_eq!(findings(world(&[], ledger, SOURCE).path()), [] as [&str; 0]);
    let known = "a,1,2026-11-17T10:00:00Z,openai,gpt-known,ok,,,10,,\n";
    assert_eq!(findings(world(&[("openai", KNOWN)], known, SOURCE).path()), [] as [&str; 0]);
}

#[test]
fn check_names_prices_that_the_provider_itself_says_are_others() {
    let row = |model: &str, meter: &str, price: &str| {
        format!("[[price]]\nmodel = \"{model}\"\nfrom = \"2026-11-01\"\nmeters = {{ {meter} = \"{price}\" }}\n")
    };
    let book = [row("fal-ai/flux/dev", "images", "0.025"), row("fal-ai/flux/schnell", "megapixels", "0.004")].concat();
    let source = "[[source]]\nprovider = \"fal\"\naccount = \"acme\"\n\
        [[source.pull]]\nfiles = [\"pricing-*.json\"]\nreport = \"pricing\"\n";
    let world = world(&[("fal", &book)], "", source);
    std::fs::copy(fixtures().join("fal/pricing.json"), world.path().join("pricing-2026-11-18-01-001.json")).unwrap();
    // An older list says nothing any more.
    let older = "{\"prices\":[{\"endpoint_id\":\"fal-ai/flux/dev\",\"unit_price\":1,\"unit\":\"image\",\"currency\":\"USD\"}]}";
    std::fs::write(world.path().join("pricing-2026-11-17-01-001.json"), older).unwrap();
    let by = "USD by fal itself for acme on 2026-11-18: add a row from the day on which it changed";
    assert_eq!(
        findings(world.path()),
        [
            format!("fal.toml: fal-ai/flux/schnell, megapixels: 0.004 USD in the book, 0.003 {by}"),
            format!("fal.toml: fal-ai/veo3, video_seconds: no price in the book, 0.4 {by}"),
            format!("fal.toml: acme/own-app, gpu_seconds: no price in the book, 0.00099 {by}"),
        ]
    );
}

#[test]
fn check_says_when_the_data_cannot_be_compared_now() {
    let source = "[[source]]\nprovider = \"openai\"\naccount = \"acme\"\n[[source.pull]]\nfiles = [\"costs.json\"]\n";
    let world = world(&[("openai", KNOWN)], "", source);
    std::fs::write(world.path().join("costs.json"), "{\"object\":").unwrap();
    let said = findings(world.path());
    assert!(said.len() == 1 && said[0].starts_with("prices are not compared with the data: costs.json: "), "{said:?}");
}
