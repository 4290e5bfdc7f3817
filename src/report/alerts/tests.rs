//! What a person reads, and that no name from data can say anything else.

use super::*;
use crate::domain::alert::{AlertSettings, Cause, Route, Severity, Subject};
use crate::domain::money::Currency;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn alert(team: &str) -> Alert {
    let contributor = Contributor {
        team: team.to_string(),
        api_key_id: "key_7".to_string(),
        model: "veo3".to_string(),
        client: String::new(),
        amount: Amount::parse("6.557377").unwrap(),
    };
    Alert {
        key: "0123456789abcdef0123456789abcdef01234567".to_string(),
        id: "0123456789abcdef0123456789abcdef01234567".to_string(),
        rule: AlertRule::Spike(SpikeRule::Spike),
        subject: Subject {
            provider: "fal".to_string(),
            team: team.to_string(),
            api_key_id: "key_7".to_string(),
            ..Subject::default()
        },
        severity: Severity::Error,
        state: AlertState::Firing,
        opened_at: at("2026-11-13T19:00:00Z"),
        last_seen_at: at("2026-11-13T20:00:00Z"),
        amount: Some(Amount::parse("399.999997").unwrap()),
        currency: Some(Currency::USD),
        spent: Some(Amount::parse("6.557377").unwrap()),
        expected: Some(Amount::parse("0.1").unwrap()),
        projected: Some((Amount::parse("399.999997").unwrap(), at("2026-11-16T08:00:00Z"))),
        month_end: Some((Amount::whole(2649), at("2026-12-01T00:00:00Z"))),
        count: 0,
        contributors: vec![contributor],
        provisional: true,
        withdrawn: false,
        action: "ask the team what runs there".to_string(),
        rows: "spikes.csv, spike_id 00ff".to_string(),
        inhibited_by: String::new(),
    }
}

fn notice(alert: Alert) -> Notice {
    Notice { alert, generation: 1, cause: Cause::New, seen_until: at("2026-11-13T20:00:00Z") }
}

const HEAD: Letterhead<'static> = Letterhead { job: "nightly", zone: chrono_tz::Europe::Berlin };

#[test]
fn a_message_says_what_who_how_much_since_when_by_when_and_what_to_do() {
    let text = text(&[&notice(alert("studio"))], HEAD);
    let expected = "fal (team studio, key key_7): 6.56 USD since Fri 13 Nov 20:00, 66 times the usual, 400.00 USD by Mon 16 Nov 09:00 if nothing is done
Who: team studio, key key_7, model veo3: 6.56 USD
How much: 6.56 USD so far; usual would be 0.10 USD
Since: Fri 13 Nov 2026 20:00 Europe/Berlin (2026-11-13 19:00 UTC)
By Mon 16 Nov 09:00: 400.00 USD if nothing is done
By the end of the month: 2649.00 USD at this rate (Tue 1 Dec 01:00)
What to do: ask the team what runs there
Note: provisional: these figures may still change; it is confirmed or withdrawn when they are settled
Rows: spikes.csv, spike_id 00ff
Severity: error, job nightly, key 0123456789abcdef0123456789abcdef01234567
";
    assert_eq!(text, expected);
    let over = Alert { state: AlertState::Resolved, ..alert("studio") };
    let over = one(&Notice { cause: Cause::Over, ..notice(over) }, HEAD);
    assert!(
        over.starts_with(
            "OVER: Spike at fal (team studio, key key_7) from Fri 13 Nov 20:00 to Fri 13 Nov 21:00: 6.56 USD in all\n"
        ),
        "{over}"
    );
    let gone = Alert { state: AlertState::Resolved, withdrawn: true, ..alert("studio") };
    let gone = one(&Notice { cause: Cause::Over, ..notice(gone) }, HEAD);
    assert!(
        gone.starts_with(
            "WITHDRAWN: Spike at fal (team studio, key key_7) since Fri 13 Nov 20:00: the figures no longer have it\n"
        ),
        "{gone}"
    );
}

#[test]
fn no_name_formats_addresses_or_breaks_a_line() {
    let hostile = notice(alert("<!channel>\n*x* &amp; \u{202e}\u{1b}[31m \"}"));
    for kind in [ChannelKind::Slack, ChannelKind::PagerDuty, ChannelKind::Webhook, ChannelKind::Email] {
        let body = body(kind, &[&hostile], HEAD);
        let value: Value = serde_json::from_str(&body).unwrap();
        let said = |value: &Value| value.as_str().unwrap().to_string();
        let line = match kind {
            ChannelKind::Slack => {
                let text = said(&value["text"]);
                assert!(!text.contains('<') && !text.contains('>') && text.contains("&lt;!channel&gt;"), "{text}");
                text.lines().next().unwrap().to_string()
            }
            ChannelKind::PagerDuty => said(&value["payload"]["summary"]),
            ChannelKind::Webhook => said(&value["notices"][0]["title"]),
            _ => said(&value["subject"]),
        };
        assert!(
            !line.chars().any(char::is_control) && !line.contains('\u{202e}') && line.contains("400.00 USD"),
            "{kind:?}: {line}"
        );
    }
}

#[test]
fn five_hundred_are_ten_and_a_count() {
    let notices: Vec<Notice> = (0..500)
        .map(|number| {
            notice(Alert { amount: Some(Amount::whole(1000 - number)), key: format!("key-{number}"), ..alert("studio") })
        })
        .collect();
    let refs: Vec<&Notice> = notices.iter().collect();
    let settings = AlertSettings::default();
    let route = Route {
        channel: "ops".to_string(),
        kind: ChannelKind::Slack,
        min_severity: Severity::Info,
        teams: vec![],
        rules: vec![],
    };
    let parcel = Parcel { route: &route, fallback: None, notices: refs.clone(), not_before: None };
    let message = message(&parcel, HEAD);
    assert_eq!((message.notices.len(), message.channel.as_str()), (500, "ops"));
    let text = serde_json::from_str::<Value>(&message.body).unwrap()["text"].as_str().unwrap().to_string();
    assert!(
        text.starts_with("500 alerts: spike. The worst: fal (team studio") && text.contains("and 490 more: 490 at fal\n"),
        "{text}"
    );
    assert_eq!(text.matches("\n- ").count(), 10);
    assert!(message.body.len() < 10_000 && settings.group_above < 500);
    let event: Value = serde_json::from_str(&body(ChannelKind::PagerDuty, &refs, HEAD)).unwrap();
    assert_eq!((&event["dedup_key"], &event["payload"]["custom_details"]["count"]), (&"key-0".into(), &500.into()));
    let hook: Value = serde_json::from_str(&body(ChannelKind::Webhook, &refs, HEAD)).unwrap();
    assert_eq!((hook["notices"].as_array().unwrap().len(), hook["keys"].as_array().unwrap().len()), (10, 500));
}

#[test]
fn the_published_file_tells_of_the_figures_and_not_of_the_messages() {
    let ended = Alert { id: String::new(), key: "gone".to_string(), ..alert("studio") };
    let moved = Alert { key: "an older key".to_string(), ..alert("studio") };
    let file: Value = serde_json::from_slice(&file(&[ended, moved])).unwrap();
    let list = file["alerts"].as_array().unwrap();
    assert_eq!((list.len(), &list[0]["key"], &list[0]["amount"]), (1, &alert("").id.as_str().into(), &"399.999997".into()));
    assert_eq!((&list[0]["projected_until"], &list[0]["account"]), (&"2026-11-16T08:00:00Z".into(), &Value::Null));
}
