//! Frame of every page: title, navigation, search, the user, and the badge of the live figures.

use crate::access::SignedIn;
use chrono::Utc;
use pvt_domain::ids::PropertyId;

/// Pages in the navigation: path, label, whether it is for administrators only.
const PAGES: [(&str, &str, bool); 11] = [
    ("/", "Overview", false),
    ("/queues", "Queues", false),
    ("/dead-letters", "Dead letters", true),
    ("/bookings", "Bookings", false),
    ("/front-desk", "Front desk", false),
    ("/chart", "Tape chart", false),
    ("/payments", "Payments", false),
    ("/reconciliations", "Reconciliation", false),
    ("/workers", "Workers", false),
    ("/schedules", "Schedules", false),
    ("/audit", "Audit", true),
];

/// A link of the navigation.
pub(crate) struct NavigationItem {
    pub(crate) path: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_current: bool,
}

/// The frame of a page.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) navigation: Vec<NavigationItem>,
    pub(crate) user: String,
    pub(crate) role: &'static str,
    pub(crate) csrf: String,
    pub(crate) is_admin: bool,
    /// When the page was made: hour and minute of UTC.
    pub(crate) made_at: String,
    /// What the search box holds.
    pub(crate) sought: String,
}

impl Frame {
    /// The frame of the page at `path` of the navigation.
    pub(crate) fn new(user: &SignedIn, title: impl Into<String>, path: &str) -> Self {
        let visible = PAGES.into_iter().filter(|(_, _, for_admins)| user.is_admin() || !for_admins);
        let item = |(page, label, _)| NavigationItem { path: page, label, is_current: page == path };
        Self {
            title: title.into(),
            navigation: visible.map(item).collect(),
            user: user.user().name.clone(),
            role: user.user().role.as_str(),
            csrf: user.csrf(),
            is_admin: user.is_admin(),
            made_at: Utc::now().format("%H:%M").to_string(),
            sought: String::new(),
        }
    }
}

/// An option of a list to choose from.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) is_chosen: bool,
}

impl Choice {
    /// The properties of a user, of which one is chosen.
    pub(crate) fn of_properties(all: &[PropertyId], chosen: &PropertyId) -> Vec<Self> {
        all.iter().map(|id| Self { value: id.to_string(), is_chosen: id == chosen }).collect()
    }
}
