//! The client against a scripted server: what is sent, what each answer means, and how often a call
//! is tried.

#![allow(clippy::unwrap_used, reason = "tests")]

mod forms;
mod meanings;
mod scripted;
mod states;
mod tries;
