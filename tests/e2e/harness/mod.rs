//! A whole system for one test: a name space of its own on the engines, the real programs, and what must hold at the
//! end.

mod client;
mod crew;
mod mailbox;
mod outsider;
mod ports;
mod program;
mod stack;
mod stripe;
mod verdict;

pub(crate) use client::{Answer, Booked, booked};
pub(crate) use crew::Crew;
pub(crate) use mailbox::Mailbox;
pub(crate) use outsider::Outsider;
pub(crate) use program::{Program, pvt};
pub(crate) use stack::{Plan, Stack, WEBHOOK_SECRET};
pub(crate) use verdict::Verdict;

use std::time::Duration;

/// For what takes milliseconds on an idle machine; long enough for a busy one.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// For what an engine's restart delays.
pub(crate) const LATER: Duration = Duration::from_secs(90);
