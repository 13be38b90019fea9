//! The guest of a place, as a rooming list names them.

use crate::people::text::shown;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// Personal data: never in an event, a header, a log or the mart.
/// Who sleeps in a place of a booking.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceGuest {
    /// Id of the stay.
    pub stay_id: u32,
    /// Position in the stay, from 0: in a dorm, that of the bed.
    pub position: u32,
    /// Given name; empty for guests with one name, which is the other.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_name: String,
    /// Family name; empty for guests with one name, which is the other.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_name: String,
    /// Date of birth, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<NaiveDate>,
    /// Nationality, if known: ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nationality: Option<String>,
}

impl PlaceGuest {
    /// The place, for comparisons.
    pub fn place(&self) -> (u32, u32) {
        (self.stay_id, self.position)
    }

    /// The name as it may be shown.
    pub fn full_name(&self) -> String {
        shown(&format!("{} {}", self.first_name, self.last_name)).trim().to_owned()
    }
}

/// Redacted, so that no log line can carry personal data.
impl std::fmt::Debug for PlaceGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlaceGuest(…)")
    }
}
