//! Registering.

use super::forms::RegistrationForm;
use super::{send_mail, settle};
use crate::form::read_form;
use crate::http::problem::HandlerResult;
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::accounts::{Role, User, UserId};
use pvt_domain::messages::AccountMailKind;
use pvt_stores::StoreError;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

/// `POST /api/auth/register`: 202 whether the address had an account or not. A mail tells its owner which.
pub(crate) async fn register(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let (form, _): (RegistrationForm, _) = read_form(&parts.headers, body).await?;
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
    send_mail(&app, &parts, owner, kind).await?;
    settle(begun).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))).into_response())
}
