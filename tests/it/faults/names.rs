//! Names of keys and projects outlive what they name.

use super::world::{DAYS, Row, World, openai_page};
use crate::fault_server::json;
use std::fs;

const PROJECTS: &str = "/v1/organization/projects";
const NONE: &str = r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#;
const ONE: &str = r#"{"object":"list","data":[{"id":"proj_a","object":"organization.project","name":"Growth","status":"active"}],
    "first_id":"proj_a","last_id":"proj_a","has_more":false}"#;
/// A report that names the project instead of its id.
const NAMED: Row<'static> = ("Growth", "gpt-5.4, input", "\"2.5\"");

fn world(names: bool) -> World {
    let world = World::new(&["openai"], "");
    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    let job = if names { job.replace("reports = \"costs\"", "reports = \"costs\", names = \"yes\"") } else { job };
    fs::write(world.path("job.toml"), job).unwrap();
    world.fail("/v1/organization/costs", vec![json(openai_page(&DAYS.map(|(_, start)| (start, vec![NAMED])), None))]);
    world.fail("/v1/organization/projects/proj_a/api_keys", vec![json(NONE)]);
    world.fail(PROJECTS, vec![json(ONE), json(NONE)]);
    world
}

#[test]
fn what_is_deleted_keeps_its_name() {
    let without = world(false);
    assert_eq!(without.run(&[]).code, 0);
    assert!(without.report("drift.csv").contains("Growth"), "nothing says what the name stands for");

    let world = world(true);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let resolved = |world: &World| {
        let mut reports = world.reports();
        let names = String::from_utf8(reports.remove("names.csv").unwrap()).unwrap();
        assert!(names.contains("\"sub_account\",\"proj_a\",\"Growth\",2026-11-18\r\n"), "{names}");
        let reports: Vec<String> = reports.into_values().filter_map(|bytes| String::from_utf8(bytes).ok()).collect();
        let all = reports.join("\n");
        assert!(all.contains("proj_a") && !all.contains("Growth"), "{all}");
    };
    resolved(&world);
    // The next night the project is gone from the list.
    world.fail(PROJECTS, vec![json(NONE)]);
    let ran = world.run(&["--as-of", "2026-11-20T06:00:00Z"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    resolved(&world);
    assert!(!world.report("coverage.csv").contains("projects"), "a list has no money");
    // Nor does a list that cannot be fetched cost a figure.
    let before = world.reports();
    world.fail(PROJECTS, vec![super::plain(404)]);
    let ran = world.run(&["--as-of", "2026-11-20T06:00:00Z"]);
    assert!(ran.err.contains("openai/projects"), "{}", ran.err);
    assert_eq!(world.reports(), before);
}
