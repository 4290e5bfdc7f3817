//! `backtest` on synthetic spend and traffic with labelled spikes: the generators, no look-ahead, and the figures
//! that docs/spikes.md promises.

use proptest::prelude::*;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};
use tieout::domain::spike::{Settings, Thresholds};
use tieout::run::backtest::of_file;

/// Numbers that are the same on every machine.
struct Draw(u64);

impl Draw {
    /// 0 to below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// About normal, with a deviation of 1: twelve equal draws.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.below(1_000_000) as f64 / 1e6).sum::<f64>() - 6.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// Working hours, little at night and at weekends.
    Office,
    /// A wave with its peak in the evening, more at weekends.
    Consumer,
    Flat,
    /// Two hours of a nightly job, nearly nothing else.
    Night,
}

impl Shape {
    fn usual(self, hour: usize, weekend: bool) -> f64 {
        match self {
            Shape::Office => {
                let by_day = [0.5, 0.9, 1.2, 1.3, 1.3, 1.1, 1.2, 1.3, 1.3, 1.2, 0.9, 0.6];
                let hours = hour.checked_sub(7).and_then(|at| by_day.get(at)).copied().unwrap_or(0.2);
                hours * if weekend { 0.25 } else { 1.0 }
            }
            Shape::Consumer => {
                let wave = [0.5, 0.4, 0.3, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8];
                let rest = [0.9, 0.9, 0.9, 1.0, 1.0, 1.1, 1.2, 1.2, 1.1, 1.0, 0.8, 0.6];
                wave.iter().chain(&rest).nth(hour).copied().unwrap_or(0.5) * if weekend { 1.3 } else { 1.0 }
            }
            Shape::Flat => 1.0,
            Shape::Night => {
                if hour == 2 || hour == 3 {
                    3.0
                } else {
                    0.2
                }
            }
        }
    }
}

/// Series of all shapes, noises, levels and lengths, with the spikes in them: two CSV texts.
fn generated(seed: u64) -> (String, String) {
    let (mut series, mut labels) = ("series,timestamp,value\n".to_string(), "series,start,end,size\n".to_string());
    let mut draw = Draw(seed);
    // Monday, 2026-01-05.
    let monday = 1_767_571_200i64;
    for days in [10usize, 21, 45, 120] {
        for shape in [Shape::Office, Shape::Consumer, Shape::Flat, Shape::Night] {
            for noise in [0.1, 0.25, 0.4] {
                for level in [4.0, 30.0] {
                    let name = format!("{shape:?}-{noise}-{level}-{days}");
                    let start = monday + 86_400 * draw.below(200) as i64;
                    let usual = |hour: usize| {
                        let at = start / 3_600 + hour as i64;
                        level * shape.usual((at % 24) as usize, (at / 24 + 3) % 7 >= 5)
                    };
                    let mut near = 0.0;
                    let mut values: Vec<f64> = (0..days * 24)
                        .map(|hour| {
                            near = 0.5 * near + draw.normal() * noise * 0.866;
                            usual(hour) * f64::exp(near)
                        })
                        .collect();
                    let mut hour = 24 * 7 + draw.below(48) as usize;
                    while hour + 64 < values.len() {
                        let length = draw.pick(&[1usize, 2, 3, 6, 12, 24, 61]);
                        let times = draw.pick(&[1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0]);
                        let form = draw.below(3);
                        for step in 0..length {
                            // All at once; rising; falling.
                            let part = match form {
                                1 if length > 2 => (step + 1) as f64 / length as f64,
                                2 if length > 2 => (length - step) as f64 / length as f64,
                                _ => 1.0,
                            };
                            values[hour + step] += usual(hour + step) * (times - 1.0) * part;
                        }
                        let at = |hour: usize| start + 3_600 * hour as i64;
                        writeln!(labels, "{name},{},{},{times}", at(hour), at(hour + length)).unwrap();
                        hour += length + 72 + draw.below(240) as usize;
                    }
                    for (hour, value) in values.iter().enumerate() {
                        writeln!(series, "{name},{},{value:.6}", start + 3_600 * hour as i64).unwrap();
                    }
                }
            }
        }
    }
    (series, labels)
}

/// Series of traffic of two to nine weeks with what happens to traffic: hours that are too high or too low, at
/// most by half; silence; and a new level, of which the first twelve hours are labelled. Two CSV texts.
fn traffic(seed: u64) -> (String, String) {
    let (mut series, mut labels) = ("series,timestamp,value\n".to_string(), "series,start,end\n".to_string());
    let mut draw = Draw(seed);
    for days in [15usize, 30, 63] {
        for shape in [Shape::Office, Shape::Consumer, Shape::Flat] {
            for noise in [0.03, 0.06] {
                let name = format!("{shape:?}-{noise}-{days}");
                let start = 1_767_571_200 + 86_400 * draw.below(200) as i64;
                let mut values: Vec<f64> = (0..days * 24)
                    .map(|hour| {
                        let at = start / 3_600 + hour as i64;
                        400.0 * shape.usual((at % 24) as usize, (at / 24 + 3) % 7 >= 5) * f64::exp(draw.normal() * noise)
                    })
                    .collect();
                let mut hour = 24 * 7 + draw.below(24) as usize;
                while hour + 12 < values.len() {
                    let (length, times) = draw.pick(&[(1, 1.5), (1, 0.5), (2, 1.5), (3, 0.5), (6, 1.4), (2, 0.0), (12, 1.6)]);
                    let end = if length == 12 { values.len() } else { hour + length };
                    values[hour..end].iter_mut().for_each(|value| *value *= times);
                    let at = |hour: usize| start + 3_600 * hour as i64;
                    writeln!(labels, "{name},{},{}", at(hour), at(hour + length)).unwrap();
                    hour += length + 60 + draw.below(120) as usize;
                }
                for (hour, value) in values.iter().enumerate() {
                    writeln!(series, "{name},{},{value:.3}", start + 3_600 * hour as i64).unwrap();
                }
            }
        }
    }
    (series, labels)
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tieout")).arg("backtest").args(arguments).current_dir(folder).output().unwrap()
}

fn backtest(folder: &Path, arguments: &[&str]) -> Output {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A figure of the summary, in thousandths.
fn figure(summary: &str, before: &str) -> u64 {
    let rest = summary.split(before).nth(1).unwrap_or_else(|| panic!("{before} in\n{summary}"));
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let (whole, part) = number.split_once('.').unwrap();
    whole.parse::<u64>().unwrap() * 1_000 + part.parse::<u64>().unwrap()
}

#[test]
fn large_spikes_are_caught_with_few_false_alarms() {
    let folder = tempfile::tempdir().unwrap();
    let (series, labels) = generated(7);
    std::fs::write(folder.path().join("series.csv"), &series).unwrap();
    std::fs::write(folder.path().join("labels.csv"), labels).unwrap();
    // The defaults of a job, and those of a file of series.
    for thresholds in [&["--score-alone", "0"][..], &[]] {
        let output = backtest(folder.path(), &[&["--series", "series.csv", "--labels", "labels.csv"], thresholds].concat());
        let summary = String::from_utf8(output.stderr).unwrap();
        assert!(figure(&summary, "caught, F1 ") >= 850, "{summary}");
        assert!(figure(&summary, "per series and week: ") <= 200, "{summary}");
        let rows = String::from_utf8(output.stdout).unwrap();
        assert_eq!(rows.lines().count(), series.lines().count());
        assert_eq!(rows.lines().next(), Some("series,timestamp,flag,score,expected"));
    }
}

#[test]
fn what_is_odd_in_traffic_is_caught_with_few_false_alarms() {
    let folder = tempfile::tempdir().unwrap();
    let (series, labels) = traffic(5);
    std::fs::write(folder.path().join("series.csv"), &series).unwrap();
    std::fs::write(folder.path().join("labels.csv"), labels).unwrap();
    let arguments = ["--series", "series.csv", "--labels", "labels.csv"];
    let summary = String::from_utf8(backtest(folder.path(), &arguments).stderr).unwrap();
    assert!(figure(&summary, "F1: ") >= 650, "{summary}");
    assert!(figure(&summary, "per series and week: ") <= 100, "{summary}");
    // In series as calm as these a lower limit finds more.
    let lower = backtest(folder.path(), &[&arguments[..], &["--score-alone", "6"]].concat());
    let lower = String::from_utf8(lower.stderr).unwrap();
    assert!(figure(&lower, "F1: ") >= 750, "{lower}");
    assert!(figure(&lower, "per series and week: ") <= 100, "{lower}");
    // The rule of a job is one for spend: it does not look down, and half as much again is nothing to it.
    let of_a_job = backtest(folder.path(), &[&arguments[..], &["--score-alone", "0"]].concat());
    assert!(figure(&String::from_utf8(of_a_job.stderr).unwrap(), "F1: ") <= 300);
}

#[test]
fn the_options_choose_what_decides() {
    let folder = tempfile::tempdir().unwrap();
    let start = 1_767_571_200i64;
    let mut series = "series,timestamp,value\n".to_string();
    for hour in 0..24 * 30 {
        // A dip and a spike.
        let odd = |value: i64| [(600, value / 2), (660, value * 8)].into_iter().find(|(at, _)| *at == hour);
        let value = 100 + hour % 24 * 10 + hour * 7_919 % 13;
        writeln!(series, "s,{},{}", start + 3_600 * hour, odd(value).map_or(value, |(_, value)| value)).unwrap();
    }
    std::fs::write(folder.path().join("s.csv"), series).unwrap();
    let flagged = |options: &[&str]| {
        let rows = String::from_utf8(backtest(folder.path(), &[&["--series", "s.csv"], options].concat()).stdout).unwrap();
        let hour = |line: &str| (line.split(',').nth(1).unwrap().parse::<i64>().unwrap() - start) / 3_600;
        let mut hours: Vec<i64> = rows.lines().skip(1).filter(|line| line.split(',').nth(2) == Some("1")).map(hour).collect();
        // What follows a spike at once belongs to it.
        hours.dedup_by(|hour, before| *hour - *before <= 5);
        hours
    };
    assert_eq!(flagged(&[]), [600, 660]);
    assert_eq!(flagged(&["--score-alone", "6"]), [600, 660]);
    assert_eq!(flagged(&["--direction", "down"]), [600]);
    assert_eq!(flagged(&["--direction", "up"]), [660]);
    assert_eq!(flagged(&["--score-alone", "900"]), Vec::<i64>::new());
    // Any option of the rule of a job asks that rule, which looks up.
    for options in
        [&["--score-alone", "0"][..], &["--ratio", "2"], &["--money", "1"], &["--score", "5"], &["--adapt-hours", "48"]]
    {
        assert_eq!(flagged(options), [660], "{options:?}");
    }
    let both = run(folder.path(), &["--series", "s.csv", "--score-alone", "6", "--ratio", "2"]);
    let said = String::from_utf8(both.stderr).unwrap();
    assert_eq!(both.status.code(), Some(2), "{said}");
    assert!(said.contains("--score-alone decides alone"), "{said}");
}

/// One row: seconds since the one before, and a value as it is written.
fn rows() -> impl Strategy<Value = Vec<(i64, String)>> {
    let value = prop_oneof![
        60 => (900i64..1_100).prop_map(|value| format!("{}.{}", value / 10, value % 10)),
        4 => Just(String::new()),
        4 => Just("0".to_string()),
        2 => Just("-40".to_string()),
        2 => (1i64..9_000_000).prop_map(|value| value.to_string()),
        1 => Just("999999999999999999".to_string()),
        1 => Just("-999999999999999999".to_string()),
        1 => Just("0.000000000000000001".to_string()),
    ];
    // Two steps, so that the whole file says another one than its start.
    let steps = prop::sample::select(vec![0i64, 60, 900, 1_800, 3_600, 86_400]);
    (steps.clone(), steps, 0usize..400, prop::collection::vec((value, 0u8..40), 1..500)).prop_map(
        |(first, second, turn, values)| {
            let row = |(place, (value, gap)): (usize, (String, u8))| {
                let step = if place < turn { first } else { second };
                (if gap == 0 { step * 9 } else { step }, value)
            };
            values.into_iter().enumerate().map(row).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::with_cases(64) })]

    /// Contract section 2, for anything that can stand in a file: unknown, negative, the largest and smallest
    /// numbers, gaps, rows of one instant, and steps that change.
    #[test]
    fn no_later_row_changes_an_earlier_one(rows in rows(), cut in 0.0f64..1.0, alone in any::<bool>()) {
        let thresholds = if alone { Thresholds::for_any_series() } else { Thresholds::default() };
        let settings = Settings { thresholds, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.csv");
        let judged = |rows: &[(i64, String)]| {
            let (mut text, mut at) = ("timestamp,value\n".to_string(), 1_767_571_200);
            for (since, value) in rows {
                at += since;
                writeln!(text, "{at},{value}").unwrap();
            }
            std::fs::write(&file, text).unwrap();
            String::from_utf8(of_file(&file, None, &settings).unwrap().rows).unwrap()
        };
        let whole = judged(&rows);
        prop_assert_eq!(whole.lines().count(), rows.len() + 1);
        let end = 1 + (cut * (rows.len() - 1) as f64) as usize;
        prop_assert!(whole.starts_with(&judged(&rows[..end])), "{end} of {}", rows.len());
    }
}

/// Contract section 2: without looking ahead.
#[test]
fn truncating_the_future_changes_no_flag() {
    let folder = tempfile::tempdir().unwrap();
    let (series, _) = generated(11);
    let wanted = ["Office-0.25-30-45", "Consumer-0.4-4-45", "Night-0.1-30-21"];
    let rows: Vec<&str> = series.lines().filter(|line| wanted.iter().any(|name| line.starts_with(&format!("{name},")))).collect();
    let judged = |rows: &[&str]| {
        std::fs::write(folder.path().join("s.csv"), format!("series,timestamp,value\n{}\n", rows.join("\n"))).unwrap();
        String::from_utf8(backtest(folder.path(), &["--series", "s.csv"]).stdout).unwrap()
    };
    let whole = judged(&rows);
    assert!(whole.lines().any(|line| line.contains(",1,")), "nothing is flagged");
    for name in wanted {
        let own: Vec<&str> = rows.iter().copied().filter(|line| line.starts_with(name)).collect();
        let of_whole: Vec<&str> = whole.lines().filter(|line| line.starts_with(name)).collect();
        for end in [25, 100, 333, own.len() / 2, own.len() - 1] {
            let cut = judged(&own[..end]);
            let cut: Vec<&str> = cut.lines().skip(1).collect();
            assert_eq!(cut, &of_whole[..end], "{name} until {end}");
        }
    }
    // Nor does a file that goes on in other steps: most of this one is by the minute.
    let name = wanted[0];
    let mut own: Vec<String> = rows.iter().filter(|line| line.starts_with(name)).map(|line| line.to_string()).collect();
    let last: i64 = own.last().and_then(|line| line.split(',').nth(1)).unwrap().parse().unwrap();
    own.extend((1..3_000).map(|minute| format!("{name},{},20", last + 60 * minute)));
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let of_whole: Vec<&str> = whole.lines().filter(|line| line.starts_with(name)).collect();
    let longer = judged(&own);
    assert_eq!(longer.lines().skip(1).take(of_whole.len()).collect::<Vec<&str>>(), of_whole);
    // Neither does another order of the rows.
    let mut mixed = rows.clone();
    mixed.reverse();
    let mixed = judged(&mixed);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&mixed), sorted(&whole));
}

#[test]
fn files_of_series_are_read_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // No column of series, another order, unknown values, and a name that needs quotes.
    write("speeds.csv", "value,timestamp\n1.5,2026-11-01 00:00:00\n,2026-11-01T01:00:00Z\n1e1,1793498400\n");
    let rows = String::from_utf8(backtest(folder.path(), &["--series", "speeds.csv"]).stdout).unwrap();
    let expected = "series,timestamp,flag,score,expected\r\nspeeds,2026-11-01 00:00:00,0,0,0\r\n\
                    speeds,2026-11-01T01:00:00Z,0,,\r\nspeeds,1793498400,0,0,1.5\r\n";
    assert_eq!(rows, expected);
    for (text, told) in [
        ("series,value\na,1\n", "no column \"timestamp\""),
        ("series,timestamp,value\na,yesterday,1\n", "bad.csv:2: timestamp: \"yesterday\" is no time"),
        ("series,timestamp,value\na,2026-11-01,nan\n", "bad.csv:2: value: expected a plain number"),
        ("series,timestamp,value\na,2026-11-01\n", "bad.csv:2: expected 3 fields, found 2"),
    ] {
        write("bad.csv", text);
        let output = run(folder.path(), &["--series", "bad.csv"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains(told), "{said}");
    }
}
