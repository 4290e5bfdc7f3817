//! `[alerts]` of a job: what is an alert, who is told, and when (reliability.md section 6).

use super::keys::{JOB_CHANNEL, JOB_QUIET};
use super::secret::{SecretRef, secret};
use super::toml_at::{Section, Value, quoted};
use crate::domain::alert::{AlertRule, AlertSettings, ChannelKind, Quiet, Route, Severity};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::spike::SpikeRule;
use chrono::NaiveTime;
use std::path::Path;

/// What a job says about alerts. The default tells nobody, and still writes `alerts.json`.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    pub settings: AlertSettings,
    pub channels: Vec<Channel>,
    pub dead_man: Option<Target>,
}

/// Where a channel leads.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    pub kind: ChannelKind,
    /// Absent for mail and stdout; PagerDuty has its own.
    pub target: Option<Target>,
    /// Routing key, signing key or password, as the kind has it.
    pub secret: Option<SecretRef>,
    pub mail: Option<Mail>,
}

/// An address, or where it is kept.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    /// It may be in a private network, or on this machine without TLS.
    pub allow_private: bool,
    /// The job's line, for messages.
    pub at: String,
}

#[derive(Clone, Debug)]
pub enum Url {
    Plain(String),
    Secret(SecretRef),
}

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct Mail {
    pub server: String,
    pub port: u16,
    pub user: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub allow_private: bool,
    /// The job's line, for messages.
    pub at: String,
}

const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
const KINDS: [(&str, ChannelKind); 5] = [
    ("slack", ChannelKind::Slack),
    ("pagerduty", ChannelKind::PagerDuty),
    ("webhook", ChannelKind::Webhook),
    ("email", ChannelKind::Email),
    ("stdout", ChannelKind::Stdout),
];
const SEVERITIES: [(&str, Severity); 4] =
    [("info", Severity::Info), ("warning", Severity::Warning), ("error", Severity::Error), ("critical", Severity::Critical)];
const HOURS_MAX: u64 = 720;
const FROZEN_MAX: u64 = 100;

/// Every rule that a route may name.
pub const RULES: [AlertRule; 16] = [
    AlertRule::Spike(SpikeRule::Spike),
    AlertRule::Spike(SpikeRule::NewModel),
    AlertRule::Spike(SpikeRule::DormantKey),
    AlertRule::Spike(SpikeRule::UnownedKey),
    AlertRule::Spike(SpikeRule::RevokedKey),
    AlertRule::Spike(SpikeRule::OldKey),
    AlertRule::Spike(SpikeRule::BudgetPassed),
    AlertRule::Spike(SpikeRule::BudgetProjected),
    AlertRule::Spike(SpikeRule::Silence),
    AlertRule::Spike(SpikeRule::Errors),
    AlertRule::MissingSlice,
    AlertRule::SuspectSlice,
    AlertRule::Drift,
    AlertRule::UnownedSpend,
    AlertRule::Unpriced,
    AlertRule::Frozen,
];

/// Reads `[alerts]`.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn alerts(section: &Section<'_>, folder: &Path) -> Result<Alerts, Fault> {
    let known = AlertSettings::default();
    let money = |key: &str, known: Amount| -> Result<Amount, Fault> {
        let Some(value) = section.get(key) else { return Ok(known) };
        let decimal = value.decimal(12)?;
        Amount::parse(&decimal.to_string()).map_err(|_| value.expected("a number in quotes"))
    };
    let whole = |key: &str, known: u64, max: u64| section.get(key).map_or(Ok(known), |value| value.whole(1..=max));
    let quiet = section.get("quiet").map(|value| quiet(&value.section(&JOB_QUIET)?)).transpose()?;
    let mut settings = AlertSettings {
        drift_above: money("drift_above", known.drift_above)?,
        unowned_above: money("unowned_above", known.unowned_above)?,
        critical_above: money("critical_above", known.critical_above)?,
        frozen_runs: section.get("frozen_runs").map_or(Ok(known.frozen_runs), |value| {
            value.whole(0..=FROZEN_MAX).map(|runs| u32::try_from(runs).unwrap_or(known.frozen_runs))
        })?,
        repeat_hours: u32::try_from(whole("repeat_hours", u64::from(known.repeat_hours), HOURS_MAX)?)
            .unwrap_or(known.repeat_hours),
        group_above: usize::try_from(whole("group_above", known.group_above as u64, 1000)?).unwrap_or(known.group_above),
        quiet,
        ..known
    };
    let allow_private = section.get("allow_private").map_or(Ok(false), |value| value.flag())?;
    let mut channels: Vec<(Channel, usize)> = Vec::new();
    for section in section.sections("channel", &JOB_CHANNEL)? {
        let (channel, route) = channel(&section, folder)?;
        if let Some((_, line)) = channels.iter().find(|(other, _)| other.name == channel.name) {
            let what = format!("channel {} is already on line {line}", quoted(&channel.name));
            return Err(section.fault(what, "give each channel a name of its own"));
        }
        settings.routes.push(route);
        channels.push((channel, section.line()));
    }
    if let Some(value) = section.get("fallback") {
        let name = value.text()?;
        if !channels.iter().any(|(channel, _)| channel.name == name) {
            let what = format!("fallback: there is no channel {}", quoted(name));
            return Err(value.fault(what, "name one of the sections [[alerts.channel]]"));
        }
        settings.fallback = Some(name.to_string());
    }
    let dead_man = section.get("dead_man").map(|value| target(&value, folder, allow_private, false)).transpose()?;
    Ok(Alerts { settings, channels: channels.into_iter().map(|(channel, _)| channel).collect(), dead_man })
}

fn quiet(section: &Section<'_>) -> Result<Quiet, Fault> {
    let time = |key: &str| {
        let value = section.need(key)?;
        let text = value.text()?;
        let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5);
        time.ok_or_else(|| value.expected("a local time as HH:MM"))
    };
    let hours = section.get("escalate_hours").map_or(Ok(4), |value| value.whole(1..=HOURS_MAX))?;
    Ok(Quiet {
        from: time("from")?,
        to: time("to")?,
        free_days: section.get("free_days").map_or(Ok(true), |value| value.flag())?,
        through: section.get("through").map_or(Ok(Severity::Error), |value| value.word(&SEVERITIES))?,
        escalate_hours: u32::try_from(hours).unwrap_or(u32::MAX),
    })
}

fn channel(section: &Section<'_>, folder: &Path) -> Result<(Channel, Route), Fault> {
    let name_at = section.need("name")?;
    let name = name_at.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.bytes().all(plain) || name.len() > 40 {
        return Err(name_at.expected("at most 40 letters, digits, - and _"));
    }
    let kind_at = section.need("kind")?;
    let kind = kind_at.word(&KINDS)?;
    let belongs: &[&str] = match kind {
        ChannelKind::Slack => &["url"],
        ChannelKind::PagerDuty | ChannelKind::Webhook => &["url", "secret"],
        ChannelKind::Email => &["secret", "server", "port", "user", "from", "to"],
        ChannelKind::Stdout => &[],
    };
    for key in ["url", "secret", "server", "port", "user", "from", "to"] {
        if let Some(value) = section.get(key).filter(|_| !belongs.contains(&key)) {
            return Err(value.fault(format!("{key}: a channel of kind {} has none", quoted(kind_at.text()?)), "take it out"));
        }
    }
    let allow_private = section.get("allow_private").map_or(Ok(false), |value| value.flag())?;
    let target = match kind {
        ChannelKind::Slack => Some(target(&section.need("url")?, folder, allow_private, false)?),
        ChannelKind::Webhook => Some(target(&section.need("url")?, folder, allow_private, true)?),
        ChannelKind::PagerDuty => Some(match section.get("url") {
            Some(value) => target(&value, folder, allow_private, true)?,
            None => Target { url: Url::Plain(PAGERDUTY.to_string()), allow_private, at: kind_at.place() },
        }),
        ChannelKind::Email | ChannelKind::Stdout => None,
    };
    let secret_at = if kind == ChannelKind::PagerDuty { Some(section.need("secret")?) } else { section.get("secret") };
    let secret = secret_at.map(|value| secret(&value, folder)).transpose()?;
    let mail = (kind == ChannelKind::Email).then(|| mail(section, allow_private)).transpose()?;
    if let Some(value) = section.get("secret").filter(|_| mail.as_ref().is_some_and(|mail| mail.user.is_none())) {
        return Err(value.fault("secret: a password without a user", "add \"user\", or take \"secret\" out"));
    }
    let teams = section.get("teams").map_or(Ok(Vec::new()), |value| value.some_texts())?;
    let rules = section.get("rules").map_or(Ok(Vec::new()), |value| value.some_texts())?;
    let words = RULES.map(|rule| (rule.name(), ()));
    for (_, value) in &rules {
        value.word(&words)?;
    }
    let route = Route {
        channel: name.to_string(),
        kind,
        min_severity: section.get("min_severity").map_or(Ok(Severity::Warning), |value| value.word(&SEVERITIES))?,
        teams: teams.into_iter().map(|(text, _)| text.to_string()).collect(),
        rules: rules.into_iter().map(|(text, _)| text.to_string()).collect(),
    };
    Ok((Channel { name: name.to_string(), kind, target, secret, mail }, route))
}

/// A URL often is a secret itself, so it stands in the job only where the kind allows it.
fn target(value: &Value<'_>, folder: &Path, allow_private: bool, may_be_plain: bool) -> Result<Target, Fault> {
    let text = value.text()?;
    let url =
        if may_be_plain && text.contains("://") { Url::Plain(text.to_string()) } else { Url::Secret(secret(value, folder)?) };
    Ok(Target { url, allow_private, at: value.place() })
}

fn mail(section: &Section<'_>, allow_private: bool) -> Result<Mail, Fault> {
    let address = |value: &Value<'_>| {
        let text = value.text()?;
        let sound = text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,;\"()".contains(&byte));
        if sound && plain {
            Ok(text.to_string())
        } else {
            Err(value.expected("a plain mail address, such as \"oncall@acme.example\""))
        }
    };
    let server = section.need("server")?;
    let to = section.need("to")?.some_texts()?;
    Ok(Mail {
        server: server.text()?.to_string(),
        port: section.get("port").map_or(Ok(587), |value| value.whole(1..=65535))?.try_into().unwrap_or(587),
        user: section.text("user")?.map(str::to_string),
        from: address(&section.need("from")?)?,
        to: to.iter().map(|(_, value)| address(value)).collect::<Result<_, _>>()?,
        allow_private,
        at: server.place(),
    })
}
