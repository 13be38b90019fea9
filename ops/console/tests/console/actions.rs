//! Actions whose booking cannot be read any more once they are sent.

use super::harness::{HERE, Harness};
use anyhow::Result;
use chrono::Utc;
use mongodb::bson::{Document, doc};
use pvt_domain::accounts::Role;
use pvt_testkit::Namespace;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Takes one request of the API and removes all bookings before it is accepted.
async fn accept_without_bookings(listener: TcpListener, bookings: mongodb::Collection<Document>) -> Result<String> {
    let (mut connection, _) = listener.accept().await?;
    let mut asked = Vec::new();
    while !asked.ends_with(b"}") {
        let mut part = [0; 4096];
        let length = connection.read(&mut part).await?;
        anyhow::ensure!(length > 0, "the request was cut off");
        asked.extend_from_slice(&part[..length]);
    }
    bookings.delete_many(doc! {}).await?;
    connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await?;
    connection.shutdown().await?;
    Ok(String::from_utf8(asked)?)
}

#[tokio::test]
async fn outcome_and_key_are_shown_without_the_booking() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let api = format!("http://{}", listener.local_addr()?);
    let harness = Harness::with(Namespace::new().await?, &[("PVT_CONSOLE_API_URL", &api)]).await?;
    let booking = harness.book(HERE, "confirmed", Utc::now().date_naive()).await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let bookings = harness.database().await?.collection::<Document>("bookings");
    let api = tokio::spawn(accept_without_bookings(listener, bookings));
    let key = Uuid::new_v4().to_string();
    let fields = [("csrf", staff.csrf.as_str()), ("key", &key), ("rev", "1"), ("stay", "0"), ("reason", "early")];
    let answer = harness.post(&staff, &format!("/bookings/{}/actions/check-in", booking.id), &fields).await?;
    let asked = api.await??;
    assert!(asked.contains(&key), "{asked}");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let page = answer.text().await?;
    let kept = format!("name=\"key\" value=\"{key}\"");
    for shown in
        ["Accepted, not decided yet", &kept, "name=\"step\"", "name=\"reason\" value=\"early\"", "cannot be read"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    Ok(())
}
