//! Rendering and sending mail.
