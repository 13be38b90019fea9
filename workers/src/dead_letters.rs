//! Dead letters: collected from their queues into the store, and replayed from there.
//!
//! One process of all does so, the one whose scheduler leads. Two at a time, for a moment, do no harm: the store
//! recognizes a death that is stored again, and consumers recognize a message that is sent again.

mod collector;
mod gauge;
mod identity;
mod replayer;

pub use collector::collect_periodically;
pub(crate) use gauge::count_periodically;
pub use identity::{HEADER_DEAD_LETTER, HEADER_REPLAY, nameless_id};
pub use replayer::replay_periodically;
