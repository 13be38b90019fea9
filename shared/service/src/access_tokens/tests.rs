//! Attacks on access tokens, and the tokens that must pass.

use super::{AUDIENCE, AccessTokens, PURPOSE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pvt_domain::accounts::{Email, Role, User, UserId};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use uuid::Uuid;

const SECRET: &str = "a secret of the tests that is long enough";
const ISSUER: &str = "https://booking.example.com";

fn tokens() -> AccessTokens {
    AccessTokens::new(&SecretString::from(SECRET), None, ISSUER).unwrap()
}

fn user() -> User {
    User {
        id: UserId::from_uuid(Uuid::from_u128(7)),
        email: Email::parse("ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Staff,
        properties: vec!["pvt-montreal".into()],
        locale: None,
        rev: 1,
        created_at: DateTime::UNIX_EPOCH.into(),
        disabled_at: None,
    }
}

fn key() -> Vec<u8> {
    let mut derivation = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    derivation.update(PURPOSE);
    derivation.finalize().into_bytes().to_vec()
}

fn claims() -> Value {
    let now = Utc::now().timestamp();
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": user().id, "jti": Uuid::nil(), "iat": now, "exp": now + 60,
        "role": "admin", "properties": [] })
}

fn header() -> Header {
    Header { typ: Some("at+jwt".to_owned()), ..Header::new(Algorithm::HS256) }
}

/// A token with this header and these claims, signed with this key.
fn signed(header: &Header, claims: &Value, key: &[u8]) -> String {
    encode(header, claims, &EncodingKey::from_secret(key).unwrap()).unwrap()
}

/// A token whose header is any JSON, signed with HMAC-SHA256 whatever that says.
fn with_header(header: &Value) -> String {
    with_key(header, &key())
}

/// As [`with_header`], with any key: the library itself refuses to sign with an empty one.
fn with_key(header: &Value, key: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(&claims()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn token_identifies_its_bearer() {
    let claims = tokens().verify(&tokens().issue(&user(), Utc::now()).unwrap()).unwrap();
    assert_eq!((claims.sub, claims.role, claims.properties), (user().id, Role::Staff, user().properties));
    assert_eq!(claims.exp - claims.iat, 15 * 60);
    let brief = tokens().issue_for(&user(), Utc::now(), Duration::from_secs(60)).unwrap();
    let claims = tokens().verify(&brief).unwrap();
    assert_eq!((claims.sub, claims.exp - claims.iat), (user().id, 60));
}

#[test]
fn forged_token_with_right_key_is_accepted() {
    // Otherwise the refusals below would prove nothing.
    assert!(tokens().verify(&signed(&header(), &claims(), &key())).is_some());
    assert!(tokens().verify(&with_header(&json!({ "alg": "HS256", "typ": "at+jwt" }))).is_some());
}

#[test]
fn other_algorithms_are_refused() {
    for algorithm in ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"] {
        assert!(tokens().verify(&with_header(&json!({ "alg": algorithm, "typ": "at+jwt" }))).is_none(), "{algorithm}");
    }
    let good = signed(&header(), &claims(), &key());
    let (message, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#),
        message.split('.').nth(1).unwrap()
    );
    assert!(tokens().verify(&unsigned).is_none());
    assert!(tokens().verify(&format!("{message}.")).is_none(), "the right header without a signature");
    let hs384 = Header { alg: Algorithm::HS384, ..header() };
    assert!(tokens().verify(&signed(&hs384, &claims(), &key())).is_none(), "also with the right key");
}

#[test]
fn other_keys_are_refused() {
    assert!(tokens().verify(&signed(&header(), &claims(), b"another key")).is_none());
    assert!(
        tokens().verify(&signed(&header(), &claims(), SECRET.as_bytes())).is_none(),
        "the secret itself signs nothing"
    );
    assert!(tokens().verify(&with_key(&json!({ "alg": "HS256", "typ": "at+jwt" }), b"")).is_none());
}

#[test]
fn header_cannot_choose_the_key() {
    for (name, value) in [
        ("kid", json!("../../dev/null")),
        ("kid", json!("1' UNION SELECT 'x")),
        ("jku", json!("https://evil.example/keys.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("crit", json!(["b64"])),
        ("cty", json!("JWT")),
        ("custom", json!(1)),
    ] {
        let mut header = json!({ "alg": "HS256", "typ": "at+jwt" });
        header[name] = value;
        assert!(tokens().verify(&with_header(&header)).is_none(), "{header}");
    }
}

#[test]
fn other_token_types_are_refused() {
    for kind in ["JWT", "refresh+jwt", "dpop+jwt", ""] {
        assert!(tokens().verify(&with_header(&json!({ "alg": "HS256", "typ": kind }))).is_none(), "{kind}");
    }
    assert!(tokens().verify(&with_header(&json!({ "alg": "HS256" }))).is_none(), "no type at all");
    for refresh in ["pvtr_00000000000000000000000000000007_00", "", "..", "a.b.c", "a.b"] {
        assert!(tokens().verify(refresh).is_none(), "{refresh}");
    }
}

#[test]
fn expiry_issuer_and_audience_are_checked() {
    let now = Utc::now().timestamp();
    let wrong = [
        ("exp", json!(now - 6)),
        ("exp", json!("tomorrow")),
        ("aud", json!("another-api")),
        ("iss", json!("https://evil.example.com")),
        ("sub", json!("unknown")),
        ("role", json!("god")),
    ];
    for (name, value) in wrong {
        let mut forged = claims();
        forged[name] = value;
        assert!(tokens().verify(&signed(&header(), &forged, &key())).is_none(), "{name}: {}", forged[name]);
    }
    for name in ["exp", "iss", "aud", "sub", "role"] {
        let mut forged = claims();
        forged.as_object_mut().unwrap().remove(name);
        assert!(tokens().verify(&signed(&header(), &forged, &key())).is_none(), "without {name}");
    }
    let old = tokens().issue(&user(), Utc::now() - TimeDelta::seconds(15 * 60 + 6)).unwrap();
    assert!(tokens().verify(&old).is_none());
    let nearly = tokens().issue(&user(), Utc::now() - TimeDelta::seconds(15 * 60 - 5)).unwrap();
    assert!(tokens().verify(&nearly).is_some());
}

#[test]
fn rotation_accepts_tokens_of_both_secrets() {
    let now = Utc::now();
    let of = |secret: &str, previous: Option<&str>| {
        let previous = previous.map(SecretString::from);
        AccessTokens::new(&SecretString::from(secret), previous.as_ref(), ISSUER).unwrap()
    };
    let (rotating, new) = (of("the next secret", Some(SECRET)), of("the next secret", None));
    let earlier = tokens().issue(&user(), now).unwrap();
    assert!(rotating.verify(&earlier).is_some());
    assert!(new.verify(&earlier).is_none(), "the rotation is over");
    assert!(new.verify(&rotating.issue(&user(), now).unwrap()).is_some(), "the new secret signs");
}
