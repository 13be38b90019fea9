//! Places of event streams: a number for all users together, and one for each.

use pvt_domain::accounts::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Event streams at once; each is a connection and a task, one for each tab that is in view.
const MAX_STREAMS: usize = 1_000;
/// Of one user: more than they have tabs in view, and few enough that nine others still have theirs.
const MAX_STREAMS_OF_USER: usize = 100;

#[derive(Default)]
struct Taken {
    all: usize,
    by_user: HashMap<UserId, usize>,
}

/// Places of event streams.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

/// A place that is taken until it is dropped.
pub(crate) struct Place {
    places: Places,
    user: UserId,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream of this user; `None` when they, or all together, have as many as they may.
    pub(crate) fn take(&self, user: UserId) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.by_user.get(&user).copied().unwrap_or_default();
        if taken.all >= MAX_STREAMS || own >= MAX_STREAMS_OF_USER {
            return None;
        }
        taken.all += 1;
        taken.by_user.insert(user, own + 1);
        drop(taken);
        Some(Place { places: self.clone(), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let own = taken.by_user.remove(&self.user).unwrap_or_default();
        if own > 1 {
            taken.by_user.insert(self.user, own - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_STREAMS, MAX_STREAMS_OF_USER, Places};
    use pvt_domain::accounts::UserId;
    use uuid::Uuid;

    #[test]
    fn one_user_cannot_take_the_places_of_all() {
        let places = Places::default();
        let user = |number: usize| UserId::from_uuid(Uuid::from_u128(u128::try_from(number).unwrap()));
        let take = |number| places.take(user(number));
        let mut own: Vec<_> = (0..MAX_STREAMS_OF_USER).map(|_| take(0).unwrap()).collect();
        assert!(take(0).is_none() && take(1).is_some());
        own.pop();
        assert!(take(0).is_some(), "a stream that has ended leaves its place");
        let others = (1..).flat_map(|number| (0..MAX_STREAMS_OF_USER).map(move |_| number));
        own.extend(others.take(MAX_STREAMS - own.len()).map(|number| take(number).unwrap()));
        assert!(take(MAX_STREAMS).is_none(), "all together have as many as they may");
        drop(own);
        assert!(places.taken().by_user.is_empty() && places.taken().all == 0);
    }
}
