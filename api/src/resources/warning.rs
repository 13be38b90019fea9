//! Warnings: what a request has done that its caller may not have meant. It is done all the same.

use pvt_domain::booking::Stay;
use schemars::JsonSchema;
use serde::Serialize;

/// A warning about what was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Warning {
    /// `stays_dropped`, or `above_balance`.
    code: &'static str,
    /// In words.
    message: String,
    /// Ids of the stays that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stays: Vec<u32>,
}

impl Warning {
    /// That a change dropped these stays, if any: it left them out of its list.
    pub(crate) fn of_dropped(dropped: &[Stay]) -> Vec<Self> {
        if dropped.is_empty() {
            return Vec::new();
        }
        let stays: Vec<u32> = dropped.iter().filter_map(|stay| stay.id).collect();
        let ids: Vec<String> = stays.iter().map(u32::to_string).collect();
        let guests: u64 = dropped.iter().map(|stay| u64::from(stay.guests)).sum();
        let message = format!(
            "`stays` is the whole list. It leaves out {} of {guests} guests, who are not expected any more; to keep \
            them, send all stays by their ids.",
            if ids.len() == 1 { format!("stay {}", ids[0]) } else { format!("stays {}", ids.join(", ")) }
        );
        vec![Self { code: "stays_dropped", message, stays }]
    }

    /// That more was paid than is owed; this much is to be returned by hand.
    pub(crate) fn above_balance(surplus: &str) -> Self {
        let message = format!(
            "More was paid than is owed: {surplus} is to be returned. Correct a wrong amount, or record what you \
            return, with POST /api/payments/record and a minus."
        );
        Self { code: "above_balance", message, stays: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::Warning;
    use pvt_domain::booking::Stay;
    use serde_json::json;

    #[test]
    fn dropped_stays_are_named_by_their_ids() {
        let stay = |id: u32, guests: u32| -> Stay {
            serde_json::from_value(json!({ "id": id, "room_type_id": "dorm", "arrival": "2027-01-10",
                "departure": "2027-01-12", "guests": guests, "assigned_beds": [] }))
            .unwrap()
        };
        assert_eq!(Warning::of_dropped(&[]), []);
        let [one] = Warning::of_dropped(&[stay(3, 2)]).try_into().unwrap();
        assert_eq!((one.code, one.stays.as_slice()), ("stays_dropped", &[3][..]));
        assert!(one.message.contains("leaves out stay 3 of 2 guests"), "{}", one.message);
        let [several] = Warning::of_dropped(&[stay(1, 2), stay(4, 1)]).try_into().unwrap();
        assert!(several.message.contains("leaves out stays 1, 4 of 3 guests"), "{}", several.message);
    }
}
