//! Registration.

use super::forms::RegistrationForm;
use super::{Accepted, accepted, send_mail};
use crate::http::extract::Form;
use crate::http::middleware::RequestContext;
use crate::http::problem::Problem;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::accounts::{Role, User, UserId};
use pvt_domain::messages::AccountMailKind;
use pvt_service::logins::pad_answer_time;
use pvt_stores::StoreError;
use tokio::time::Instant;
use uuid::Uuid;

/// `POST /api/auth/register`: 202 whether the address had an account or not. A mail tells its owner which.
pub(super) async fn register(
    State(app): State<SharedApp>,
    context: RequestContext,
    form: Form<RegistrationForm>,
) -> Result<Accepted, Problem> {
    let (started, form) = (Instant::now(), form.value);
    let hash = app.password_hasher.hash(form.password).await?;
    let user = User {
        id: UserId::from_uuid(Uuid::now_v7()),
        email: form.email,
        name: form.name,
        role: Role::Guest,
        properties: Vec::new(),
        locale: form.locale,
        rev: 1,
        created_at: Utc::now().into(),
        disabled_at: None,
    };
    let mongo = app.mongo.clone();
    let (owner, kind) = store_call::write(async move {
        let (id, email) = (user.id, user.email.clone());
        match mongo.users().create(user, hash).await {
            Ok(()) => Ok((id, AccountMailKind::Welcome)),
            Err(StoreError::Duplicate(_)) => {
                let owner = mongo.users().find_by_email(&email).await?;
                Ok((owner.map_or(id, |owner| owner.id), AccountMailKind::AlreadyRegistered))
            }
            Err(error) => Err(error),
        }
    })
    .await?;
    send_mail(&app, &context, owner, kind).await?;
    pad_answer_time(started).await;
    Ok(accepted())
}
