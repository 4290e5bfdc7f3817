//! The keys of `[alerts]` and its sections.

use super::{Keys, key};

pub const JOB_ALERTS: Keys = Keys {
    title: "[alerts]",
    keys: &[
        key("drift_above", "\"100\"", "differences for one reason of one account from here on are an alert, in quotes", "\"50\""),
        key(
            "unowned_above",
            "\"100\"",
            "billed cost of one account that no team owns is an alert from here on, in quotes",
            "\"25\"",
        ),
        key("critical_above", "\"1000\"", "spend that is or will be so much is critical, in quotes", "\"500\""),
        key("frozen_runs", "3", "runs in a row in which an account brings nothing new are an alert; 0 is never", "7"),
        key("repeat_hours", "24", "hours, 1 to 720, after which what still fires is told again, on a working day", "48"),
        key("group_above", "3", "more alerts than so many of one rule become one message of a channel", "10"),
        key(
            "quiet",
            "none",
            "section `[alerts.quiet]`: hours in which only what is urgent is sent",
            "{ from = \"22:00\", to = \"07:00\" }",
        ),
        key("fallback", "none", "channel for what no other takes, and for what one refuses for good", "\"mail\""),
        key(
            "dead_man",
            "none",
            "secret reference of a URL that is called at the start and end of every run, so that silence is noticed",
            "\"cred:dead_man_url\"",
        ),
        key("allow_private", "false", "the `dead_man` URL may be in a private network, or on this machine without TLS", "true"),
        key("channel", "none", "sections `[[alerts.channel]]`: who is told, and how", "[{ name = \"ops\", kind = \"stdout\" }]"),
    ],
};
pub const JOB_QUIET: Keys = Keys {
    title: "[alerts.quiet]",
    keys: &[
        key("from", "required", "local time at which the quiet begins", "\"22:00\""),
        key("to", "required", "local time at which it ends", "\"07:00\""),
        key("free_days", "true", "Saturdays, Sundays and holidays are quiet as a whole", "false"),
        key("through", "\"error\"", "from this severity on it is sent all the same", "\"critical\""),
        key("escalate_hours", "4", "hours, 1 to 720, after which what still fires is sent all the same", "8"),
    ],
};
pub const JOB_CHANNEL: Keys = Keys {
    title: "[[alerts.channel]]",
    keys: &[
        key("name", "required", "what messages, routes and the queue call the channel: letters, digits, `-` and `_`", "\"ops\""),
        key("kind", "required", "`slack`, `pagerduty`, `webhook`, `email` or `stdout`", "\"slack\""),
        key(
            "url",
            "required by `slack` and `webhook`",
            "secret reference of the URL; for `webhook` and `pagerduty` it may also stand here as `https://…`",
            "\"cred:slack_hook\"",
        ),
        key(
            "secret",
            "required by `pagerduty`",
            "secret reference of PagerDuty's routing key, the key that signs a webhook, or the mail server's password",
            "\"cred:pagerduty_key\"",
        ),
        key("server", "required by `email`", "mail server", "\"smtp.acme.example\""),
        key("port", "587", "its port; 465 speaks TLS from the start, every other one changes to it", "465"),
        key("user", "none", "who logs in there, with `secret`", "\"tieout\""),
        key("from", "required by `email`", "address of the sender", "\"tieout@acme.example\""),
        key("to", "required by `email`", "addresses that get the mail", "[\"oncall@acme.example\"]"),
        key(
            "min_severity",
            "\"warning\"",
            "`info`, `warning`, `error` or `critical`: what is below is not sent here",
            "\"error\"",
        ),
        key("teams", "all", "only alerts of these teams", "[\"growth\"]"),
        key("rules", "all", "only alerts of these rules; docs/alerts.md lists them", "[\"spike\"]"),
        key("allow_private", "false", "the target may be in a private network, or on this machine without TLS", "true"),
    ],
};
