//! Dimensions of the mart. A load adds the members that its facts refer to; their descriptions are written separately,
//! before or after.

use super::columns::Columns;
use pvt_domain::inventory::{Inventory, RoomType};
use sqlx::PgConnection;

/// All four in one statement. Nothing is updated, so an existing member costs one index lookup.
const FILL: &str = "
    WITH properties AS (INSERT INTO dim_property (property_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING),
         channels AS (INSERT INTO dim_channel (channel) SELECT unnest($2::text[]) ON CONFLICT DO NOTHING),
         dates AS (INSERT INTO dim_date (date) SELECT unnest($3::date[]) ON CONFLICT DO NOTHING)
    INSERT INTO dim_room_type (property_id, room_type_id) SELECT * FROM unnest($4::text[],
        $5::text[]) ON CONFLICT DO NOTHING";

const DESCRIBE_PROPERTY: &str = "
    INSERT INTO dim_property (property_id, name, time_zone, currency) VALUES ($1, $2, $3, $4)
    ON CONFLICT (property_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone,
        currency = excluded.currency";

const DESCRIBE_ROOM_TYPES: &str = "
    INSERT INTO dim_room_type (property_id, room_type_id, name, kind, gender, beds)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    ON CONFLICT (property_id, room_type_id)
    DO UPDATE SET name = excluded.name, kind = excluded.kind, gender = excluded.gender, beds = excluded.beds";

/// Adds every member that the batch refers to.
pub(super) async fn fill(connection: &mut PgConnection, columns: &Columns) -> sqlx::Result<()> {
    sqlx::query(FILL)
        .bind(&columns.properties)
        .bind(&columns.channels)
        .bind(&columns.dates)
        .bind(&columns.room_types.property_id)
        .bind(&columns.room_types.room_type_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the descriptions of a property and its room types.
pub(super) async fn describe(connection: &mut PgConnection, inventory: &Inventory) -> sqlx::Result<()> {
    let property = &inventory.property;
    sqlx::query(DESCRIBE_PROPERTY)
        .bind(property.id.as_str())
        .bind(&property.name)
        .bind(property.time_zone.name())
        .bind(property.currency.code())
        .execute(&mut *connection)
        .await?;
    let mut room_types: Vec<&RoomType> = inventory.room_types.iter().collect();
    room_types.sort_by(|a, b| a.id.cmp(&b.id));
    let beds = |room_type: &RoomType| inventory.rooms_of(&room_type.id).map(|room| room.beds.len()).sum::<usize>();
    sqlx::query(DESCRIBE_ROOM_TYPES)
        .bind(property.id.as_str())
        .bind(room_types.iter().map(|it| it.id.as_str()).collect::<Vec<_>>())
        .bind(room_types.iter().map(|it| it.name.as_str()).collect::<Vec<_>>())
        .bind(room_types.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>())
        .bind(room_types.iter().map(|it| it.gender.as_str()).collect::<Vec<_>>())
        .bind(room_types.iter().map(|it| i64::try_from(beds(it)).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
