//! The console as a client without a browser meets it: its forms, its cookies, and signing in.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use url::form_urlencoded;

/// The cookie and the form token of a user who is signed in to the console.
#[derive(Clone)]
pub struct ConsoleSession {
    /// As a browser returns it.
    pub cookie: String,
    /// The token in the forms of this user.
    pub csrf: String,
}

/// Sends the form to sign in as a browser does. The client follows no redirects.
///
/// # Errors
/// When the console does not answer.
pub async fn try_sign_in(http: &Client, base: &str, email: &str, password: &str) -> Result<Response> {
    let form = http.get(format!("{base}/login")).send().await?;
    let cookie = cookie(&form).context("no cookie with the form")?;
    let csrf = hidden_field(&form.text().await?, "csrf")?;
    let fields = [("csrf", csrf.as_str()), ("email", email), ("password", password), ("next", "/queues")];
    let request = http.post(format!("{base}/login")).header(header::COOKIE, cookie);
    Ok(with_form(request, &fields).send().await?)
}

/// Signs in to the console at `base`.
///
/// # Errors
/// When it refuses.
pub async fn sign_in(http: &Client, base: &str, email: &str, password: &str) -> Result<ConsoleSession> {
    let answer = try_sign_in(http, base, email, password).await?;
    ensure!(answer.status() == StatusCode::SEE_OTHER, "{answer:?}");
    let cookie = cookie(&answer).context("no session")?;
    let page = http.get(base).header(header::COOKIE, &cookie).send().await?.text().await?;
    Ok(ConsoleSession { cookie, csrf: hidden_field(&page, "csrf")? })
}

/// The request with these fields as its body.
pub fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

/// The first cookie that an answer sets, as a browser returns it.
pub fn cookie(answer: &Response) -> Option<String> {
    let set = answer.headers().get(header::SET_COOKIE)?.to_str().ok()?;
    Some(set.split(';').next()?.to_owned())
}

/// The values of all hidden fields of a page with this name.
pub fn hidden_fields(page: &str, name: &str) -> Vec<String> {
    let begin = format!("name=\"{name}\" value=\"");
    let values = page.split(&begin).skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
    values.map(|value| value.replace("&#34;", "\"").replace("&#38;", "&")).collect()
}

/// The value of the first hidden field of a page with this name.
///
/// # Errors
/// When there is none.
pub fn hidden_field(page: &str, name: &str) -> Result<String> {
    hidden_fields(page, name).into_iter().next().with_context(|| format!("no {name}: {page}"))
}
