//! Duplicate payments that are disputed: what was charged back is not refunded once more, and pays for no fee twice.

use super::{OWED, dispute, event, ledger, metadata};
use crate::actor::Actor;
use crate::booking::{Booking, Status};
use crate::fixtures::now;
use crate::ledger::{Ledger, Record, RecordMethod, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// A confirmed booking and its ledger. Refunds are instructed as the booking decides, and made at once.
struct Simulation {
    booking: Booking,
    ledger: Ledger,
    events: i64,
}

impl Simulation {
    fn of(total: i64) -> Self {
        let booking = json!({
            "_id": ledger().booking_id, "reference": "PVT-0000000000", "status": "confirmed", "rev": 1,
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct", "stays": [],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[total]], "taxes": [], "total": total },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [],
        });
        Self { booking: serde_json::from_value(booking).unwrap(), ledger: ledger(), events: 0 }
    }

    fn owed(&self) -> i64 {
        let total = self.booking.price.as_ref().unwrap().total;
        if self.booking.status == Status::Cancelled { self.booking.cancellation_fee.unwrap() } else { total }
    }

    fn observe(&mut self, kind: &str, object: Value) {
        self.events += 1;
        self.ledger.apply(&event(self.events, kind, object));
    }

    fn pay(&mut self, payment: u8) {
        let paid = json!({ "id": format!("pi_{payment}"), "status": "succeeded", "amount": OWED,
            "amount_received": OWED, "currency": "cad", "created": 1_800_000_000 + i64::from(payment),
            "metadata": metadata() });
        self.observe("payment_intent.succeeded", paid);
        self.settle();
    }

    /// Disputes what is left of a payment, or so many percent of it; a dispute that is known goes on.
    fn dispute(&mut self, payment: u8, percent: i64, status: &str) {
        let (intent, id) = (format!("pi_{payment}"), format!("dp_{payment}"));
        let Some(paid) = self.ledger.intents.get(&intent) else { return };
        let known = self.ledger.disputes.get(&id);
        let amount = known.map_or(self.ledger.unreturned(paid) * percent / 100, |known| known.amount);
        if amount == 0 || known.is_some_and(|known| !known.freezes()) {
            return;
        }
        let movements = match status {
            "needs_response" | "lost" => vec![-amount],
            "won" => vec![-amount, amount],
            _ => Vec::new(),
        };
        let mut disputed = dispute(status, &movements);
        (disputed["id"], disputed["payment_intent"], disputed["amount"]) = (json!(id), json!(intent), json!(amount));
        self.observe("charge.dispute.updated", disputed);
        self.settle();
    }

    /// The last refund that Stripe made fails.
    fn fail(&mut self) {
        let made = self.ledger.refunds.iter().filter(|refund| refund.status.is_effective());
        let Some(last) = made.max_by_key(|refund| refund.observation.at) else { return };
        let failed = json!({ "id": last.id, "status": "failed", "payment_intent": last.intent, "amount": last.amount,
            "currency": "cad", "created": last.created, "metadata": { "refund_key": last.key } });
        self.observe("refund.failed", failed);
        self.settle();
    }

    /// Staff return in cash what Stripe failed to refund, and record it.
    fn record(&mut self) {
        let amount = self.booking.payment.refunds_due().failed;
        if amount == 0 {
            return;
        }
        self.ledger.record(Record {
            id: Uuid::from_u128(self.ledger.records.len() as u128),
            method: RecordMethod::Cash,
            amount: -amount,
            actor: Actor::SYSTEM,
            note: None,
            at: now(),
        });
        self.settle();
    }

    /// A dearer change is held until its deposit is paid, or dropped.
    fn hold_change(&mut self, held: bool) {
        if held && (self.booking.status != Status::Confirmed || self.booking.pending_change.is_some()) {
            return;
        }
        let total = 3 * self.owed();
        let pending = json!({ "stays": [], "rate_plan_id": "standard", "required": total,
            "price": { "currency": "CAD", "nights": [[total]], "taxes": [], "total": total },
            "to_return": self.booking.payment.to_refund, "expires_at": "2026-12-01T12:30:00.000Z" });
        self.booking.pending_change = held.then(|| serde_json::from_value(pending).unwrap());
        self.settle();
    }

    fn cancel(&mut self, fee: i64) {
        self.booking.pending_change = None;
        self.enter("cancel", Status::Cancelled, None);
        self.booking.cancellation_fee = Some(fee);
        self.settle();
    }

    fn enter(&mut self, action: &str, to: Status, payment: Option<[&Summary; 2]>) {
        self.booking.rev += 1;
        let of = |ledger: &Summary| json!({ "ledger": serde_json::to_value(ledger).unwrap() });
        let payment = payment.map(|[before, after]| json!({ "before": of(before), "after": of(after) }));
        let entry = json!({ "rev": self.booking.rev, "at": "2026-12-01T12:00:01.000Z", "action": action,
            "from": self.booking.status, "to": to, "command_id": "11111111-2222-5333-8444-555555555556",
            "actor": "guest", "event_id": "11111111-2222-5333-8444-555555555557",
            "changes": payment.map(|payment| json!({ "payment": payment })) });
        self.booking.history.push(serde_json::from_value(entry).unwrap());
        self.booking.status = to;
    }

    /// The booking learns the totals and decides the total to refund, and Stripe makes what is instructed.
    fn settle(&mut self) {
        loop {
            let (known, summary) = (self.booking.payment.ledger(), self.ledger.summary());
            self.enter("record_payment", self.booking.status, Some([&known, &summary]));
            self.booking.payment.ledger = Some(summary);
            self.booking.payment.to_refund = self.booking.total_to_refund();
            self.ledger.instruct_refunds(self.booking.payment.to_refund, now());
            let open: Vec<_> = self.ledger.open_instructions().cloned().collect();
            let possible: Vec<_> = open.into_iter().filter(|one| !self.ledger.is_frozen(&one.intent)).collect();
            if possible.is_empty() {
                return;
            }
            for one in possible {
                let made = json!({ "id": format!("re_{}", self.events), "status": "succeeded",
                    "payment_intent": one.intent, "amount": one.amount, "currency": "cad",
                    "created": 1_800_000_300, "metadata": { "refund_key": one.key } });
                self.observe("refund.created", made);
            }
        }
    }

    /// Whether a dispute holds money.
    fn is_frozen(&self) -> bool {
        self.ledger.disputes.iter().any(super::super::facts::DisputeFact::freezes)
    }
}

/// What happens; a payment is a duplicate of the first.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pay(u8),
    /// A payment is disputed, or its dispute goes on.
    Dispute {
        payment: u8,
        percent: i64,
        status: &'static str,
    },
    /// A refund fails.
    Fail,
    /// What failed is returned in cash.
    Record,
    /// A dearer change is held until it is paid, or is not held any more.
    HoldChange(bool),
    /// At this fee, in percent of the total.
    Cancel(i64),
}

impl Step {
    fn whole(payment: u8, status: &'static str) -> Self {
        Self::Dispute { payment, percent: 100, status }
    }
}

fn run(simulation: &mut Simulation, step: Step) {
    match step {
        Step::Pay(payment) => simulation.pay(payment),
        Step::Dispute { payment, percent, status } => simulation.dispute(payment, percent, status),
        Step::Fail => simulation.fail(),
        Step::Record => simulation.record(),
        Step::HoldChange(held) => simulation.hold_change(held),
        Step::Cancel(percent) if simulation.booking.status == Status::Confirmed => {
            simulation.cancel(simulation.owed() * percent / 100);
        }
        Step::Cancel(_) => {}
    }
}

#[test]
fn charged_back_duplicate_is_not_refunded_and_pays_no_fee_twice() {
    use Step::{Cancel, Fail, HoldChange, Pay, Record};
    let (withdrawn, won, lost) = ("needs_response", "won", "lost");
    // In order, a duplicate is refunded at once: so these are disputed before the second payment is made.
    for (name, steps, refunded, kept, outstanding) in [
        ("refunded", vec![Pay(1), Pay(2), Cancel(100)], OWED, OWED, 0),
        ("the duplicate is lost", vec![Pay(1), Step::whole(1, withdrawn), Pay(2), Step::whole(1, lost)], 0, OWED, 0),
        (
            "lost, then cancelled at the full fee",
            vec![Pay(1), Step::whole(1, withdrawn), Pay(2), Step::whole(1, lost), Cancel(100)],
            0,
            OWED,
            0,
        ),
        (
            "withdrawn while it is cancelled, and lost",
            vec![Pay(1), Step::whole(1, withdrawn), Pay(2), Cancel(100), Step::whole(1, lost)],
            0,
            OWED,
            0,
        ),
        (
            "withdrawn while it is cancelled, and won",
            vec![Pay(1), Step::whole(1, withdrawn), Pay(2), Cancel(100), Step::whole(1, won)],
            OWED,
            OWED,
            0,
        ),
        (
            "won, then cancelled",
            vec![Pay(1), Step::whole(1, withdrawn), Pay(2), Step::whole(1, won), Cancel(50)],
            OWED + OWED / 2,
            OWED / 2,
            0,
        ),
        (
            "lost, then cancelled at half of it",
            vec![Pay(1), Step::whole(1, lost), Pay(2), Cancel(50)],
            OWED / 2,
            OWED / 2,
            0,
        ),
        ("refunded, and then the other is lost", vec![Pay(1), Pay(2), Step::whole(1, lost)], OWED, 0, OWED),
        (
            "refunded after the end, and then the other is lost",
            vec![Pay(1), Cancel(100), Pay(2), Step::whole(1, lost)],
            OWED,
            0,
            OWED,
        ),
        (
            "lost while a change is held, after its refund had failed",
            vec![Pay(1), Pay(2), Fail, HoldChange(true), Step::whole(2, lost)],
            0,
            OWED,
            0,
        ),
        (
            "returned in cash after the end, and then the other is lost",
            vec![Pay(1), Cancel(100), Pay(2), Fail, Record, Step::whole(1, lost)],
            OWED,
            0,
            OWED,
        ),
        ("both are lost", vec![Pay(1), Step::whole(1, lost), Pay(2), Step::whole(2, lost), Cancel(100)], 0, 0, OWED),
    ] {
        let mut simulation = Simulation::of(OWED);
        steps.into_iter().for_each(|step| run(&mut simulation, step));
        let (summary, booking) = (simulation.ledger.summary(), &simulation.booking);
        assert_eq!((summary.refunded, summary.kept()), (refunded, kept), "{name}");
        assert_eq!((booking.outstanding(), booking.payment.refund_due()), (outstanding, 0), "{name}");
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status =
        prop::sample::select(vec!["warning_needs_response", "warning_closed", "needs_response", "won", "lost"]);
    let percent = prop::sample::select(vec![100, 100, 40]);
    let step = prop_oneof![
        3 => (1_u8..4).prop_map(Step::Pay),
        4 => (1_u8..4, percent, status).prop_map(|(payment, percent, status)|
            Step::Dispute { payment, percent, status }),
        2 => Just(Step::Fail),
        1 => Just(Step::Record),
        1 => any::<bool>().prop_map(Step::HoldChange),
        1 => (0_i64..=100).prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// The booking costs what is demanded, or twice that: then it is a deposit.
    #[test]
    fn duplicates_are_returned_once(steps in steps(), total in prop::sample::select(vec![OWED, 2 * OWED])) {
        let mut simulation = Simulation::of(total);
        let mut refunded = 0;
        for step in steps {
            run(&mut simulation, step);
            let (summary, owed) = (simulation.ledger.summary(), simulation.owed());
            let kept = summary.kept();
            if summary.refunded > refunded {
                prop_assert!(kept >= owed.min(OWED), "more is refunded than was paid twice or is not owed: {step:?}");
            }
            refunded = summary.refunded;
            if !simulation.is_frozen() {
                let due = simulation.booking.payment.refunds_due();
                prop_assert!(kept - due.total() <= OWED, "a duplicate is kept: {step:?}");
                prop_assert_eq!(due.total(), due.failed, "what can be refunded is");
                let outstanding = simulation.booking.outstanding();
                let missing = (owed - kept + due.total()).max(0);
                prop_assert!(outstanding <= missing, "more is demanded than is missing: {step:?}");
            }
        }
    }
}
