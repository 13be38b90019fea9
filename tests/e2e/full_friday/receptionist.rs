//! The receptionist: works over HTTP, and notes by hand the effect of every step.

use super::notes::{Notes, Progress};
use crate::harness::{AcceptedBooking, ApiResponse, FrontDesk, Stack, booked};
use crate::payments::checkout;
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_domain::demo;
use pvt_stripe_simulator::PayOutcome;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a booking comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    /// A guest at the door, without an address.
    Door,
    /// Staff, by telephone.
    Phone,
    /// The guest, online, with this address.
    Online(&'static str),
    /// The guest, online, paid in advance.
    Prepaid,
}

/// Some stays, each with beds of which the guests are meant; without beds all of them.
pub(super) type Parts = &'static [(usize, &'static [&'static str])];

/// What is done. Days count from Friday.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Room type, arrival, departure and guests of each stay.
    Book(By, &'static [(&'static str, u64, u64, u32)]),
    /// Stay, first night for guests in house, beds.
    Assign(usize, Option<u64>, &'static [&'static str]),
    Lock,
    /// Without parts: all who are expected.
    CheckIn(Parts),
    /// Without parts: all who are in house.
    CheckOut(Parts),
    NoShow,
    Cancel,
    /// Stay and new departure; the booking that gives way, if one has to.
    Extend(usize, u64, Option<&'static str>),
    Address(&'static str),
    /// What is due, in cash, or by the card terminal.
    Cash,
    Terminal,
    /// The payment page, with a card.
    Card,
    /// What is to be returned in cash.
    CashBack,
    Clean(&'static str),
    /// The business day ends.
    CloseDay,
}

/// The receptionist with keys, notes and the cash drawer.
pub(super) struct Receptionist {
    pub(super) stack: Stack,
    pub(super) front: FrontDesk,
    pub(super) admin: FrontDesk,
    pub(super) notes: Notes,
    friday: NaiveDate,
    tonight: NaiveDate,
    bookings: BTreeMap<&'static str, AcceptedBooking>,
    /// Cash in the drawer, and receipts of the terminal.
    pub(super) drawer: i64,
    pub(super) terminal: i64,
}

fn amount(booking: &Value, member: &str) -> i64 {
    booking["payment"][member]["amount"].as_i64().unwrap_or_default()
}

impl Receptionist {
    pub(super) async fn open(stack: Stack, friday: NaiveDate) -> Result<Self> {
        let (front, admin) = (FrontDesk::of(&stack).await?, FrontDesk::with_role(&stack, "admin").await?);
        let (notes, bookings) = (Notes::default(), BTreeMap::new());
        Ok(Self { stack, front, admin, notes, friday, tonight: friday, bookings, drawer: 0, terminal: 0 })
    }

    fn on(&self, day: u64) -> NaiveDate {
        self.friday + Days::new(day)
    }

    fn booking(&self, who: &str) -> Result<&AcceptedBooking> {
        self.bookings.get(who).with_context(|| format!("{who} has no booking"))
    }

    async fn read(&self, path: &str) -> Result<Value> {
        let answer = self.front.send(Method::GET, path, None, &json!({})).await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(answer.body)
    }

    async fn show(&self, who: &str) -> Result<Value> {
        self.read(&format!("/api/bookings/{}", self.booking(who)?.id)).await
    }

    /// Does it, and returns the answer of the last request.
    pub(super) async fn act(&mut self, who: &'static str, act: Act) -> Result<ApiResponse> {
        match act {
            Act::Book(by, stays) => self.book(who, by, stays).await,
            Act::Assign(stay, from, beds) => {
                let mut assignment = json!({ "stay": stay, "beds": beds });
                if let Some(from) = from {
                    assignment["from"] = json!(self.on(from));
                }
                let answer = self.front.assign(self.booking(who)?, assignment).await?;
                if answer.status.is_success() {
                    self.notes.assign(who, stay, from.map_or(self.tonight, |from| self.on(from)), beds);
                }
                Ok(answer)
            }
            Act::Lock => self.front.assign(self.booking(who)?, json!({ "stay": 0, "locked": true })).await,
            Act::CheckIn(parts) => self.move_on(who, "checkin", parts, Progress::Expected).await,
            Act::CheckOut(parts) => self.move_on(who, "checkout", parts, Progress::InHouse).await,
            Act::NoShow => {
                let answer = self.front.command(self.booking(who)?, "no-show", &json!({})).await?;
                if answer.status.is_success() {
                    self.notes.miss(who);
                }
                Ok(answer)
            }
            Act::Cancel => {
                let answer = self.front.command(self.booking(who)?, "cancel", &json!({})).await?;
                if answer.status.is_success() {
                    self.notes.forget(who);
                }
                Ok(answer)
            }
            Act::Extend(stay, until, gives_way) => self.extend(who, stay, until, gives_way).await,
            Act::Address(email) => {
                let rev = self.show(who).await?["rev"].as_u64();
                let path = format!("/api/bookings/{}", self.booking(who)?.id);
                self.front.send(Method::PATCH, &path, rev, &json!({ "guest": { "email": email } })).await
            }
            Act::Cash | Act::Terminal | Act::CashBack => self.take(who, act).await,
            Act::Card => {
                let booking = self.booking(who)?.clone();
                let (session, _) = checkout(&self.stack, &booking, who).await?;
                self.stack.stripe()?.pay(&session, PayOutcome::Success)?;
                crate::payments::until(&self.stack, &booking, pvt_domain::booking::Status::Confirmed).await?;
                self.stack.client.get(&format!("/api/bookings/{}?token={}", booking.id, booking.token)).await
            }
            Act::Clean(bed) => {
                let path = format!("/api/beds/{bed}?property_id={}", demo::PROPERTY_ID);
                self.front.send(Method::PATCH, &path, None, &json!({ "cleanliness": "clean" })).await
            }
            Act::CloseDay => {
                let path = format!("/api/properties/{}", demo::PROPERTY_ID);
                let now = self.admin.send(Method::GET, &path, None, &json!({})).await?;
                let rev = now.header("etag").trim_matches('"').parse().ok();
                self.tonight = self.on(1);
                self.admin.send(Method::PATCH, &path, rev, &json!({ "business_day_cutoff": "00:00" })).await
            }
        }
    }

    async fn book(&mut self, who: &'static str, by: By, stays: &[(&str, u64, u64, u32)]) -> Result<ApiResponse> {
        let stay = |&(kind, arrival, departure, guests): &(&str, u64, u64, u32)| {
            json!({ "room_type_id": kind, "arrival": self.on(arrival), "departure": self.on(departure),
                "guests": guests })
        };
        let plan = if matches!(by, By::Prepaid) { "prepaid" } else { "standard" };
        let guest = match by {
            By::Door => json!({ "last_name": who, "phone": "+1 514 555 0142" }),
            By::Online(email) => json!({ "last_name": who, "email": email }),
            By::Phone | By::Prepaid => {
                json!({ "last_name": who, "email": format!("{}@example.com", who.to_lowercase()) })
            }
        };
        let body = json!({ "property_id": demo::PROPERTY_ID, "rate_plan_id": plan, "source": "direct",
            "stays": stays.iter().map(stay).collect::<Vec<_>>(), "guest": guest });
        let answer = match by {
            By::Door | By::Phone => self.front.request_booking(who, &body).await?,
            By::Online(_) | By::Prepaid => self.stack.client.request_booking_and_wait(who, &body).await?,
        };
        if answer.status == StatusCode::CREATED {
            let made = booked(&answer)?;
            self.stack.record_accepted(made.id);
            self.bookings.insert(who, made);
            self.note_beds(who).await?;
        }
        Ok(answer)
    }

    /// Notes the beds that a booking of guests who have not arrived was given.
    async fn note_beds(&mut self, who: &'static str) -> Result<()> {
        let shown = self.show(who).await?;
        let mut stays = Vec::new();
        for stay in shown["stays"].as_array().context("stays")? {
            let date = |name: &str| -> Result<NaiveDate> { Ok(stay[name].as_str().unwrap_or_default().parse()?) };
            let (arrival, departure) = (date("arrival")?, date("departure")?);
            let nights = || arrival.iter_days().take_while(|night| *night < departure);
            let beds = stay["assigned_beds"].as_array().context("beds")?;
            let of = |bed: &Value| nights().map(|night| (night, bed.as_str().unwrap_or_default().to_owned())).collect();
            stays.push(beds.iter().map(of).collect());
        }
        self.notes.note(who, &stays);
        Ok(())
    }

    /// Checks guests in or out.
    async fn move_on(&mut self, who: &'static str, command: &str, parts: Parts, from: Progress) -> Result<ApiResponse> {
        let to = if from == Progress::Expected { Progress::InHouse } else { Progress::Left };
        let named: Vec<Value> = parts
            .iter()
            .map(
                |(stay, beds)| {
                    if beds.is_empty() { json!({ "stay": stay }) } else { json!({ "stay": stay, "beds": beds }) }
                },
            )
            .collect();
        let mut body = if named.is_empty() { json!({}) } else { json!({ "stays": named }) };
        if to == Progress::Left {
            body["reprice"] = json!(true);
        }
        let answer = self.front.command(self.booking(who)?, command, &body).await?;
        if answer.status.is_success() {
            let all: Vec<usize> = if parts.is_empty() { self.notes.all(who, from) } else { Vec::new() };
            for part in parts.iter().copied().chain(all.into_iter().map(|stay| (stay, &[][..]))) {
                self.notes.advance(who, part, self.tonight, to);
            }
        }
        Ok(answer)
    }

    async fn extend(
        &mut self,
        who: &'static str,
        stay: usize,
        until: u64,
        gives_way: Option<&'static str>,
    ) -> Result<ApiResponse> {
        let (shown, departure) = (self.show(who).await?, self.on(until));
        let mut stays = vec![json!({}); shown["stays"].as_array().map_or(0, Vec::len)];
        stays[stay] = json!({ "departure": departure });
        let path = format!("/api/bookings/{}", self.booking(who)?.id);
        let answer = self.front.send(Method::PATCH, &path, shown["rev"].as_u64(), &json!({ "stays": stays })).await?;
        if answer.status.is_success() {
            ensure!(answer.body.get("bed_moves").is_none(), "{who} moves: {answer:?}");
            self.notes.extend(who, stay, departure);
            if let Some(other) = gives_way {
                self.note_beds(other).await?;
            }
        }
        Ok(answer)
    }

    /// Takes what is due, or returns what is to be refunded.
    async fn take(&mut self, who: &str, act: Act) -> Result<ApiResponse> {
        let shown = self.show(who).await?;
        let (method, sum) = match act {
            Act::Terminal => ("terminal", amount(&shown, "due")),
            Act::Cash => ("cash", amount(&shown, "due")),
            _ => ("cash", -amount(&shown, "refund_manual")),
        };
        let body = json!({ "booking_id": self.booking(who)?.id, "method": method,
            "amount": { "amount": sum, "currency": "CAD" } });
        let key = format!("{act:?} {who} {}", shown["rev"]);
        let answer = self.front.record_payment(&key, &body).await?;
        if answer.status.is_success() {
            *(if method == "cash" { &mut self.drawer } else { &mut self.terminal }) += sum;
        }
        Ok(answer)
    }

    /// The property's calendar, and every booking, are as the notes say; no bed has two guests, no guest has none.
    pub(super) async fn compare(&self) -> Result<()> {
        let path = format!("/api/properties/{}/calendar?from={}&until={}", demo::PROPERTY_ID, self.friday, self.on(14));
        let calendar = self.read(&path).await?;
        let names: BTreeMap<String, &str> =
            self.bookings.iter().map(|(who, booking)| (booking.id.to_string(), *who)).collect();
        let mut shown: BTreeMap<(String, NaiveDate), Vec<&str>> = BTreeMap::new();
        let rooms = calendar["rooms"].as_array().context("rooms")?;
        for bed in rooms.iter().flat_map(|room| room["beds"].as_array().into_iter().flatten()) {
            for entry in bed["entries"].as_array().context("entries")? {
                let date = |name: &str| -> Result<NaiveDate> { Ok(entry[name].as_str().unwrap_or_default().parse()?) };
                let (from, until) = (date("from")?, date("until")?);
                let who = names.get(entry["booking_id"].as_str().unwrap_or_default()).context("a known booking")?;
                for night in from.iter_days().take_while(|night| *night < until) {
                    shown.entry((bed["id"].as_str().unwrap_or_default().to_owned(), night)).or_default().push(who);
                }
            }
        }
        let noted = self.notes.taken(self.friday);
        let twice: Vec<_> = shown.iter().filter(|(_, guests)| guests.len() > 1).collect();
        ensure!(twice.is_empty(), "beds with two guests: {twice:?}");
        let extra: Vec<_> = shown.iter().filter(|(at, guests)| noted.get(*at) != Some(*guests)).collect();
        let missing: Vec<_> = noted.iter().filter(|(at, guests)| shown.get(*at) != Some(*guests)).collect();
        ensure!(extra.is_empty() && missing.is_empty(), "shown: {extra:?}\nnoted: {missing:?}");
        let without = self.notes.without_bed(self.tonight);
        ensure!(without.is_empty(), "in house without a bed: {without:?}");
        for who in self.bookings.keys() {
            self.compare_stays(who).await?;
        }
        Ok(())
    }

    async fn compare_stays(&self, who: &str) -> Result<()> {
        let shown = self.show(who).await?;
        let whole = match shown["status"].as_str().unwrap_or_default() {
            "held" | "confirmed" => "expected",
            status => status,
        };
        let noted = self.notes.stays(who);
        if noted.is_empty() {
            ensure!(["cancelled", "no_show"].contains(&whole), "{who}: {shown}");
            return Ok(());
        }
        let stay = |stay: &Value| {
            let beds = stay["assigned_beds"].as_array().map_or(0, Vec::len);
            (stay["progress"].as_str().unwrap_or(whole).to_owned(), beds)
        };
        let stays: Vec<(String, usize)> = shown["stays"].as_array().into_iter().flatten().map(stay).collect();
        let noted: Vec<(String, usize)> =
            noted.into_iter().map(|(progress, beds)| (progress.name().to_owned(), beds)).collect();
        ensure!(stays == noted, "{who} is shown as {stays:?}, noted as {noted:?}");
        Ok(())
    }

    /// What was taken, less what was returned, by channel: the sum of all entries of the ledgers.
    pub(super) async fn ledger(&self) -> Result<BTreeMap<String, i64>> {
        let mut sums = BTreeMap::new();
        for booking in self.bookings.values() {
            let listed = self.read(&format!("/api/payments?booking_id={}&limit=100", booking.id)).await?;
            for payment in listed["items"].as_array().context("items")? {
                let entries = payment["entries"].as_array().context("entries")?;
                let sum: i64 = entries.iter().filter_map(|entry| entry["amount"]["amount"].as_i64()).sum();
                *sums.entry(payment["channel"].as_str().unwrap_or_default().to_owned()).or_default() += sum;
            }
        }
        Ok(sums)
    }
}
