//! The audit of a property: entries about it and about its parts, and none of a property with a similar id.

use anyhow::Result;
use pvt_domain::ids::PropertyId;
use pvt_stores::mongo::audit::{AuditEntry, AuditFilter};
use pvt_testkit::Namespace;
use uuid::Uuid;

#[tokio::test]
async fn entries_of_a_property_are_those_of_it_and_of_its_parts() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let own = ["inn", "inn|bed:a-1", "inn|room:z"];
    let others = ["inn-2", "inn-2|bed:a-1", "in", "inn}", "inns", "other"];
    for (number, subject) in (0_u128..).zip(own.into_iter().chain(others)) {
        let at = format!("2027-01-01T00:00:{number:02}.000Z").parse::<chrono::DateTime<chrono::Utc>>()?;
        let entry = AuditEntry::new(Uuid::from_u128(number), at.into(), "staff:1", "bed.set".to_owned(), subject, "");
        mongo.audit_log().append(&entry).await?;
    }
    let of = async |property: &str, subject: Option<&str>| -> Result<Vec<String>> {
        let filter = AuditFilter {
            property: Some(PropertyId::from(property)),
            subject: subject.map(str::to_owned),
            ..AuditFilter::default()
        };
        let found = mongo.audit_log().search(&filter, None, 50).await?;
        Ok(found.into_iter().map(|entry| entry.subject).collect())
    };
    assert_eq!(of("inn", None).await?, ["inn|room:z", "inn|bed:a-1", "inn"], "newest first");
    assert_eq!(of("inn-2", None).await?, ["inn-2|bed:a-1", "inn-2"]);
    assert_eq!(of("inn", Some("inn|bed:a-1")).await?, ["inn|bed:a-1"], "a part of it alone");
    let filter = AuditFilter { property: Some("inn".into()), ..AuditFilter::default() };
    let (at, id) = ("2027-01-01T00:00:02.000Z", found_id(&mongo, &filter).await?);
    let rest = mongo.audit_log().search(&filter, Some((at, &id)), 50).await?;
    assert_eq!(rest.len(), 2, "the next page is of the property, too: {rest:?}");
    Ok(())
}

/// The id of the newest entry.
async fn found_id(mongo: &pvt_stores::mongo::Mongo, filter: &AuditFilter) -> Result<String> {
    let newest = mongo.audit_log().search(filter, None, 1).await?;
    Ok(newest.into_iter().map(|entry| entry.id.to_string()).collect())
}
