//! Reads the ledgers of a job through the program's own reader and counts: `cargo bench --bench ledger -- job.toml`.
//! `benches/ledger.sh` makes the data and compares with what the databases' own shells take.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use tieout::adapters::ADAPTERS;
use tieout::domain::ledger::LedgerLine;
use tieout::domain::money::Amount;
use tieout::domain::period::Days;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        return Err("name a job file".into());
    };
    let job = tieout::job::parse(Path::new(&file), &std::fs::read_to_string(&file)?, ADAPTERS)?;
    let window = job.window.from.zip(job.window.to).map(|(from, to)| Days { from, to }).ok_or("give the window from and to")?;
    for ledger in &job.ledgers {
        let start = Instant::now();
        let (mut rows, mut set_aside, mut cost) = (0_u64, 0_u64, Amount::ZERO);
        tieout::edge::ledger::read(ledger, window, &mut |line| match line {
            LedgerLine::Entry(entry) => {
                rows += 1;
                cost = cost.checked_add(entry.expected_cost.unwrap_or(Amount::ZERO)).unwrap_or(cost);
            }
            LedgerLine::Quarantined(_) => set_aside += 1,
        })?;
        let ms = start.elapsed().as_millis().max(1);
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
        let mut line = String::new();
        write!(line, "{} {rows} rows, {set_aside} set aside, cost {cost}, {ms} ms, ", ledger.name)?;
        println!("{line}{} rows/s, peak {peak}", u128::from(rows) * 1000 / ms);
    }
    Ok(())
}
