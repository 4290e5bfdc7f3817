//! `GET /v1/convai/conversations/{id}`: money, credits and seconds of single calls. The analytics have the
//! same money by product, so this is a control over it. What was said is never read.

use super::figures::{self, Epoch};
use crate::adapters::fields;
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use serde_json::Value;

/// A conversation with its figures; those of the list have none.
pub(super) fn is_conversation(value: &Value) -> bool {
    let timed = |metadata: &Value| metadata.get("start_time_unix_secs").is_some();
    value.get("conversation_id").is_some() && value.get("metadata").is_some_and(timed)
}

/// Reads conversations. Each speaks for itself alone and for no day.
pub(super) fn read(conversations: &[Value], out: &mut dyn FnMut(Line<'_>)) {
    for (number, conversation) in (1..).zip(conversations) {
        if let Err((reason, amount)) = line(number, conversation, out) {
            let start = conversation.get("metadata").and_then(|metadata| metadata.get("start_time_unix_secs"));
            let day = figures::instant("start_time_unix_secs", start, Epoch::Seconds).ok().map(|at| at.date_naive());
            let currency = amount.map(|_| Currency::USD);
            out(Line::Quarantined(Quarantined { row: number, day, reason, amount, currency }));
        }
    }
}

fn line(number: u32, conversation: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), figures::MoneyFault> {
    let cell = |key: &str| conversation.get("metadata").and_then(|metadata| metadata.get(key));
    let cost = figures::money("cost_fiat", cell("cost_fiat"))?;
    let aside = |reason: String| (reason, cost.map(|cost| cost.amount));
    let id = figures::name("conversation_id", conversation.get("conversation_id")).map_err(aside)?;
    let id = id.ok_or_else(|| aside("conversation_id: expected an id, found nothing".to_string()))?;
    if let Some(status @ ("initiated" | "in-progress" | "processing")) = fields::text(conversation, "status") {
        return Err(aside(format!("status: expected done or failed, found {status}: not billed yet")));
    }
    let at = figures::instant("start_time_unix_secs", cell("start_time_unix_secs"), Epoch::Seconds).map_err(aside)?;
    let quantity = |key: &str| {
        let quantity = figures::quantity(key, cell(key)).map_err(aside)?;
        Ok::<_, figures::MoneyFault>(quantity.filter(|quantity| !quantity.is_zero()))
    };
    let (seconds, credits) = (quantity("call_duration_secs")?, quantity("cost")?);
    let agent = figures::name("agent_id", conversation.get("agent_id")).map_err(aside)?;
    let shared = Charge {
        label: agent,
        sku: Some("Conversational AI"),
        request_id: Some(id),
        ..Charge::new(number, at, at, Currency::USD)
    };
    // One amount for speech and language model together: no single meter bears it.
    let money = cost.map(|_| (meter::REQUESTS, Amount::ONE));
    let measured = [
        money,
        seconds.map(|seconds| (meter::AUDIO_SECONDS, seconds)),
        credits.map(|credits| (meter::PROVIDER_CREDITS, credits)),
    ];
    let mut is_first = true;
    for (meter, quantity) in measured.into_iter().flatten() {
        let cost = cost.filter(|_| is_first);
        out(Line::Charge(Charge {
            meter: Some(meter),
            quantity: Some(quantity),
            requests: is_first.then_some(1),
            cost: cost.map(|cost| cost.amount),
            residue: cost.map_or(0, |cost| cost.residue),
            ..shared.clone()
        }));
        is_first = false;
    }
    if is_first {
        out(Line::Nothing { row: number, day: at.date_naive() });
    }
    Ok(())
}
