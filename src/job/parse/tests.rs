//! A full job, and a table of mistakes in jobs.

use super::*;
use crate::adapters::{BadPage, Measures, Page, Report};
use crate::domain::usage::{Line, Precision};
use crate::job::secret::{SecretPlace, SecretRef};
use crate::job::testing::{Case, assert_faults, assert_robust};
use crate::job::{LedgerPlace, Postgres, Tls};
use chrono::NaiveDate;
use std::io::ErrorKind;

struct Sample(&'static str);
impl Adapter for Sample {
    fn name(&self) -> &'static str {
        self.0
    }
    fn reports(&self) -> &'static [Report] {
        &[
            Report { name: "costs", measures: Measures::Money, rank: 0 },
            Report { name: "usage/completions", measures: Measures::Quantity, rank: 0 },
        ]
    }
    fn settle_days(&self) -> u32 {
        3
    }
    fn identify(&self, _: &Page<'_>) -> Option<&'static Report> {
        None
    }
    fn parse(&self, _: &Page<'_>, _: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        Ok(())
    }
}

fn read(text: &str) -> Result<Job, Fault> {
    parse(Path::new("jobs/demo.toml"), text, &[&Sample("fal"), &Sample("openai"), &Sample("openrouter")])
}

const FULL: &str = r#"name = "demo"
reporting_currency = "EUR"
time_zone = "Europe/Berlin"
as_of = "2026-11-19T07:00:00+01:00"
output = "../out/demo"
state = "../out/demo-state"
teams = "demo/teams.toml"
prices = ["prices/openai.toml", "prices/fal.toml"]
names = "demo/names.toml"
fx = "/etc/fx.toml"
byte_order_mark = false
[window]
trailing_days = 42
from = 2026-10-08
to = "2026-11-19"
[[ledger]]
name = "app"
kind = "native"
sqlite = "ledger.db"
table = "requests_2026"
currency = "USD"
cost_decimals = 6
[[ledger]]
name = "batch"
files = ["ledger/*.csv", "ledger/*.parquet"]
[[ledger]]
name = "production"
table = "app.request_ledger"
[ledger.postgres]
host = "db.internal"
port = 6432
database = "app"
user = "tieout"
password = "cred:ledger"
tls = "verify-full"
tls_ca = "ca.pem"
statement_seconds = 60
lock_seconds = 5
[[source]]
provider = "openai"
account = "org_acme"
settle_days = 1
[[source.pull]]
files = ["../fixtures/costs-*.json"]
report = "costs"
group_by = ["project_id", "line_item"]
covers = ["2026-10-08", 2026-11-19]
[[source.pull]]
files = ["../fixtures/usage.json"]
[[source]]
provider = "fal"
account = "org_acme"
[[source.pull]]
files = ["fal.json"]
"#;
const LEDGER: &str = "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\n";
const SYNTAX: &str = "texts stand in quotes, a key stands once in its section, every bracket is closed";
const CURRENCY: &str = "write an ISO 4217 code of three capitals, such as \"USD\" or \"EUR\"";
const SOURCE: &str = "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\n";

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn reads_every_key() {
    let job = read(FULL).unwrap();
    assert_eq!((job.name.as_str(), job.reporting_currency, job.time_zone), ("demo", Currency::EUR, Tz::Europe__Berlin));
    assert_eq!(job.as_of, "2026-11-19T06:00:00Z".parse().ok());
    assert_eq!((job.output.to_str(), job.state.to_str()), (Some("jobs/../out/demo"), Some("jobs/../out/demo-state")));
    assert_eq!(job.window, Window { trailing_days: 42, from: Some(day("2026-10-08")), to: Some(day("2026-11-19")) });
    assert_eq!(job.teams, Some(PathBuf::from("jobs/demo/teams.toml")));
    assert_eq!(job.names, Some(PathBuf::from("jobs/demo/names.toml")));
    assert_eq!(job.fx, Some(PathBuf::from("/etc/fx.toml")), "an absolute path stays");
    assert_eq!(job.prices, [PathBuf::from("jobs/prices/openai.toml"), PathBuf::from("jobs/prices/fal.toml")]);
    assert!(!job.byte_order_mark);
    assert_eq!(job.prices_max_age_days, 90);
    let [app, batch, production] = job.ledgers.as_slice() else { panic!("{:?}", job.ledgers) };
    assert!(matches!(&app.place, LedgerPlace::Sqlite { path, table }
        if path == Path::new("jobs/ledger.db") && table == "requests_2026"));
    assert_eq!((app.name.as_str(), app.currency, app.precision), ("app", Currency::USD, Precision::Rounded(6)));
    assert!(matches!(&batch.place, LedgerPlace::Files(files) if files == &["jobs/ledger/*.csv", "jobs/ledger/*.parquet"]));
    assert_eq!((batch.currency, batch.precision), (Currency::EUR, Precision::Exact));
    let LedgerPlace::Postgres { server, table } = &production.place else { panic!("{:?}", production.place) };
    assert_eq!(table, "app.request_ledger");
    let expected = Postgres {
        host: "db.internal".to_string(),
        port: 6432,
        database: "app".to_string(),
        user: "tieout".to_string(),
        password: Some(SecretRef { place: SecretPlace::Credential("ledger".to_string()), at: "jobs/demo.toml:34".to_string() }),
        tls: Tls::VerifyFull,
        tls_ca: Some(PathBuf::from("jobs/ca.pem")),
        statement_seconds: 60,
        lock_seconds: 5,
    };
    assert_eq!(*server, expected);
    let [openai, fal] = job.sources.as_slice() else { panic!("{:?}", job.sources) };
    assert_eq!((openai.provider.as_str(), openai.account.as_str(), openai.settle_days), ("openai", "org_acme", 1));
    let [costs, usage] = openai.pulls.as_slice() else { panic!("{:?}", openai.pulls) };
    assert_eq!(costs.files, ["jobs/../fixtures/costs-*.json"]);
    assert_eq!((costs.report.as_deref(), costs.group_by.join("+")), (Some("costs"), "project_id+line_item".to_string()));
    assert_eq!(costs.covers, Some(Days { from: day("2026-10-08"), to: day("2026-11-19") }));
    assert_eq!((&usage.report, usage.group_by.len(), usage.covers), (&None, 0, None));
    assert_eq!((fal.provider.as_str(), fal.settle_days), ("fal", 3));
}

#[test]
fn what_is_absent_has_its_default() {
    let job = read(&job(&format!("{LEDGER}{SOURCE}"))).unwrap();
    assert_eq!((job.reporting_currency, job.time_zone, job.as_of), (Currency::USD, Tz::UTC, None));
    assert_eq!(job.window, Window { trailing_days: 35, from: None, to: None });
    assert_eq!((job.teams, job.prices.len(), job.names, job.fx, job.byte_order_mark), (None, 0, None, None, true));
    assert!(matches!(&job.ledgers[0].place, LedgerPlace::Sqlite { table, .. } if table == "request_ledger"));
}

#[test]
fn a_database_is_reached_encrypted_and_verified_unless_the_job_says_otherwise() {
    let place = |host: &str, more: &str| {
        let ledger =
            format!("[[ledger]]\nname = \"a\"\npostgres = {{ host = \"{host}\", database = \"d\", user = \"u\"{more} }}\n");
        match read(&job(&format!("{ledger}{SOURCE}"))).unwrap().ledgers.remove(0).place {
            LedgerPlace::Postgres { server, table } => (server, table),
            other => panic!("{other:?}"),
        }
    };
    let (server, table) = place("db", "");
    assert_eq!((server.port, server.tls, server.password, server.tls_ca), (5432, Tls::VerifyFull, None, None));
    assert_eq!((server.statement_seconds, server.lock_seconds, table.as_str()), (600, 30, "request_ledger"));
    assert_eq!(place("/run/postgresql", "").0.tls, Tls::Disable);
    assert_eq!(place("db", ", tls = \"disable\"").0.tls, Tls::Disable);
}

#[test]
fn faults_of_named_files_point_to_the_job() {
    let job = read(FULL).unwrap();
    let fault = job.unreadable(Path::new("jobs/demo/teams.toml"), ErrorKind::NotFound);
    assert_eq!(
        fault.to_string(),
        "jobs/demo.toml:7: teams: \"jobs/demo/teams.toml\": no such file\n\nhint: a relative path starts at the job file's folder"
    );
    assert_eq!(fault.code, ExitCode::Data);
    assert_eq!(job.place_of(Path::new("jobs/prices/fal.toml")), "jobs/demo.toml:8");
    assert_eq!(job.place_of(Path::new("elsewhere")), "jobs/demo.toml");
    let fault = job.matches_nothing("jobs/ledger/*.csv");
    assert_eq!((fault.place.as_str(), fault.what.as_str()), ("jobs/demo.toml:25", "files: \"jobs/ledger/*.csv\": no file fits"));
}

#[test]
fn pattern_signs_in_the_folder_are_no_patterns() {
    let text = job(&format!("{LEDGER}{SOURCE}"));
    let job = parse(Path::new("a[1]/j.toml"), &text, &[&Sample("fal")]).unwrap();
    assert_eq!(job.sources[0].pulls[0].files, ["a[[]1[]]/f"]);
}

#[test]
fn no_text_makes_it_panic() {
    assert_robust(FULL, read);
}

/// A job's first three lines and what follows them.
fn job(rest: &str) -> String {
    format!("name = \"d\"\noutput = \"o\"\nstate = \"s\"\n{rest}")
}

#[test]
fn faults_at_the_top() {
    let cases: &[Case] = &[
        ("", 1, "missing key \"name\"", "add it, for example: name = \"nightly\""),
        ("name = \"d\"\nx = [1", 2, "not valid TOML: unclosed array, expected `]`", SYNTAX),
        ("name = \"d\"\n\nname = \"e\"", 3, "not valid TOML: duplicate key, at \"name\"", SYNTAX),
        (
            "name = \"d\"\nreporting_curency = \"USD\"",
            2,
            "unknown key \"reporting_curency\"",
            "did you mean \"reporting_currency\"?",
        ),
        (
            "zzz = 1\nqqqq = 2",
            1,
            "unknown key \"zzz\"",
            "known keys here: name, reporting_currency, time_zone, as_of, output, state, teams, prices, prices_max_age_days, names, fx, byte_order_mark, window, kind, alerts, limits, ledger, source, savings, plan, spikes",
        ),
        ("name = \"d\"\nsettle_days = 2", 2, "unknown key \"settle_days\"", "\"settle_days\" belongs to [[source]]"),
        ("name = 5", 1, "name: expected text in quotes, found 5", "for example: name = \"nightly\""),
        (
            "name = \"\"",
            1,
            "name: expected a text of 1 to 500 characters, found an empty text",
            "for example: name = \"nightly\"",
        ),
        (
            "name = \" d\"",
            1,
            "name: expected a text without space around it and without control characters, found \" d\"",
            "names are compared letter by letter: take these characters out",
        ),
        ("name = \"d\"\nreporting_currency = \"USDD\"", 2, "reporting_currency: unknown currency \"USDD\"", CURRENCY),
        ("name = \"d\"\nreporting_currency = \"eur\"", 2, "reporting_currency: unknown currency \"eur\"", CURRENCY),
        (
            "name = \"d\"\ntime_zone = \"Europe/Berln\"",
            2,
            "time_zone: unknown time zone \"Europe/Berln\"",
            "did you mean \"Europe/Berlin\"?",
        ),
        (
            "name = \"d\"\ntime_zone = \"Atlantis\"",
            2,
            "time_zone: unknown time zone \"Atlantis\"",
            "write an IANA name, such as \"Europe/Berlin\"",
        ),
        (
            "name = \"d\"\nas_of = \"2026-11-19T06:00:00\"",
            2,
            "as_of: expected an instant with its offset (RFC 3339), found \"2026-11-19T06:00:00\"",
            "for example: as_of = \"2026-11-19T06:00:00Z\"",
        ),
        (
            "name = \"d\"\nas_of = 2026-11-19",
            2,
            "as_of: expected an instant with its offset (RFC 3339), found 2026-11-19",
            "for example: as_of = \"2026-11-19T06:00:00Z\"",
        ),
        ("name = \"d\"\n", 1, "missing key \"output\"", "add it, for example: output = \"../out/nightly\""),
        ("name = \"d\"\noutput = \"o\"\n", 1, "missing key \"state\"", "add it, for example: state = \"../out/nightly-state\""),
        (
            "name = \"d\"\noutput = \"o\"\nstate = \"o\"\n",
            3,
            "state: the same folder as output",
            "published runs and the program's memory need a folder each",
        ),
        (
            "name = \"d\"\noutput = \"o\"\nstate = \"s\"\nprices = \"openai.toml\"",
            4,
            "prices: expected a list, found \"openai.toml\"",
            "for example: prices = [\"prices/openai.toml\"]",
        ),
        (
            "name = \"d\"\noutput = \"o\"\nstate = \"s\"\nprices = [\n\"a\",\n\"a\"]",
            6,
            "prices: \"a\" stands twice",
            "take one of them out",
        ),
        (
            "name = \"d\"\noutput = \"o\"\nstate = \"s\"\nbyte_order_mark = \"yes\"",
            4,
            "byte_order_mark: expected true or false, found \"yes\"",
            "for example: byte_order_mark = false",
        ),
        (
            "name = \"d\"\nwindow = 35",
            2,
            "window: expected a section, found 35",
            "write it as a section with the header [window]",
        ),
        (
            "name = \"d\"\n[window]\ntrailing_days = 0",
            3,
            "trailing_days: expected a whole number from 1 to 400, found 0",
            "for example: trailing_days = 35",
        ),
        (
            "name = \"d\"\n[window]\nfrom = \"2026-02-30\"",
            3,
            "from: expected a day that exists, as YYYY-MM-DD, found \"2026-02-30\"",
            "for example: from = \"2026-10-08\"",
        ),
        (
            "name = \"d\"\n[window]\nfrom = \"2026-10-08\"\nto = \"2026-10-08\"",
            4,
            "to: 2026-10-08 is not after from, 2026-10-08",
            "\"to\" is excluded: for a single day write the day after it",
        ),
        ("name = \"d\"\n[window]\noutput = \"o\"", 3, "unknown key \"output\"", "\"output\" belongs to the top of the file"),
        ("name = \"d\"\noutput = \"o\"\nstate = \"s\"", 1, "no [[ledger]]", "add a section [[ledger]] with: name"),
    ];
    assert_faults("jobs/demo.toml", ExitCode::Config, cases, read);
}

#[test]
fn faults_in_ledgers() {
    let cases: &[Case] = &[
        (
            "[ledger]\nname = \"app\"",
            4,
            "ledger: expected a list of sections, found a table",
            "there may be several: each starts with the header [[ledger]]",
        ),
        ("[[ledger]]\nsqlite = \"l.db\"", 4, "missing key \"name\" in [[ledger]]", "add it, for example: name = \"app\""),
        (
            "[[ledger]]\nname = \"app\"\nkind = \"langfuse\"\nsqlite = \"l.db\"",
            7,
            "sqlite: a ledger of kind langfuse is read from files",
            "export its rows and name them as `files`",
        ),
        (
            "[[ledger]]\nname = \"app\"\nkind = \"newapi\"\nfiles = [\"l.csv\"]",
            4,
            "missing key \"quota_per_unit\" in [[ledger]] of kind newapi",
            "files do not carry it: add the operator's setting QuotaPerUnit, for example: quota_per_unit = 500000",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\n[[ledger.route]]\nname = \"7\"",
            7,
            "route: only other kinds than native have it",
            "take it out; a native ledger names providers and dollars itself",
        ),
        ("[[ledger]]\nname = \"app\"\nkind = \"navite\"", 6, "kind: unknown ledger kind \"navite\"", "did you mean \"native\"?"),
        (
            "[[ledger]]\nname = \"app\"",
            4,
            "neither sqlite nor postgres nor files in [[ledger]]",
            "add one of them, for example: sqlite = \"ledger.db\", or: files = [\"ledger/*.csv\"]",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\nfiles = [\"l.csv\"]",
            7,
            "both sqlite and files",
            "a ledger is in one place: take one out, or write two [[ledger]]",
        ),
        (
            "[[ledger]]\nname = \"app\"\nfiles = []",
            6,
            "files: expected a list with at least one entry, found an empty list",
            "for example: files = [\"ledger/*.csv\"]",
        ),
        (
            "[[ledger]]\nname = \"app\"\nfiles = [\"l.csv\"]\ntable = \"t\"",
            7,
            "table: files have no tables",
            "take \"table\" out; it goes with \"sqlite\" and \"postgres\"",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\n[ledger.postgres]\nhost = \"db\"",
            7,
            "both sqlite and postgres",
            "a ledger is in one place: take one out, or write two [[ledger]]",
        ),
        (
            "[[ledger]]\nname = \"app\"\n[ledger.postgres]\nhost = \"db\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"hunter2hunter2\"",
            10,
            "password: expected a reference to a secret",
            "write where the secret is: \"cred:name\", \"file:/path\" or \"env:NAME\"; never the secret itself",
        ),
        (
            "[[ledger]]\nname = \"app\"\n[ledger.postgres]\nhost = \"/run\"\ndatabase = \"d\"\nuser = \"u\"\ntls = \"require\"",
            10,
            "tls: a socket in a folder is not encrypted",
            "take \"tls\" out, or name the host by its name",
        ),
        (
            "[[ledger]]\nname = \"app\"\n[ledger.postgres]\nhost = \"db\"\ndatabase = \"d\"\nuser = \"u\"\ntls = \"prefer\"",
            10,
            "tls: unknown tls \"prefer\"",
            "known: verify-full, verify-ca, require, disable",
        ),
        (
            "[[ledger]]\nname = \"app\"\n[ledger.postgres]\nhost = \"db\"\ndatabase = \"d\"\nuser = \"u\"\ntls = \"require\"\ntls_ca = \"ca.pem\"",
            11,
            "tls_ca: nothing is verified with this tls",
            "take it out, or write tls = \"verify-full\"",
        ),
        (
            "[[ledger]]\nname = \"app\"\n[ledger.postgres]\nhost = \"db\"\ndatabase = \"d\"\nuser = \"u\"\ntls = \"verify-ca\"",
            10,
            "tls: \"verify-ca\" needs tls_ca",
            "add the authority of the server's certificate, for example: tls_ca = \"ca.pem\"",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\ntable = \"t; drop\"",
            7,
            "table: expected letters, digits and _, not starting with a digit, found \"t; drop\"",
            "make a view with a plain name over the table",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\ncost_decimals = 19",
            7,
            "cost_decimals: expected a whole number from 0 to 18, found 19",
            "for example: cost_decimals = 6",
        ),
        ("[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\ncurrency = \"$\"", 7, "currency: unknown currency \"$\"", CURRENCY),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"\n[[ledger]]\nname = \"app\"\nsqlite = \"m.db\"",
            7,
            "ledger \"app\" is already on line 4",
            "give each ledger a name of its own",
        ),
        (
            "[[ledger]]\nname = \"app\"\nsqlite = \"l.db\"",
            1,
            "no [[source]]",
            "add a section [[source]] with: provider, account, pull",
        ),
    ];
    assert_faults("jobs/demo.toml", ExitCode::Config, cases, |text| read(&job(text)));
}

#[test]
fn faults_in_sources() {
    let cases: &[Case] = &[
        ("[[source]]\nprovider = \"opnai\"", 8, "provider: unknown provider \"opnai\"", "did you mean \"openai\"?"),
        ("[[source]]\nprovider = \"acme\"", 8, "provider: unknown provider \"acme\"", "known: fal, openai, openrouter"),
        (
            "[[source]]\nprovider = \"fal\"",
            7,
            "missing key \"account\" in [[source]]",
            "add it, for example: account = \"org_acme\"",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\nsettle_days = \"1\"",
            10,
            "settle_days: expected a whole number from 0 to 400, found \"1\"",
            "for example: settle_days = 3",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"",
            7,
            "no [[source.pull]] under [[source]]",
            "add a section [[source.pull]] with: files",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nreport = \"costs\"",
            10,
            "missing key \"files\" in [[source.pull]]",
            "add it, for example: files = [\"openai/costs-*.json\"]",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\nreport = \"cost\"",
            12,
            "report: fal has no report \"cost\"",
            "did you mean \"costs\"?",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\nreport = \"invoice\"",
            12,
            "report: fal has no report \"invoice\"",
            "known: costs, usage/completions",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfile = [\"f\"]",
            11,
            "unknown key \"file\"",
            "did you mean \"files\"?",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\", 3]",
            11,
            "files: expected text in quotes, found 3",
            "for example: files = [\"openai/costs-*.json\"]",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\ncovers = [\"2026-10-08\"]",
            12,
            "covers: expected a list of two days, found a list",
            "for example: covers = [\"2026-10-08\", \"2026-11-19\"]",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\ncovers = [\"2026-10-08\", \"2026-10-07\"]",
            12,
            "covers: 2026-10-07 is not after 2026-10-08",
            "the second day is excluded: for a single day write the day after it",
        ),
        (
            "[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"f\"]\n[[source]]\nprovider = \"fal\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"g\"]",
            12,
            "source fal account \"a\" is already on line 7",
            "move the pulls to the source on line 7",
        ),
    ];
    assert_faults("jobs/demo.toml", ExitCode::Config, cases, |text| read(&job(&format!("{LEDGER}{text}"))));
}
