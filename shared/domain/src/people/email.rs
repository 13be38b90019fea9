//! Mail addresses: their stored form, and what is wrong with one.

use super::text::normal;

/// Longest mail address, in bytes (RFC 5321 §4.5.3.1.3 leaves 254 for the address itself).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;
/// Longest part of a domain between two dots, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The address as it is stored, compared and sent to: in lower case, its domain in ASCII (A-labels, RFC 5890).
///
/// RFC 5321 lets servers distinguish `Ada@` from `ada@`; no common server does. Accepted is what mail servers accept:
/// a dot-atom and a dotted host name (RFC 5321's `Mailbox` without quoting and literals).
///
/// # Errors
/// What is wrong with it, in words that do not repeat it.
pub fn parse(text: &str) -> Result<String, &'static str> {
    let text = normal(text);
    let (local, domain) = text.rsplit_once('@').ok_or("there is no @")?;
    check_local(local)?;
    if domain.is_empty() {
        return Err("nothing stands after the @");
    }
    if domain.contains(char::is_whitespace) {
        return Err("there is a space after the @");
    }
    let local = local.to_ascii_lowercase();
    let domain = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_strict(domain).map_err(|_| "what stands after the @ cannot be the name of a domain")?
    };
    check_domain(&domain)?;
    let address = format!("{local}@{domain}");
    if address.len() > MAX_EMAIL_BYTES { Err("it is too long") } else { Ok(address) }
}

fn check_local(local: &str) -> Result<(), &'static str> {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if local.is_empty() {
        Err("nothing stands before the @")
    } else if local.contains('@') {
        Err("there is more than one @")
    } else if !local.is_ascii() {
        Err("before the @ stands a letter with an accent or of another script")
    } else if local.contains(char::is_whitespace) {
        Err("there is a space before the @")
    } else if local.split('.').any(str::is_empty) {
        Err("before the @ a dot stands first, last or twice in a row")
    } else if !local.split('.').all(|part| part.chars().all(is_atom)) {
        Err("before the @ stands a character that mail servers do not accept")
    } else if local.len() > MAX_LOCAL_BYTES {
        Err("more than 64 characters stand before the @")
    } else {
        Ok(())
    }
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    let has_only_letters = |label: &str| label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !domain.contains('.') {
        Err("what stands after the @ has no dot")
    } else if domain.split('.').any(str::is_empty) {
        Err("after the @ a dot stands first, last or twice in a row")
    } else if !domain.split('.').all(has_only_letters) {
        Err("after the @ stands a character that domains do not have")
    } else if domain.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        Err("a part of what stands after the @ begins or ends with a dash")
    } else if domain.split('.').any(|label| label.len() > MAX_LABEL_BYTES) {
        Err("a part of what stands after the @ is too long")
    } else {
        Ok(())
    }
}
