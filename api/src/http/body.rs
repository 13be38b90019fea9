//! Request bodies: bounded in size and time, not compressed, in UTF-8, before anything is parsed.

use crate::form::card_numbers;
use crate::form::json::{self, Node};
use crate::http::headers::{declared_charset, is_json};
use crate::http::problem::{self, Problem};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::time::timeout;

/// Largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The coding of a body that is as it is (RFC 9110, 12.5.3).
const IDENTITY: &str = "identity";
/// For the whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body declared as JSON.
pub(crate) async fn read_json(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if !is_json(headers) {
        return Err(problem::UNSUPPORTED_MEDIA_TYPE.into());
    }
    in_utf8(headers, read(headers, body, MAX_BODY_BYTES).await?)
}

/// A body that may be missing; what is there must be declared as JSON.
pub(crate) async fn read_optional_json(headers: &HeaderMap, body: Body) -> Result<Option<Bytes>, Problem> {
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if is_json(headers) { in_utf8(headers, bytes).map(Some) } else { Err(problem::UNSUPPORTED_MEDIA_TYPE.into()) }
}

/// A body declared as CSV.
pub(crate) async fn read_csv(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    in_utf8(headers, read(headers, body, MAX_BODY_BYTES).await?)
}

/// The text of JSON or CSV, without the byte order mark that some clients send (RFC 8259, 8.1).
fn in_utf8(headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, Problem> {
    let refused = |charset: &str| {
        let kind = problem::UNSUPPORTED_CHARSET;
        Problem::new(kind, format!("The body is in {charset}. {}", kind.advice))
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.iter().take(4).any(|byte| *byte == 0) {
        return Err(refused("UTF-16 or UTF-32"));
    }
    // ASCII is the same text in the other charsets that clients declare.
    match declared_charset(headers) {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") && !bytes.is_ascii() => Err(refused(charset)),
        _ if bytes.starts_with(BYTE_ORDER_MARK) => Ok(bytes.slice(BYTE_ORDER_MARK.len()..)),
        _ => Ok(bytes),
    }
}

/// The raw bytes, at most `limit` of them.
///
/// # Errors
/// 408, 413, or 415 for a compressed body: its size cannot be known before it is decoded.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    // The rest of the body is not read, so the connection ends here: a client must not send its next request on it.
    let ends = HeaderValue::from_static("close");
    let is_coded = |value: &HeaderValue| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(IDENTITY.as_bytes());
    if headers.get_all(header::CONTENT_ENCODING).iter().any(is_coded) {
        return Err(Problem::from(problem::UNSUPPORTED_CONTENT_CODING)
            .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static(IDENTITY))
            .with_header(header::CONNECTION, ends));
    }
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
    use super::{collect, read, read_json};
    use crate::http::problem::Problem;
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

    async fn read_as(content_type: &str, body: &'static [u8]) -> Result<bytes::Bytes, Problem> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())]);
        read_json(&headers, Body::from(body)).await
    }

    #[tokio::test]
    async fn byte_order_mark_is_no_part_of_the_text() {
        for (body, text) in [(&b"\xef\xbb\xbf{}"[..], "{}"), (b"{}", "{}"), (b"\xef\xbb\xbf", ""), (b"", "")] {
            assert_eq!(read_as("application/json", body).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn other_charsets_are_named() {
        for good in ["utf-8", "UTF-8", "\"utf-8\"", "us-ascii", "iso-8859-1", ""] {
            let content_type = format!("application/json; charset={good}");
            assert!(read_as(&content_type, b"{}").await.is_ok(), "{good}");
        }
        for (content_type, body, name) in [
            ("application/json; charset=iso-8859-1", &b"\"caf\xe9\""[..], "iso-8859-1"),
            ("application/json; v=1; Charset=\"windows-1252\"", "\"é\"".as_bytes(), "windows-1252"),
            ("application/json; charset=<script>", "\"é\"".as_bytes(), "another charset"),
            ("application/json", b"\xff\xfe{\0}\0", "UTF-16"),
            ("application/json; charset=utf-16", b"\0{\0}", "UTF-16"),
        ] {
            let refused = read_as(content_type, body).await.unwrap_err();
            assert_eq!(refused.code(), "unsupported_charset", "{content_type}");
            let document = String::from_utf8(refused.document("r")).unwrap();
            assert!(document.contains(&format!("The body is in {name}")), "{document}");
        }
    }

    #[tokio::test]
    async fn compressed_bodies_are_refused() {
        for (coding, refused) in
            [("gzip", true), ("br", true), ("identity, gzip", true), ("Identity", false), ("identity", false)]
        {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
            let code = read(&headers, Body::from("{}"), 10).await.err().map(|problem| problem.code());
            assert_eq!(code, refused.then_some("unsupported_content_coding"), "{coding}");
        }
    }
}
