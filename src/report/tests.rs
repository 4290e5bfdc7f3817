//! One small night through tables, laws and summary.

use super::{laws, tables, text};
use crate::domain::ledger::Funding;
use crate::domain::ledger_findings::Finding;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{Days, parse_day};
use crate::domain::spike::{Contributor, Spike, SpikeRule, SpikeState};
use crate::domain::usage::{ChargeCategory, CostBasis};
use crate::stages::results::*;
use chrono::NaiveDate;

fn day(text: &str) -> NaiveDate {
    parse_day(text).unwrap()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn share(charge_date: &str, provider: &str, team: &str, billed: &str) -> Attribution {
    Attribution {
        charge_date: day(charge_date),
        provider: provider.to_string(),
        account: "main".to_string(),
        sub_account: String::new(),
        api_key_id: "key-1".to_string(),
        team: team.to_string(),
        cost_centre: "CC-7".to_string(),
        feature: String::new(),
        client: String::new(),
        model: "m".to_string(),
        service_tier: String::new(),
        meter: "output_tokens".to_string(),
        category: ChargeCategory::Usage,
        funding: Some(Funding::Byok),
        basis: Basis::Request,
        cost_basis: CostBasis::Billed,
        requests: 2,
        consumed_quantity: Some(amount("10.5")),
        consumed_unit: "tokens".to_string(),
        list_cost: None,
        contracted_cost: Some(amount(billed)),
        billed_cost: amount(billed),
        currency: Currency::USD,
        reporting_cost: amount(billed),
        fx_rate: "1.10".parse().unwrap(),
        settled: true,
        local_date: None,
    }
}

fn item(charge_date: &str, provider: &str, reason: Reason, difference: &str) -> Drift {
    Drift {
        drift_id: format!("{provider}-{charge_date}-{}", reason.name()),
        charge_date: day(charge_date),
        provider: provider.to_string(),
        account: "main".to_string(),
        sub_account: String::new(),
        api_key_id: String::new(),
        team: String::new(),
        model: "m".to_string(),
        meter: "output_tokens".to_string(),
        grain: "day",
        reason,
        provider_quantity: Some(amount("11")),
        ledger_quantity: None,
        provider_cost: amount(difference),
        ledger_cost: Amount::ZERO,
        quantity_variance: amount("1"),
        price_variance: amount(difference).checked_sub(amount("1")).unwrap(),
        other_variance: Amount::ZERO,
        difference: amount(difference),
        currency: Currency::USD,
        first_seen: day(charge_date),
        age_days: 9,
        pair_id: String::new(),
        restated: false,
        items: 3,
        evidence: "=HYPERLINK(\"x\")".to_string(),
    }
}

fn slice(charge_date: &str, provider: &str, totals: Option<&str>, ledger: &str, parts: &[(Reason, &str)]) -> Reconciliation {
    let mut reasons = [Amount::ZERO; 24];
    for (reason, part) in parts {
        reasons[Reason::ALL.iter().position(|other| other == reason).unwrap()] = amount(part);
    }
    Reconciliation {
        charge_date: day(charge_date),
        provider: provider.to_string(),
        account: "main".to_string(),
        currency: Currency::USD,
        provider_total: totals.map(amount),
        ledger_total: amount(ledger),
        matched: amount("1"),
        reasons,
        status: if totals.is_some() { Tie::Unexplained } else { Tie::Missing },
    }
}

fn covered(charge_date: Option<&str>, provider: &str, status: SliceStatus, quarantined: u64) -> Coverage {
    Coverage {
        charge_date: charge_date.map(day),
        provider: provider.to_string(),
        account: "main".to_string(),
        endpoint: "costs".to_string(),
        cost_basis: "billed".to_string(),
        status,
        rows_read: 6 + quarantined,
        rows_used: 5,
        duplicates: 1,
        quarantined,
        amount: None,
        currency: None,
    }
}

fn spike() -> Spike {
    let at = |text: &str| text.parse().unwrap();
    Spike {
        spike_id: "00ff".to_string(),
        rule: SpikeRule::Spike,
        series: "provider fal".to_string(),
        provider: "fal".to_string(),
        team: "growth".to_string(),
        api_key_id: "key_1".to_string(),
        model: String::new(),
        opened_at: at("2026-10-30T19:00:00Z"),
        detected_at: at("2026-10-30T20:00:00Z"),
        last_seen_at: at("2026-10-31T03:00:00Z"),
        state: SpikeState::Open,
        expected: amount("1.5"),
        actual: amount("52.5"),
        excess: amount("51"),
        ratio: Some(amount("35")),
        score: Some(amount("61.25")),
        projected: Some(amount("400.1")),
        projected_until: Some(at("2026-11-02T08:00:00Z")),
        contributors: vec![Contributor {
            team: "growth".to_string(),
            api_key_id: "key_1".to_string(),
            model: "=m".to_string(),
            client: String::new(),
            amount: amount("52.5"),
        }],
        baseline: "same hour on days of the same kind; ledger by hour".to_string(),
        provisional: true,
        currency: Currency::USD,
    }
}

fn night() -> Outcome {
    Outcome {
        restatements: Vec::new(),
        schemas: Vec::new(),
        names: Vec::new(),
        attribution: vec![
            share("2026-10-31", "fal", "growth", "2.005"),
            share("2026-11-01", "fal", "growth", "10.004"),
            share("2026-11-01", "fal", "search", "20.004"),
            share("2026-11-01", "fal", UNATTRIBUTED, "1.004"),
            share("2026-11-01", "openai", "search", "-3"),
        ],
        drift: vec![
            item("2026-11-01", "fal", Reason::Quantity, "1.5"),
            item("2026-11-01", "fal", Reason::Unexplained, "3.1012"),
            item("2026-11-01", "openai", Reason::Timing, "-3"),
        ],
        reconciliation: vec![
            slice("2026-10-31", "fal", Some("2.005"), "2.005", &[]),
            slice("2026-11-01", "fal", Some("31.012"), "26.4108", &[(Reason::Quantity, "1.5"), (Reason::Unexplained, "3.1012")]),
            slice("2026-11-01", "openai", Some("-3"), "0", &[(Reason::Timing, "-3")]),
            slice("2026-11-02", "openai", None, "4", &[]),
        ],
        coverage: vec![
            covered(Some("2026-10-31"), "fal", SliceStatus::Complete, 0),
            covered(Some("2026-11-01"), "fal", SliceStatus::Provisional, 1),
            covered(Some("2026-11-02"), "openai", SliceStatus::Missing, 0),
            covered(None, "fal", SliceStatus::Suspect, 1),
        ],
        quarantine: vec![aside(Some("2026-11-01")), aside(None)],
        ledger_findings: vec![LedgerFinding {
            charge_date: day("2026-11-01"),
            ledger: "gateway".to_string(),
            finding: Finding::Unpriced,
            rows: 3,
            amount: amount("0.5"),
            currency: Currency::USD,
            examples: "r1 r2".to_string(),
        }],
        controls: vec![Control {
            source: "residue".to_string(),
            account: String::new(),
            charge_date: None,
            amount: amount("0.000000000000000003"),
            currency: Currency::USD,
        }],
        savings: crate::stages::savings::rows::Savings::default(),
        spikes: vec![spike()],
        frozen: Vec::new(),
    }
}

fn aside(charge_date: Option<&str>) -> Quarantine {
    Quarantine {
        charge_date: charge_date.map(day),
        provider: "fal".to_string(),
        account: "main".to_string(),
        endpoint: "costs".to_string(),
        file: "usage.json".to_string(),
        row: 7,
        reason: "cost: expected a number, found \"NaN\"".to_string(),
        amount: None,
        currency: None,
    }
}

fn files(outcome: &Outcome) -> Vec<(String, Vec<u8>)> {
    let (tables, _) = tables::tables(outcome, Currency::EUR).unwrap();
    for table in &tables {
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", table.file);
    }
    super::files(outcome, Currency::EUR, true).unwrap()
}

fn file(outcome: &Outcome, name: &str) -> String {
    let (_, bytes) = files(outcome).into_iter().find(|(file, _)| file == name).unwrap();
    String::from_utf8(bytes).unwrap().trim_start_matches('\u{feff}').to_string()
}

#[test]
fn columns_are_those_of_the_contract() {
    let night = night();
    for (name, columns) in [
        (
            "attribution.csv",
            "charge_date,provider,account,sub_account,api_key_id,team,cost_centre,feature,client,model,service_tier,\
             meter,charge_category,funding,basis,cost_basis,requests,consumed_quantity,consumed_unit,list_cost,\
             contracted_cost,billed_cost,currency,reporting_cost,reporting_currency,fx_rate,settled,local_date",
        ),
        (
            "team_month.csv",
            "period_start,team,cost_centre,provider,funding,requests,billed_cost,billed_cost_rounded,currency,\
             share_ratio,prior_month,change",
        ),
        (
            "reconciliation.csv",
            "charge_date,provider,account,currency,provider_total,ledger_total,difference,matched,missing_in_ledger,\
             missing_at_provider,unknown_key,billed_failure,duplicate_in_ledger,duplicate_at_provider,\
             retry_double_charge,cut_off,timing,quantity,cache_class,reasoning_tokens,price,stale_price,discount,tier,\
             model,funding,unpriced,fx,unit_suspect,non_usage,rounding,unexplained,explained_ratio,status",
        ),
        (
            "drift.csv",
            "drift_id,charge_date,provider,account,sub_account,api_key_id,team,model,meter,grain,reason,assertion,\
             provider_quantity,ledger_quantity,provider_cost,ledger_cost,quantity_variance,price_variance,\
             other_variance,difference,currency,first_seen,age_days,bucket,status,pair_id,restated,items,evidence,\
             action",
        ),
        (
            "coverage.csv",
            "charge_date,provider,account,endpoint,cost_basis,status,rows_read,rows_used,duplicates,quarantined,\
             amount,currency",
        ),
        (
            "spikes.csv",
            "spike_id,rule,series,provider,team,api_key_id,model,opened_at,detected_at,last_seen_at,state,expected,actual,\
             excess,ratio,score,projected,projected_until,contributors,baseline,provisional,currency",
        ),
        ("quarantine.csv", "charge_date,provider,account,endpoint,file,row,reason,amount,currency"),
        ("ledger_findings.csv", "charge_date,ledger,finding,rows,amount,currency,examples,meaning"),
        ("control_totals.csv", "file,rows,column,control_total,currency,hash_total,source_total,difference"),
    ] {
        assert_eq!(file(&night, name).lines().next(), Some(columns), "{name}");
    }
    assert!(files(&night).iter().all(|(name, bytes)| bytes.starts_with(b"\xEF\xBB\xBF") != (name == "control_totals.csv")));
}

#[test]
fn reconciliation_rows_carry_ratio_and_missing_slices_are_empty() {
    let written = file(&night(), "reconciliation.csv");
    let rows: Vec<&str> = written.lines().skip(1).collect();
    assert!(rows[0].starts_with("2026-10-31,\"fal\",\"main\",\"USD\",2.005,2.005,0,1,0,"), "{}", rows[0]);
    assert!(rows[0].ends_with(",0,1,\"unexplained\""), "{}", rows[0]);
    assert!(rows[1].ends_with(",3.1012,0.9,\"unexplained\""), "{}", rows[1]);
    assert_eq!(rows[3], format!("2026-11-02,\"openai\",\"main\",\"USD\",,4,{},\"missing\"", ",".repeat(26)));
}

#[test]
fn team_months_round_to_the_whole_and_know_the_month_before() {
    let written = file(&night(), "team_month.csv");
    let rows: Vec<&str> = written.lines().skip(1).collect();
    assert_eq!(rows[0], "2026-10-01,\"growth\",\"CC-7\",\"fal\",\"byok\",2,2.005,2.01,\"USD\",1,,");
    assert!(rows[1].starts_with("2026-11-01,\"growth\",\"CC-7\",\"fal\",\"byok\",2,10.004,10.01,\"USD\",0.357"), "{}", rows[1]);
    assert!(rows[1].ends_with(",2.005,7.999"), "{}", rows[1]);
    assert!(rows[2].contains(",20.004,20.00,"), "{}", rows[2]);
    assert!(rows[3].contains(",-3,-3.00,\"USD\",-0.107"), "{}", rows[3]);
    assert_eq!(rows.len(), 5);
}

#[test]
fn spikes_say_who_how_much_and_by_when() {
    let written = file(&night(), "spikes.csv");
    let row = written.lines().nth(1).unwrap();
    assert!(row.contains(",400.1,\"2026-11-02T08:00:00Z\",\"team growth, key key_1, model =m: 52.50\","), "{row}");
    let page = text::summary(&night(), "nightly", Days { from: day("2026-10-31"), to: day("2026-11-03") }).unwrap();
    assert!(page.contains("10-30 19:00  spike  52.50   1.50     400.10  USD  open   fal, growth, key_1\n"), "{page}");
    assert!(page.contains("spike at provider fal, 400.10 USD by 2026-11-02 08:00 UTC"), "{page}");
}

#[test]
fn drift_rows_have_bucket_status_and_safe_evidence() {
    let written = file(&night(), "drift.csv");
    assert!(written.contains(",9,\"8-30\",\"open\",,false,3,\"'=HYPERLINK(\"\"x\"\")\","), "{written}");
    assert!(written.contains(",\"8-30\",\"explained\","), "{written}");
    let buckets = [(-3, "0-1"), (1, "0-1"), (2, "2-7"), (30, "8-30"), (31, "31-60"), (90, "61-90"), (91, "over_90")];
    for (age, bucket) in buckets {
        assert_eq!(tables::bucket(age), bucket);
    }
}

#[test]
fn control_totals_tie_every_column() {
    let written = file(&night(), "control_totals.csv");
    for line in [
        "\"attribution.csv\",5,\"billed_cost\",30.017,\"USD\",,30.017,0",
        "\"attribution.csv\",5,\"reporting_cost\",30.017,\"EUR\",,30.017,0",
        "\"attribution.csv\",5,\"consumed_quantity\",,,52.5,52.5,0",
        "\"reconciliation.csv\",3,\"provider_total\",30.017,\"USD\",,30.017,0",
        "\"reconciliation.csv\",3,\"unexplained\",3.1012,\"USD\",,3.1012,0",
        "\"team_month.csv\",5,\"billed_cost_rounded\",30.02,\"USD\",,30.02,0",
        "\"coverage.csv\",4,\"rows_read\",26,,,26,0",
        "\"ledger_findings.csv\",1,\"rows\",3,,,3,0",
        "\"ledger_findings.csv\",1,\"amount\",0.5,\"USD\",,0.5,0",
        "\"residue\",1,\"amount\",0.000000000000000003,\"USD\",,,",
    ] {
        assert!(written.lines().any(|written| written == line), "{line} in\n{written}");
    }
    assert!(written.lines().skip(1).all(|line| line.ends_with(",0") || line.ends_with(",,,")), "{written}");
}

#[test]
fn the_laws_hold_and_every_breach_is_named() {
    let sound = files(&night());
    assert_eq!(laws::check(&sound), Ok(()));
    assert_eq!(laws::check(&files(&Outcome::default())), Ok(()));
    for (file, from, to, named) in [
        ("attribution.csv", ",10.004,\"USD\"", ",10.005,\"USD\"", "attribution.csv: 2026-11-01 fal main USD: "),
        ("reconciliation.csv", ",31.012,26.4108,", ",31.012,26.4109,", "reconciliation.csv: 2026-11-01 fal main USD: "),
        ("reconciliation.csv", ",-3,0,-3,1,", ",-4,0,-4,1,", "sum of the reasons against difference: -3 is not -4"),
        ("drift.csv", ",0.5,0,1.5,", ",0.5,0,1.6,", "sum of the variances against difference: 1.5 is not 1.6"),
        ("drift.csv", ",0.5,0,1.5,", ",0.6,0,1.6,", "drift.csv: 2026-11-01 fal main USD quantity: "),
        ("drift.csv", "\"quantity\"", "\"price\"", "drift.csv: 2026-11-01 fal main USD quantity: "),
        ("coverage.csv", ",7,5,1,1", ",8,5,1,1", "coverage.csv:  fal main costs: rows_read"),
        ("coverage.csv", ",7,5,1,1", ",8,5,1,2", "quarantine.csv:  fal main costs: "),
        ("quarantine.csv", "2026-11-01", "2026-11-03", "quarantine.csv: 2026-11-01 fal main costs: "),
        ("spikes.csv", ",1.5,52.5,51,", ",1.5,52.5,52,", "spikes.csv: 00ff: excess against actual - expected: 52 is not 51"),
        ("team_month.csv", ",10.01,", ",10.00,", "rounded total: 31 is not 31.01"),
        ("team_month.csv", ",20.004,20.00,", ",20.005,20.00,", "31.013 is not 31.012"),
        ("control_totals.csv", "30.02,\"USD\",,30.02,0", "30.02,\"USD\",,30.02,1", "control_totals.csv: "),
        ("coverage.csv", ",7,5,1,1", ",x,5,1,1", "\"x\" is not a number"),
        ("drift.csv", "reason,", "cause,", "no column reason"),
    ] {
        let mut broken = sound.clone();
        let (_, bytes) = broken.iter_mut().find(|(name, _)| name == file).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{from} in\n{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
        let fault = laws::check(&broken).unwrap_err();
        assert!(fault.contains(named), "{fault:?} should name {named:?}");
    }
    assert_eq!(laws::check(&sound[1..]), Err("attribution.csv: not among the files".to_string()));
}

#[test]
fn row_order_changes_no_byte() {
    let mut turned = night();
    turned.attribution.reverse();
    turned.drift.reverse();
    turned.reconciliation.reverse();
    turned.coverage.reverse();
    turned.quarantine.reverse();
    assert_eq!(files(&turned), files(&night()));
    let window = Days { from: day("2026-10-31"), to: day("2026-11-03") };
    assert_eq!(text::summary(&turned, "demo", window), text::summary(&night(), "demo", window));
}

#[test]
fn the_summary_fits_a_page_and_says_coverage_first() {
    let window = Days { from: day("2026-10-31"), to: day("2026-11-03") };
    let mut night = night();
    night.attribution[1].team = "a very long team name that no column has room for\u{202e}".to_string();
    let page = text::summary(&night, "demo", window).unwrap();
    assert!(page.lines().all(|line| line.chars().count() <= 100 && !line.ends_with(' ')), "{page}");
    assert!(page.starts_with("tieout: demo, charges of 2026-10-31 to 2026-11-02 (UTC days)\n"), "{page}");
    assert!(!page.contains('\u{202e}'));
    let mut at = 0;
    for said in [
        "INCOMPLETE: 1 missing, 0 stale, 1 suspect.",
        "MONEY EXPLAINED",
        "fal        33.02       28.42        4.60         3.10    90.60 %  USD",
        "TOP DRIFT",
        "unexplained      3        3.10   3.10  USD  look at the rows behind it",
        "SPEND BY TEAM",
        "all teams",
        "WHAT TO DO NEXT",
        "Give 1.00 USD an owner",
    ] {
        let found = page[at..].find(said).unwrap_or_else(|| panic!("{said:?} after byte {at} of\n{page}"));
        at += found;
    }
    let calm = text::summary(&Outcome::default(), "demo", window).unwrap();
    assert!(calm.contains("INCOMPLETE: nothing was read."), "{calm}");
}
