//! Fail points: named places at which a test aborts the process, to prove that nothing is lost there.
//!
//! `PVT_FAULT="name"` aborts at the first hit, `"name:3"` at the third. They exist only in builds with debug
//! assertions: in a release build a fail point compiles to nothing and the variable is never read.

/// After the handler returned, before its messages are published.
pub const AFTER_HANDLE_BEFORE_PUBLISH: &str = "after_handle_before_publish";
/// After all confirms, before the acknowledgement.
pub const AFTER_PUBLISH_BEFORE_ACK: &str = "after_publish_before_ack";

#[cfg(debug_assertions)]
struct Armed {
    name: String,
    hits_left: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
static ARMED: std::sync::LazyLock<Option<Armed>> =
    std::sync::LazyLock::new(|| parse(&std::env::var("PVT_FAULT").ok()?));

/// Aborts the process if this fail point is armed.
#[cfg(debug_assertions)]
pub fn hit(name: &str) {
    use std::sync::atomic::Ordering;
    let Some(armed) = ARMED.as_ref().filter(|armed| armed.name == name) else { return };
    if armed.hits_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        tracing::error!(name, "fail point hit, aborting");
        std::process::abort();
    }
}

/// Does nothing in release builds.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &str) {}

#[cfg(debug_assertions)]
fn parse(text: &str) -> Option<Armed> {
    let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
    let nth: u32 = nth.parse().ok().filter(|count| *count > 0)?;
    (!name.is_empty()).then(|| Armed { name: name.to_owned(), hits_left: nth.into() })
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn armed_point_names_the_hit_that_aborts() {
        let armed = |text| parse(text).map(|armed| (armed.name, armed.hits_left.load(Ordering::SeqCst)));
        assert_eq!(armed("before_commit"), Some(("before_commit".to_owned(), 1)));
        assert_eq!(armed("before_commit:3"), Some(("before_commit".to_owned(), 3)));
        assert_eq!(armed("before_commit:0"), None);
        assert_eq!(armed(""), None);
    }
}
