//! Request bodies: bounded in size and time, before anything is parsed.

use crate::form::card_numbers;
use crate::form::json::{self, Node};
use crate::http::headers::is_json;
use crate::http::problem::{self, Problem};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// Largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
/// For the whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body declared as JSON.
pub(crate) async fn read_json(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(problem::UNSUPPORTED_MEDIA_TYPE.into());
    }
    read(headers, body, MAX_BODY_BYTES).await
}

/// A body that may be missing; what is there must be declared as JSON.
pub(crate) async fn read_optional_json(headers: &HeaderMap, body: Body) -> Result<Option<Bytes>, Problem> {
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if is_json(headers) { Ok(Some(bytes)) } else { Err(problem::UNSUPPORTED_MEDIA_TYPE.into()) }
}

/// The raw bytes, at most `limit` of them.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    // The rest of the body is not read, so the connection ends here: a client must not send its next request on it.
    let ends = HeaderValue::from_static("close");
    let too_large = || {
        Problem::new(problem::PAYLOAD_TOO_LARGE, format!("Send at most {limit} bytes."))
            .with_header(header::CONNECTION, ends.clone())
    };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    timeout(BODY_TIMEOUT, collect(body, limit))
        .await
        .map_err(|_| Problem::from(problem::REQUEST_TIMEOUT))??
        .ok_or_else(too_large)
}

/// The JSON in a body.
pub(crate) fn read_node(body: &[u8]) -> Result<Node<'_>, Problem> {
    json::parse(body)
        .map_err(|invalid| Problem::new(problem::INVALID_JSON, format!("Send one JSON object: {}.", invalid.reason)))
}

/// Refuses a request in which any text looks like a card number, except at one of `exempt`.
pub(crate) fn refuse_card_numbers(node: &Node<'_>, exempt: &[&str]) -> Result<(), Problem> {
    let Some(pointer) = card_numbers::find(node, exempt) else { return Ok(()) };
    let kind = problem::CARD_NUMBER_REFUSED;
    Err(Problem::new(kind, format!("{} It stands at `{pointer}`.", kind.advice)))
}

/// All bytes, or `None` when there are more than `limit`. A body in one piece is not copied.
async fn collect(body: Body, limit: usize) -> Result<Option<Bytes>, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        // The client has disconnected: the answer will not be read.
        let chunk = chunk.map_err(|_| Problem::from(problem::REQUEST_TIMEOUT))?;
        if whole.len() + joined.len() + chunk.len() > limit {
            return Ok(None);
        }
        if whole.is_empty() && joined.is_empty() {
            whole = chunk;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&chunk);
        }
    }
    Ok(Some(if joined.is_empty() { whole } else { joined.freeze() }))
}

#[cfg(test)]
mod tests {
    use super::{collect, read};
    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, header};
    use futures_util::stream;

    fn chunked(chunks: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk)).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn chunks_are_joined_up_to_the_limit() {
        assert_eq!(collect(chunked(&["ab", "c", "de"]), 5).await.unwrap().unwrap(), "abcde");
        assert_eq!(collect(chunked(&["ab", "c", "de"]), 4).await.unwrap(), None);
        assert_eq!(collect(Body::empty(), 0).await.unwrap().unwrap(), "");
    }

    #[tokio::test]
    async fn declared_length_above_limit_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("11"));
        assert_eq!(read(&headers, Body::empty(), 10).await.unwrap_err().code(), "payload_too_large");
    }
}
