//! The client of the API at the ends of a connection that a server in good order does not show.

use super::{Answer, Api, Call, Refusal, Unanswered};
use crate::access::SignedIn;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_service::Config;
use pvt_service::access_tokens::AccessTokens;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn user() -> SignedIn {
    SignedIn::of(User {
        id: UserId::from_uuid(uuid::Uuid::from_u128(7)),
        email: Email::parse("ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Staff,
        properties: vec!["here".into()],
        locale: None,
        rev: 1,
        created_at: chrono::DateTime::UNIX_EPOCH.into(),
        disabled_at: None,
    })
}

fn config(api: SocketAddr) -> Config {
    Config::from_pairs([("PVT_CONSOLE_API_URL", format!("http://{api}/at/a/path/"))]).unwrap()
}

/// What a client asks that is answered with this text, and what it makes of it.
async fn exchange(answer: &str, call: Call) -> (String, Result<Answer, Unanswered>) {
    pvt_service::tls::install_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::new(&config(listener.local_addr().unwrap())).unwrap();
    let serve = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        let is_whole = |asked: &[u8]| {
            let text = String::from_utf8_lossy(asked);
            text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.is_empty() || body.ends_with('}'))
        };
        while !is_whole(&asked) {
            let mut part = [0; 4096];
            let length = connection.read(&mut part).await.unwrap();
            asked.extend_from_slice(&part[..length]);
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        String::from_utf8(asked).unwrap()
    };
    tokio::join!(serve, async { api.send(&user(), call).await })
}

fn http(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn request_is_the_users_with_its_key_and_revision() {
    let call = Call::post("/api/bookings/7/checkin", json!({ "stays": [{ "id": 0 }] })).keyed("k-1").at_rev(Some(3));
    let (asked, answer) = exchange(&http("200 OK", &json!({ "rev": 4 })), call).await;
    assert!(asked.starts_with("POST /at/a/path/api/bookings/7/checkin HTTP/1.1\r\n"), "{asked}");
    let header = |name: &str| {
        let line = asked.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    assert_eq!((header("idempotency-key"), header("if-match")), ("k-1".to_owned(), "\"3\"".to_owned()));
    let config = config("127.0.0.1:1".parse().unwrap());
    let tokens = AccessTokens::new(&config.jwt_secret, None, config.public_url.as_str()).unwrap();
    let claims = tokens.verify(header("authorization").trim_start_matches("Bearer ")).unwrap();
    assert_eq!((claims.sub, claims.role, claims.exp - claims.iat), (user().user().id, Role::Staff, 60));
    assert!(matches!(answer, Ok(Answer::Done(done)) if done == json!({ "rev": 4 })));
}

#[tokio::test]
async fn refusals_are_read_with_what_they_name() {
    let problem = json!({ "type": "urn:pvt:problem:bed_not_clean", "title": "A bed is not clean", "status": 409,
        "code": "bed_not_clean", "detail": "Nothing was changed.", "request_id": "r", "bookings": [],
        "cause": { "dirty_beds": [{ "bed": "a-1", "clean": ["a-2"] }] },
        "errors": [{ "pointer": "/reason", "code": "required", "message": "is missing" }],
        "alternatives": [{ "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-12",
            "guests": 2 }], "total": { "amount": 8_400, "currency": "CAD" } }] });
    let (_, answer) = exchange(&http("409 Conflict", &problem), Call::get("/")).await;
    let Ok(Answer::Refused(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.cause.dirty_beds[0].clean, ["a-2".into()]);
    let lines = [
        "Bed a-1 is not clean; clean and free: a-2.",
        "Reason: is missing.",
        "Possible instead: dorm for 2, 2027-01-10 – 2027-01-12, 84.00 CAD in all",
    ];
    assert_eq!(refusal.lines(), lines);
    assert!(!refusal.is_undecided());
    let of = |status, code: &str| {
        let mut other: Refusal = (*refusal).clone();
        (other.status, other.code) = (status, code.to_owned());
        other
    };
    assert!(of(503, "broker_unavailable").is_undecided() && of(409, "still_processing").is_undecided());
    assert!(of(401, "unauthorized").is_undecided() && of(403, "forbidden").is_undecided());
    let reused = of(422, "idempotency_key_reused");
    assert!(reused.is_of_used_key() && !refusal.is_of_used_key());
}

#[tokio::test]
async fn no_answer_says_whether_something_may_have_been_done() {
    let page = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhtml";
    let found = http("302 Found", &json!({}));
    for (answer, expected) in [
        ("", Unanswered::Silent),
        (page, Unanswered::Unreadable),
        (found.as_str(), Unanswered::Unreadable),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", Unanswered::Silent),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n{", Unanswered::Unreadable),
    ] {
        assert_eq!(exchange(answer, Call::get("/")).await.1.unwrap_err(), expected, "{answer}");
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let api = Api::new(&config(free)).unwrap();
    assert_eq!(api.send(&user(), Call::get("/")).await.unwrap_err(), Unanswered::Unreached);
    let (_, accepted) = exchange(&http("202 Accepted", &json!({})), Call::get("/")).await;
    assert!(matches!(accepted, Ok(Answer::Accepted)));
}

#[tokio::test]
async fn request_goes_on_when_the_user_has_gone_away() {
    pvt_service::tls::install_provider();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::new(&config(listener.local_addr().unwrap())).unwrap();
    let page = tokio::spawn(async move { api.send(&user(), Call::post("/", json!({}))).await });
    let (mut connection, _) = listener.accept().await.unwrap();
    page.abort();
    assert!(page.await.unwrap_err().is_cancelled());
    let mut asked = Vec::new();
    let whole = async {
        while !asked.ends_with(b"{}") {
            let mut part = [0; 4096];
            let length = connection.read(&mut part).await.unwrap();
            assert!(length > 0, "the request was cut off");
            asked.extend_from_slice(&part[..length]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), whole).await.unwrap();
}
