//! The console on real stores and a real broker, as browsers and forged requests meet it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod accessibility;
mod actions;
mod board;
mod browser;
mod changed_properties;
mod dead_letter_forms;
mod dead_letter_pages;
mod dead_letter_races;
mod dead_letters;
mod firefox;
mod harness;
mod keyboard;
mod live;
mod pages;
mod queues;
mod room_types;
