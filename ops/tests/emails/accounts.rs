//! Mails about accounts: sent once for each request, with a reset token that only the newest mail carries.

use super::{MailHarness, class, handle, job, worker};
use chrono::Utc;
use mail_parser::MessageParser;
use pvt_domain::accounts::{Email, Role, User, UserId};
use pvt_domain::failure::Failure;
use pvt_domain::messages::EmailCommand;
use pvt_domain::messages::{AccountMail, AccountMailKind};
use uuid::Uuid;

const ADA: &str = "ada@example.com";

async fn ada(harness: &MailHarness) -> User {
    let email = Email::parse(ADA).unwrap();
    let (id, created_at) = (UserId::from_uuid(Uuid::now_v7()), Utc::now().into());
    let user = User {
        id,
        email,
        name: "Ada".to_owned(),
        role: Role::Guest,
        properties: Vec::new(),
        locale: None,
        rev: 1,
        created_at,
        disabled_at: None,
    };
    harness.mongo.users().create(user.clone(), "none".to_owned()).await.unwrap();
    user
}

fn reset(user: UserId) -> EmailCommand {
    EmailCommand::Account(AccountMail {
        mail_id: Uuid::from_u128(1),
        user_id: user,
        kind: AccountMailKind::PasswordReset,
        alert: None,
        requested_at: Utc::now().into(),
    })
}

/// The tokens in the mails to Ada, newest first.
fn tokens(harness: &MailHarness) -> Vec<String> {
    let token = |text: &str| text.lines().find(|line| line.len() == 64).map(str::to_owned);
    let text = |raw: &[u8]| MessageParser::default().parse(raw).unwrap().body_text(0).unwrap().into_owned();
    harness.mails.newest(Some(ADA), 10).iter().filter_map(|mail| token(&text(&mail.raw))).collect()
}

#[tokio::test]
async fn redelivered_account_mail_is_sent_once() {
    let harness = MailHarness::open().await;
    let user = ada(&harness).await;
    for attempt in [1, 1, 2] {
        assert!(harness.handle(vec![job(reset(user.id), attempt)]).await[0].failed().is_none());
    }
    let other = worker(&harness.mongo, harness.smtp);
    handle(&other, vec![job(reset(user.id), 1)]).await;
    let sent = tokens(&harness);
    assert_eq!(sent.len(), 1);
    assert_eq!(harness.mongo.password_resets().find(&sent[0], Utc::now().into()).await.unwrap(), Some(user.id));
}

#[tokio::test]
async fn unknown_outcome_invalidates_the_first_reset_token() {
    let harness = MailHarness::open().await;
    let user = ada(&harness).await;
    harness.fault(r#"{"mode":"drop_before_250","next":1}"#).await;
    let first = harness.handle(vec![job(reset(user.id), 1)]).await;
    assert!(first[0].failed().is_some(), "the reply was lost");
    assert!(harness.handle(vec![job(reset(user.id), 2)]).await[0].failed().is_none());
    let sent = tokens(&harness);
    let now = Utc::now().into();
    assert_eq!(
        harness.mongo.password_resets().find(&sent[0], now).await.unwrap(),
        Some(user.id),
        "the token of the newest mail is valid"
    );
    for older in &sent[1..] {
        assert_eq!(harness.mongo.password_resets().find(older, now).await.unwrap(), None);
    }
}

#[tokio::test]
async fn unreachable_server_delays_account_mail() {
    let harness = MailHarness::open().await;
    let user = ada(&harness).await;
    harness.fault(r#"{"mode":"refuse_connections"}"#).await;
    let held = harness.handle(vec![job(reset(user.id), 1)]).await;
    assert!(matches!(held[0].failed(), Some(Failure::Unavailable(_))), "{}", class(&held[0]));
    harness.fault(r#"{"mode":null}"#).await;
    assert!(harness.handle(vec![job(reset(user.id), 1)]).await[0].failed().is_none());
    assert_eq!(tokens(&harness).len(), 1);
}

#[tokio::test]
async fn account_mail_without_account_is_skipped() {
    let harness = MailHarness::open().await;
    let done = harness.handle(vec![job(reset(UserId::from_uuid(Uuid::now_v7())), 1)]).await;
    assert!(done[0].failed().is_none());
    assert_eq!(harness.mails.accepted(), 0);
}
