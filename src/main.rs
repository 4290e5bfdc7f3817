//! Arguments in, exit code out; the only place that prints an error.

use clap::Parser;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode as ProcessCode;
use tieout::cli::{Backtest, Cli, Command, FailOn, Import, PricesCommand, Run, Status, Whatif};
use tieout::domain::fault::{ExitCode, Fault};
use tieout::edge::log::Progress;
use tieout::edge::redact::{guard_panics, redact};
use tieout::edge::secrets::no_core_dumps;
use tieout::edge::state::recorded_queue;
use tieout::edge::{clock, pull, signals, verify};
use tieout::run::reference::Asked;
use tieout::run::{self, Done, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ProcessCode {
    guard_panics();
    no_core_dumps();
    let cli = Cli::parse();
    signals::prepare();
    let code = match cli.command {
        Command::Run(arguments) => run_job(&arguments),
        Command::Check(arguments) => finish(check(&arguments.job, arguments.online)),
        Command::Prices(arguments) => match &arguments.command {
            PricesCommand::Import(arguments) => finish(import_prices(arguments)),
        },
        Command::Whatif(arguments) => finish(whatif(&arguments)),
        Command::Backtest(arguments) => finish(backtest(&arguments)),
        Command::Verify(arguments) => finish(run::check_published(&arguments.out).and_then(|said| print(&said))),
        Command::Status(arguments) => finish(status(&arguments)),
    };
    ProcessCode::from(code as u8)
}

fn run_job(arguments: &Run) -> ExitCode {
    let asked = Asked { as_of: arguments.as_of.clone(), from: arguments.from.clone(), to: arguments.to.clone() };
    let Some(deadline) = verify::parse_age(&arguments.deadline).and_then(|time| time.to_std().ok()) else {
        let what = format!("--deadline: {:?} is no time", arguments.deadline);
        return report(&Fault::new(ExitCode::Usage, "", what, "write it like 2h, 90m or 30s"), None);
    };
    let finding = |finding: &FailOn| match finding {
        FailOn::Drift => run::FailOn::Drift,
        FailOn::Spike => run::FailOn::Spike,
        FailOn::Unpriced => run::FailOn::Unpriced,
    };
    let fail_on = arguments.fail_on.iter().map(finding).collect();
    let options = Options {
        asked,
        backfill: arguments.backfill,
        dry_run: arguments.dry_run,
        offline: arguments.offline,
        require_complete: arguments.require_complete,
        require_settled: arguments.require_settled,
        accept_shrink: arguments.accept_shrink,
        deadline,
        json: arguments.json,
        fail_on,
    };
    let progress = Progress::on_stderr(arguments.quiet);
    let (now, run_id) = (clock::now(), clock::run_id());
    let outcome = guarded(|| run::run(&arguments.job, &options, now, &run_id, &progress));
    let latest = latest(&arguments.job);
    if arguments.json {
        return print_json(&outcome, &run_id, latest.as_deref());
    }
    match outcome {
        Ok(done) => {
            let said = print(&done.summary);
            progress.line(&landed(&done));
            said.map_or_else(|fault| report(&fault, None), |()| done.code)
        }
        Err(fault) => report(&fault, latest.as_deref()),
    }
}

/// A panic is a bug: it ends with the documented code and publishes nothing.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault::new(ExitCode::Internal, "", "a panic stopped the work", "this is a bug: report it with the text above"))
    })
}

fn landed(done: &Done) -> String {
    match &done.name {
        None => "dry run: nothing published".to_string(),
        Some(name) if done.new => format!("published {name}"),
        Some(name) => format!("nothing new: {name} stands"),
    }
}

fn check(job: &Path, online: bool) -> Result<(), Fault> {
    let loaded = guarded(|| run::check(job, clock::now()))?;
    if online {
        let mut failed = Vec::new();
        for tried in guarded(|| run::fetched::try_online(&loaded, clock::now()))? {
            match tried {
                Ok(said) => print(&said)?,
                Err(fault) => failed.push(fault),
            }
        }
        if let Some(worst) = pull::worst(&failed) {
            for other in failed.iter().filter(|fault| **fault != worst) {
                // A closed stderr changes nothing about the outcome.
                let _ = writeln!(std::io::stderr(), "{}", redact(&format!("{other}\n")));
            }
            return Err(worst);
        }
    }
    for old in &loaded.old_books {
        print(old)?;
    }
    for finding in guarded(|| Ok(run::price_findings::of_data(&loaded)))? {
        print(&finding)?;
    }
    let (job, window) = (&loaded.job, loaded.reference.window);
    let said = format!(
        "{}: {} ledgers, {} sources, {} price books, days {} to {}: all in order",
        job.file.display(),
        job.ledgers.len(),
        job.sources.len(),
        job.prices.len(),
        window.from,
        loaded.reference.business_date(),
    );
    print(&said)
}

fn import_prices(arguments: &Import) -> Result<(), Fault> {
    let imported = guarded(|| run::price_import::import(arguments, clock::now().date_naive()))?;
    for left_out in &imported.left_out {
        // A closed stderr changes nothing about the outcome.
        let _ = writeln!(std::io::stderr(), "left out: {left_out}");
    }
    print(&imported.book)
}

fn whatif(arguments: &Whatif) -> Result<(), Fault> {
    let progress = Progress::on_stderr(arguments.quiet);
    print(&guarded(|| run::whatif::whatif(arguments, clock::now(), &progress))?)
}

fn backtest(arguments: &Backtest) -> Result<(), Fault> {
    let found = guarded(|| match (&arguments.series, &arguments.job) {
        (Some(series), _) => {
            let settings = run::backtest::settings(arguments)?;
            run::backtest::of_file(series, arguments.labels.as_deref(), &settings)
        }
        (None, Some(job)) => {
            let asked = Asked { as_of: arguments.as_of.clone(), ..Asked::default() };
            run::backtest::of_job(job, &asked, clock::now(), &Progress::on_stderr(arguments.quiet))
        }
        (None, None) => Err(Fault::new(ExitCode::Usage, "", "neither a job nor --series", "name a job file or --series FILE")),
    })?;
    print(&String::from_utf8_lossy(&found.rows))?;
    // A closed stderr changes nothing about the outcome.
    let _ = write!(std::io::stderr(), "{}", found.summary);
    Ok(())
}

fn status(arguments: &Status) -> Result<(), Fault> {
    let loaded = run::reference::load(&arguments.job, &Asked::default(), clock::now())?;
    let max_age = match &arguments.max_age {
        None => None,
        Some(text) => Some(verify::parse_age(text).ok_or_else(|| {
            Fault::new(ExitCode::Usage, "", format!("--max-age: {text:?} is no age"), "write it like 26h, 90m or 2d")
        })?),
    };
    let status = verify::status(&loaded.job.output, &loaded.job.state, loaded.job.kind.name())?;
    let queue = recorded_queue(&loaded.job.state, clock::now())?;
    let latest = status.latest.as_ref().map(|run| run.name.to_string());
    let complete = status.latest_complete.as_ref().map(|run| run.name.to_string());
    let said = if arguments.json {
        json!({
            "type": "status",
            "latest": latest,
            "latest_complete": complete,
            "slices": status.coverage,
            "open_items": status.open_items,
            "alerts": { "queued": queue.queued, "quiet": queue.quiet, "refused": queue.refused },
        })
        .to_string()
    } else {
        let slices: Vec<String> = status.coverage.iter().map(|(name, count)| format!("{count} {name}")).collect();
        format!(
            "latest: {}\nlatest complete: {}\nslices: {}\nopen items: {}\nalerts: {} queued, {} in quiet hours, {} refused",
            latest.as_deref().unwrap_or("none"),
            complete.as_deref().unwrap_or("none"),
            if slices.is_empty() { "none".to_string() } else { slices.join(", ") },
            status.open_items,
            queue.queued,
            queue.quiet,
            queue.refused,
        )
    };
    print(&said)?;
    match max_age.filter(|age| status.is_overdue(clock::now(), *age)) {
        Some(_) => {
            let what = format!("no complete run within {}", arguments.max_age.as_deref().unwrap_or_default());
            let hint = "see why the last runs failed, or run now";
            Err(Fault::new(ExitCode::IoErr, loaded.job.output.display().to_string(), what, hint))
        }
        None => Ok(()),
    }
}

fn finish(outcome: Result<(), Fault>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::Ok,
        Err(fault) => report(&fault, None),
    }
}

/// The newest published run of a job, for the last line of an error; nothing where it cannot be told.
fn latest(job: &Path) -> Option<String> {
    let loaded = run::reference::load(job, &Asked::default(), clock::now()).ok()?;
    verify::latest(&loaded.job.output)
}

/// Where, what and what to do; then one sentence with the code, for logs that keep only the last line.
fn report(fault: &Fault, latest: Option<&str>) -> ExitCode {
    let place = if fault.place.is_empty() { String::new() } else { format!("{}: ", fault.place) };
    let latest = latest.map(|name| format!("; latest is {name}")).unwrap_or_default();
    let what = fault.what.replace('\n', " ");
    // A closed stderr changes nothing about the outcome.
    let said = format!("{fault}\nerror[{}] {place}{what}; published nothing{latest}", fault.code.name());
    let _ = writeln!(std::io::stderr(), "{}", redact(&said));
    fault.code
}

/// Prints to stdout. A reader that has gone away is no failure; a full disk is.
fn print(text: &str) -> Result<(), Fault> {
    match writeln!(std::io::stdout(), "{}", redact(text.trim_end_matches('\n'))) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let what = format!("cannot be written: {error}");
            Err(Fault::new(ExitCode::IoErr, "stdout", what, "the run itself is not affected; see its output folder"))
        }
        _ => Ok(()),
    }
}

fn print_json(outcome: &Result<Done, Fault>, run_id: &str, latest: Option<&str>) -> ExitCode {
    let (code, object) = match outcome {
        Ok(done) => {
            let published = done.name.as_deref().filter(|_| done.new);
            let message = landed(done);
            let object = json!({
                "type": "result", "code": done.code as u8, "name": done.code.name(), "run_id": run_id,
                "published": published, "latest": latest, "slices": done.slices, "alerts": done.alerts, "message": message, "advice": "",
            });
            (done.code, object)
        }
        Err(fault) => {
            let message = if fault.place.is_empty() { fault.what.clone() } else { format!("{}: {}", fault.place, fault.what) };
            let object = json!({
                "type": "error", "code": fault.code as u8, "name": fault.code.name(), "run_id": run_id,
                "published": null, "latest": latest, "slices": {}, "alerts": {}, "message": message, "advice": fault.hint,
            });
            report(fault, latest);
            (fault.code, object)
        }
    };
    match print(&object.to_string()) {
        Ok(()) => code,
        Err(fault) => report(&fault, latest),
    }
}
