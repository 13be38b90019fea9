//! A complete system for one test: a namespace on the engines, the real programs, and the checks at the end.

mod balancer;
mod client;
pub(crate) mod clock;
mod console;
mod expectations;
mod front_desk;
mod in_process_workers;
mod mailbox;
mod operator;
pub(crate) mod ports;
mod program;
mod rival_writer;
mod stack;
mod stripe;
mod virtual_host;

pub(crate) use balancer::Balancer;
pub(crate) use client::{AcceptedBooking, ApiResponse, Client, booked};
pub(crate) use console::{PASSWORD, Page, Session, StandaloneConsole, TestConsole};
pub(crate) use expectations::Expectations;
pub(crate) use front_desk::FrontDesk;
pub(crate) use in_process_workers::InProcessWorkers;
pub(crate) use mailbox::Mailbox;
pub(crate) use operator::Operator;
pub(crate) use program::{Program, pvt};
pub(crate) use rival_writer::RivalWriter;
pub(crate) use stack::{Stack, StackBuilder, WEBHOOK_SECRET};
pub(crate) use virtual_host::VirtualHost;

use std::time::Duration;

/// Every worker but the scheduler.
pub(crate) const CONSUMERS: &[&str] = &["confirmations", "payments", "emails", "analytics", "reconciliation"];

/// For conditions that take milliseconds on an idle machine, and far longer beside other journeys.
pub(crate) const SHORT_TIMEOUT: Duration = Duration::from_secs(60);
/// For conditions that an engine's restart delays.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_secs(180);
