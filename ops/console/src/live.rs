//! Live figures: readings of broker and stores, the board that numbers their changes, and the stream of events.

pub(crate) mod board;
pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod outages;
pub(crate) mod places;
pub(crate) mod processes;
pub(crate) mod reading;
pub(crate) mod replays;
pub(crate) mod stream;
pub(crate) mod watch;
