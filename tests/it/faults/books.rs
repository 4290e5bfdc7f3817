//! The files that a person keeps: price books and team maps that are missing, contradict themselves or have grown old,
//! and keys that no team has (reliability.md section 5).

use super::world::World;
use std::fs;

const PRICES: &str = "provider = \"openai\"\ncurrency = \"USD\"\nchecked = \"2026-11-15\"\nsource = \"the test\"\n\
    [[price]]\nmodel = \"gpt-5.4\"\nfrom = \"2026-01-01\"\nper = 1000000\nmeters = { input_tokens = \"2.5\" }\n";
const TEAMS: &str = "[[team]]\nname = \"growth\"\n[[team]]\nname = \"search\"\n\
    [[owner]]\nkind = \"api_key\"\nprovider = \"openai\"\nname = \"key_a\"\nteam = \"growth\"\n";

fn world() -> World {
    let world = World::new(&["openai"], "");
    fs::write(world.path("prices.toml"), PRICES).unwrap();
    fs::write(world.path("teams.toml"), TEAMS).unwrap();
    let files = "state = \"state\"\nprices = [\"prices.toml\"]\nteams = \"teams.toml\"\n";
    world.change_job("state = \"state\"\n", files);
    world
}

#[test]
fn a_bad_price_book_or_team_map_is_65_with_its_line_before_any_question() {
    let world = world();
    assert_eq!(world.run(&[]).code, 0);
    let before = world.reports();
    let second = &PRICES[PRICES.find("[[price]]").unwrap()..];
    let owner = &TEAMS[TEAMS.find("[[owner]]").unwrap()..];
    for (file, text, place) in [
        ("prices.toml", None, "job.toml:"),
        ("prices.toml", Some(format!("{PRICES}{second}")), "prices.toml:10"),
        ("prices.toml", Some(PRICES.replace("\"2.5\"", "\"-2.5\"")), "prices.toml:9"),
        ("prices.toml", Some(PRICES.replace("per = 1000000", "per = ")), "prices.toml:8"),
        ("teams.toml", None, "job.toml:"),
        ("teams.toml", Some(format!("{TEAMS}{}", owner.replace("growth", "search"))), "teams.toml:10"),
        ("teams.toml", Some(TEAMS.replace("team = \"growth\"", "team = \"nobody\"")), "teams.toml:9"),
        ("teams.toml", Some(TEAMS.replace("[[owner]]", "[[owner]")), "teams.toml:5"),
    ] {
        let good = fs::read(world.path(file)).unwrap();
        match &text {
            Some(text) => fs::write(world.path(file), text).unwrap(),
            None => fs::remove_file(world.path(file)).unwrap(),
        }
        world.server.forget();
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (65, 0), "{file} {text:?}: {}", ran.err);
        let last = ran.err.lines().last().unwrap();
        assert!(last.starts_with("error[DATA] ") && last.contains(place), "{place}: {}", ran.err);
        assert!(last.contains("; published nothing"), "{last}");
        assert_eq!((world.reports(), world.runs().len()), (before.clone(), 1), "{file} {text:?}");
        fs::write(world.path(file), good).unwrap();
    }
    let ran = world.run(&[]);
    assert!(ran.code == 0 && ran.err.contains("nothing new"), "{}", ran.err);
}

#[test]
fn an_old_price_book_is_said_and_stands() {
    let world = world();
    fs::write(world.path("prices.toml"), PRICES.replace("2026-11-15", "2026-02-01")).unwrap();
    let ran = world.tieout("check", &[], &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("prices.toml: prices checked on 2026-02-01, 291 days ago"), "{}", ran.out);
    assert_eq!(world.run(&[]).code, 0);
}

#[test]
fn a_key_that_no_team_has_is_a_line_of_its_own_which_is_there_even_at_zero() {
    let world = world();
    fs::write(world.path("ledger.csv"), "request_id,attempt,started_at,provider,model\n").unwrap();
    assert_eq!(world.run(&[]).code, 0);
    let of = |world: &World, team: &str| {
        let rows = world.rows("attribution.csv");
        rows.iter().filter(|row| row["team"] == team).map(|row| row["billed_cost"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((of(&world, "growth").len(), of(&world, "unattributed").len()), (3, 0));
    let unattributed = |world: &World| {
        let summary = world.report("summary.txt");
        summary.lines().find(|line| line.starts_with("unattributed")).map(str::to_string).unwrap_or_default()
    };
    assert!(unattributed(&world).contains(" 0.00 "), "{}", unattributed(&world));
    // The map is changed from a day on: what was before does not move.
    let owner = "[[owner]]\nkind = \"api_key\"\nprovider = \"openai\"\nname = \"key_a\"\n";
    let from = "team = \"search\"\nfrom = \"2026-11-18\"\n";
    let map = format!("{TEAMS}to = \"2026-11-17\"\n{owner}{from}");
    fs::write(world.path("teams.toml"), map).unwrap();
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        world.said("attribution.csv", &["charge_date", "team"]),
        ["2026-11-16 growth", "2026-11-17 unattributed", "2026-11-18 search"]
    );
    assert!(unattributed(&world).contains(" 2.50 "), "{}", unattributed(&world));
}

#[test]
fn a_ledger_that_cannot_be_read_ends_the_run_before_any_question() {
    let world = world();
    assert_eq!(world.run(&[]).code, 0);
    let (before, good) = (world.reports(), fs::read_to_string(world.path("ledger.csv")).unwrap());
    let header = good.lines().next().unwrap();
    for (name, ledger, place, code, says) in [
        ("gone", None, "files = [\"ledger.csv\"]", 78, "ledger.csv"),
        (
            "without a column",
            Some(good.replace("started_at", "at")),
            "files = [\"ledger.csv\"]",
            65,
            "required column missing: started_at",
        ),
        ("no table", Some("\u{0}\u{1}".to_string()), "files = [\"ledger.csv\"]", 65, "ledger.csv"),
        ("no database", Some(good.clone()), "sqlite = \"ledger.csv\"", 65, "not a SQLite database"),
    ] {
        match ledger {
            Some(text) => fs::write(world.path("ledger.csv"), text).unwrap(),
            None => fs::remove_file(world.path("ledger.csv")).unwrap(),
        }
        world.change_job("files = [\"ledger.csv\"]", place);
        world.server.forget();
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (code, 0), "{name}: {}", ran.err);
        assert!(ran.err.lines().last().unwrap().contains(says), "{name}: {}", ran.err);
        assert_eq!((world.reports(), world.runs().len()), (before.clone(), 1), "{name}");
        world.change_job(place, "files = [\"ledger.csv\"]");
        fs::write(world.path("ledger.csv"), &good).unwrap();
    }
    // Only reading it to its end shows that it breaks off: what was fetched until then is kept.
    fs::write(world.path("ledger.csv"), format!("{header}\nr-9,1,\"2026-11-18T10:00:00Z,openai,m\n")).unwrap();
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.runs().len()), (65, 1), "{}", ran.err);
    assert_eq!(world.reports(), before);
    fs::write(world.path("ledger.csv"), &good).unwrap();
    let ran = world.run(&[]);
    assert!(ran.code == 0 && ran.err.contains("nothing new: 2026-11-18.r1 stands"), "{}", ran.err);
}
