//! Names, mail addresses, phone numbers and languages of people, each in the one form that is stored and compared.
//!
//! Forms normalise before they check, searches as storage does. What was stored by earlier versions stays as it is: it
//! is made safe where it is shown.

pub mod countries;
pub mod email;
pub mod language;
pub mod phone;
pub mod text;
pub mod writing;

#[cfg(test)]
mod tests;
