//! What can be typed: clap types and nothing else.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Reconciles what AI providers bill with what your own request ledger recorded, and attributes every
/// billed line to a team, to the last digit.
#[derive(Debug, Parser)]
#[command(name = "tieout", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  complete and published, or nothing new     72  state store corrupt or newer
  2  bad command line                           73  output or state folder cannot be used
 10  published, but a slice is missing          74  disk or file error; verify found a difference
 11  published, with a finding of --fail-on     75  passing fault: just run again
 12  published, but an alert is not delivered   76  a provider's page breaks its own form
 20  another run holds the lock                 77  access refused
 65  ledger or reference file bad               78  job file or setting wrong
 70  a bug in tieout                            An unknown code must be treated as failure.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole night: read, match, classify, attribute, publish
    Run(Run),
    /// Read and validate the job and every file it names, and hold the price books against the data; writes nothing
    Check(Check),
    /// Price books from public price maps
    Prices(Prices),
    /// Price the same usage under another plan, fee, discount, volume, switch date or wage; publishes nothing
    Whatif(Whatif),
    /// Replay the spike rules over history, hour by hour, and say how they did
    Backtest(Backtest),
    /// Check published files against their manifests
    Verify(Verify),
    /// The last run, its coverage and what is open
    Status(Status),
}

#[derive(Debug, Args)]
pub struct Run {
    /// Job file
    pub job: PathBuf,
    /// The moment to run for, RFC 3339; fixes the window. Default: the job's, else now
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// First UTC day to reconcile, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// The day after the last UTC day to reconcile, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// Publish a day older than the newest run; `latest` stays where it is
    #[arg(long)]
    pub backfill: bool,
    /// Everything but publishing
    #[arg(long)]
    pub dry_run: bool,
    /// Ask no provider: only what was fetched before
    #[arg(long)]
    pub offline: bool,
    /// Publish nothing unless every slice is there
    #[arg(long)]
    pub require_complete: bool,
    /// Exit 10 while a slice is not settled
    #[arg(long)]
    pub require_settled: bool,
    /// Take slices that shrank, or look off by a unit, as they are
    #[arg(long)]
    pub accept_shrink: bool,
    /// Stop fetching after this time: 2h, 90m, 30s
    #[arg(long, value_name = "TIME", default_value = "2h")]
    pub deadline: String,
    /// One JSON object with the result on stdout, in place of the summary
    #[arg(long)]
    pub json: bool,
    /// End with 11 when such a finding is there, after publishing: drift above the job's materiality, an open
    /// spike, usage without a price
    #[arg(long, value_name = "FINDING", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FailOn {
    Drift,
    Spike,
    Unpriced,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Job file
    pub job: PathBuf,
    /// Also try each credential with one question to its provider, and read the last day of each ledger
    #[arg(long)]
    pub online: bool,
}

#[derive(Debug, Args)]
pub struct Prices {
    #[command(subcommand)]
    pub command: PricesCommand,
}

#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// Write a provider's prices of a map as a price book on stdout; what it cannot say is named on stderr
    Import(Import),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PriceMap {
    /// model_prices_and_context_window.json
    Litellm,
    /// prices/data.json
    GenaiPrices,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Whose price map it is
    pub map: PriceMap,
    /// The map's JSON file
    pub file: PathBuf,
    /// Provider, as ledgers and sources name it
    #[arg(long, value_name = "NAME")]
    pub provider: String,
    /// First UTC day of prices without one in the map, YYYY-MM-DD. Default: the day of --checked
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Day on which the prices were compared with the published ones, YYYY-MM-DD. Default: today
    #[arg(long, value_name = "DAY")]
    pub checked: Option<String>,
}

#[derive(Debug, Args)]
pub struct Whatif {
    /// Job file
    pub job: PathBuf,
    /// Suppose it for this team only
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    /// Show one client's figures; --scale is then of its usage only
    #[arg(long, value_name = "CLIENT", conflicts_with = "switch_date")]
    pub client: Option<String>,
    /// A plan in place of the job's
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Flat fee of own keys a month, in the plan's currency
    #[arg(long, value_name = "MONEY")]
    pub fee: Option<String>,
    /// Per cents off list price on own keys
    #[arg(long, value_name = "PERCENT")]
    pub discount: Option<String>,
    /// So many times the usage: 2x, 0.5x
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<String>,
    /// Credits until this UTC day, own keys from it on, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    pub switch_date: Option<String>,
    /// Money an hour of looking after keys costs
    #[arg(long, value_name = "MONEY")]
    pub wage: Option<String>,
    /// Only this month, YYYY-MM
    #[arg(long, value_name = "MONTH")]
    pub month: Option<String>,
    /// The moment to look from, RFC 3339. Default: the job's, else now
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
    /// One row for each figure, as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// One JSON object; money as strings
    #[arg(long)]
    pub json: bool,
    /// Nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["job", "series"])))]
pub struct Backtest {
    /// Job file, whose ledger and providers are replayed with its `[spikes]`
    pub job: Option<PathBuf>,
    /// CSV file of series,timestamp,value, any unit; label and size are read where they are there
    #[arg(long, value_name = "FILE")]
    pub series: Option<PathBuf>,
    /// CSV file of labelled spikes: series,start,end or series,timestamp
    #[arg(long, value_name = "FILE", requires = "series")]
    pub labels: Option<PathBuf>,
    /// The rule of a job: usual deviations from the baseline, with --ratio and --money. Default: 6
    #[arg(long, value_name = "NUMBER", requires = "series")]
    pub score: Option<String>,
    /// The rule of a job: value divided by what was expected. Default: 3
    #[arg(long, value_name = "NUMBER", requires = "series")]
    pub ratio: Option<String>,
    /// The rule of a job: distance from what was expected, in units an hour. Default: 5
    #[arg(long, value_name = "NUMBER", requires = "series")]
    pub money: Option<String>,
    /// How odd an hour has to be: that decides alone. 0, or any option of the rule of a job, asks that rule instead.
    /// Default: 7.5
    #[arg(long, value_name = "NUMBER", requires = "series")]
    pub score_alone: Option<String>,
    /// up, down or both. Default: both; up with the rule of a job
    #[arg(long, value_name = "WAY", requires = "series")]
    pub direction: Option<String>,
    /// The rule of a job: hours after which a new level is the baseline. Default: 168
    #[arg(long, value_name = "HOURS", requires = "series")]
    pub adapt_hours: Option<u32>,
    /// IANA zone of hours and weekends. Default: UTC
    #[arg(long, value_name = "ZONE", requires = "series")]
    pub time_zone: Option<String>,
    /// A local day on which nobody works, YYYY-MM-DD; may be repeated
    #[arg(long, value_name = "DAY", requires = "series")]
    pub holiday: Vec<String>,
    /// The moment to replay a job for, RFC 3339
    #[arg(long, value_name = "TIME", requires = "job")]
    pub as_of: Option<String>,
    /// Nothing on stderr but the summary and errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Output folder of a job, or one run in it
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Job file
    pub job: PathBuf,
    /// Fail (74) unless a complete run was published within this time: 26h, 90m, 2d
    #[arg(long, value_name = "AGE")]
    pub max_age: Option<String>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
