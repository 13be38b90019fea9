//! Demonstration property: what `pvt seed` creates, and the guides and tests book.

use crate::inventory::{
    DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, DormGender, Inventory, Property, RatePlan, Room, RoomKind, RoomType,
    TaxAmount, TaxRule,
};
use crate::money::Currency;
use crate::values::rate_plan::Deposit;
use chrono::NaiveTime;

/// Id of the demonstration property.
pub const PROPERTY_ID: &str = "pvt-montreal";

/// One row per room type: id, names in English and French, kind, gender, rooms as (id prefix, number, beds in each),
/// nightly price in cents.
type TypeLine = (&'static str, [&'static str; 2], RoomKind, DormGender, (&'static str, usize, usize), i64);

const TYPES: [TypeLine; 5] = [
    (
        "dorm-6-mixed",
        ["Bed in 6-bed mixed dorm", "Lit en dortoir mixte de 6 lits"],
        RoomKind::Dorm,
        DormGender::Mixed,
        ("d6", 2, 6),
        4_200,
    ),
    (
        "dorm-4-female",
        ["Bed in 4-bed female dorm", "Lit en dortoir féminin de 4 lits"],
        RoomKind::Dorm,
        DormGender::Female,
        ("f4", 1, 4),
        4_800,
    ),
    (
        "dorm-8-mixed",
        ["Bed in 8-bed mixed dorm", "Lit en dortoir mixte de 8 lits"],
        RoomKind::Dorm,
        DormGender::Mixed,
        ("d8", 1, 8),
        3_700,
    ),
    (
        "private-double",
        ["Private double room", "Chambre double privée"],
        RoomKind::Private,
        DormGender::Mixed,
        ("pd", 4, 2),
        12_500,
    ),
    (
        "private-twin",
        ["Private twin room", "Chambre privée à deux lits"],
        RoomKind::Private,
        DormGender::Mixed,
        ("pt", 2, 2),
        11_500,
    ),
];

/// A property in Montréal with 38 beds in 10 rooms, priced in Canadian dollars, paid on arrival or, on the plan
/// `prepaid`, in advance.
///
/// Taxes are Québec's: lodging tax 3.5 % on the room; GST 5 % and QST 9.975 % on the room plus the lodging tax.
pub fn inventory() -> Inventory {
    Inventory {
        property: property(),
        room_types: TYPES
            .iter()
            .map(|(id, [name, french], kind, gender, ..)| RoomType {
                names: [("fr", *french)].into(),
                ..RoomType::new(*id, *name, *kind, *gender)
            })
            .collect(),
        rooms: TYPES
            .iter()
            .flat_map(|(id, .., (prefix, rooms, beds), _)| rooms_of(id, prefix, *rooms, *beds))
            .collect(),
        rate_plans: vec![
            plan("standard", ["Standard, pay on arrival", "Standard, paiement à l’arrivée"], None),
            plan("prepaid", ["Prepaid", "Prépayé"], Some(Deposit::Full)),
        ],
        cancellation_policies: Vec::new(),
        rev: 0,
    }
}

fn plan(id: &str, [name, french]: [&str; 2], deposit: Option<Deposit>) -> RatePlan {
    let nightly = TYPES.iter().map(|(id, .., amount)| ((*id).into(), *amount)).collect();
    RatePlan {
        id: id.into(),
        name: name.to_owned(),
        names: [("fr", french)].into(),
        nightly,
        cancellation_policy_id: None,
        deposit,
    }
}

fn rooms_of(room_type: &str, prefix: &str, rooms: usize, beds: usize) -> Vec<Room> {
    let room = |letter: char| {
        let id = format!("{prefix}{letter}");
        Room::new(id.as_str(), room_type, (1..=beds).map(|bed| format!("{id}-{bed}").as_str().into()).collect())
    };
    ('a'..='z').take(rooms).map(room).collect()
}

fn property() -> Property {
    let tax = |code: &str, [name, french]: [&str; 2], rate_ppm, base: &[&str]| TaxRule {
        code: code.to_owned(),
        name: name.to_owned(),
        names: [("fr", french)].into(),
        amount: TaxAmount::Percent { rate_ppm, compounds_on: base.iter().map(|code| (*code).to_owned()).collect() },
        included: false,
        valid_from: None,
        valid_until: None,
    };
    Property {
        id: PROPERTY_ID.into(),
        name: "PVT Montréal".to_owned(),
        address: "1208 rue Saint-Hubert, Montréal (Québec) H2L 3Y7".to_owned(),
        time_zone: chrono_tz::America::Toronto,
        currency: Currency::CAD,
        check_in_from: NaiveTime::from_hms_opt(15, 0, 0).unwrap_or_default(),
        check_out_until: NaiveTime::from_hms_opt(11, 0, 0).unwrap_or_default(),
        business_day_cutoff: DEFAULT_CUTOFF,
        same_day_until: NaiveTime::MIN,
        locales: vec!["fr".to_owned(), "en".to_owned()],
        taxes: vec![
            tax("lodging", ["Lodging tax", "Taxe d’hébergement"], 35_000, &[]),
            tax("gst", ["GST", "TPS"], 50_000, &["lodging"]),
            tax("qst", ["QST", "TVQ"], 99_750, &["lodging"]),
        ],
        hold_minutes: DEFAULT_HOLD_MINUTES,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn everything_that_guests_read_has_a_name_in_the_languages_of_the_property() {
        let inventory = super::inventory();
        let in_french = |names: &crate::inventory::Names| names.in_language(["fr"], "").to_owned();
        let of_types = inventory.room_types.iter().map(|one| in_french(&one.names));
        let of_plans = inventory.rate_plans.iter().map(|one| in_french(&one.names));
        let of_taxes = inventory.property.taxes.iter().map(|one| in_french(&one.names));
        let names: Vec<String> = of_types.chain(of_plans).chain(of_taxes).collect();
        assert_eq!((names.len(), names.iter().filter(|name| name.is_empty()).count()), (10, 0), "{names:?}");
    }

    #[test]
    fn demo_property_has_the_rooms_of_the_guides() {
        let inventory = super::inventory();
        let beds: Vec<(String, usize)> = inventory
            .room_types
            .iter()
            .map(|kind| (kind.id.to_string(), inventory.rooms_of(&kind.id).map(|room| room.beds.len()).sum()))
            .collect();
        let promised = [
            ("dorm-6-mixed", 12),
            ("dorm-4-female", 4),
            ("dorm-8-mixed", 8),
            ("private-double", 8),
            ("private-twin", 4),
        ];
        assert_eq!(beds, promised.map(|(id, count)| (id.to_owned(), count)));
    }
}
