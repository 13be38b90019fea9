//! The dialogue of RFC 5321, and arbitrary input.

use super::{Dialogue, MAX_LINE_BYTES, MAX_MESSAGE_BYTES, Received, Step};
use proptest::prelude::*;

const LONGEST_RUN: usize = 100_000;

/// Feeds all input in chunks of this size, as a socket would, and returns the code of every reply and every mail.
fn talk(input: &[u8], piece: usize) -> (Vec<String>, Vec<Received>) {
    let (mut dialogue, mut buffer, mut codes, mut mails) = (Dialogue::new(), Vec::new(), Vec::new(), Vec::new());
    for chunk in input.chunks(piece.max(1)) {
        buffer.extend_from_slice(chunk);
        for turn in 0.. {
            assert!(turn < LONGEST_RUN, "the dialogue does not end");
            let (used, step) = dialogue.step(&buffer, &mut |_| None);
            assert!(used <= buffer.len());
            buffer.drain(..used);
            match step {
                Step::NeedMore => break,
                Step::Reply(reply) => {
                    assert!(used > 0, "a reply to nothing: {reply}");
                    codes.push(reply[..3].to_owned());
                }
                Step::Mail(mail) => {
                    codes.push("250".to_owned());
                    mails.push(mail);
                }
                Step::Close(reply) => {
                    codes.push(reply[..3].to_owned());
                    return (codes, mails);
                }
                Step::Cut => return (codes, mails),
            }
        }
    }
    (codes, mails)
}

fn codes(input: &str) -> Vec<String> {
    talk(input.as_bytes(), usize::MAX).0
}

const OPENING: &str = "EHLO me\r\nMAIL FROM:<a@pvt.test>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n";

#[test]
fn mail_is_accepted_in_chunks_of_any_size() {
    let input = format!("{OPENING}Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    for piece in [1, 2, 3, 7, 1_000] {
        let (codes, mails) = talk(input.as_bytes(), piece);
        assert_eq!(codes, ["250", "250", "250", "354", "250", "221"]);
        assert_eq!(mails.len(), 1);
        assert_eq!(
            (mails[0].from.as_str(), mails[0].to.as_slice()),
            ("a@pvt.test", ["ada@example.com".to_owned()].as_slice())
        );
        assert_eq!(mails[0].raw, b"Subject: x\r\n\r\n.dot\r\n");
    }
}

#[test]
fn only_crlf_dot_crlf_ends_a_message() {
    let input = format!("{OPENING}one\n.\nMAIL FROM:<x@y.z>\r\n.\n.\r\r\n\r\n.\r\n");
    let (codes, mails) = talk(input.as_bytes(), usize::MAX);
    assert_eq!(codes, ["250", "250", "250", "354", "250"]);
    assert_eq!(mails.len(), 1, "nothing was smuggled in");
    assert!(mails[0].raw.starts_with(b"one\n.\nMAIL FROM"));
}

#[test]
fn out_of_order_commands_are_refused_and_session_continues() {
    assert_eq!(
        codes("MAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nEHLO\r\nNOOP\r\nWHAT\r\n"),
        ["503", "503", "503", "501", "250", "502"]
    );
    assert_eq!(
        codes("EHLO me\r\nMAIL FROM:<a@b.c>\r\nDATA\r\nMAIL FROM:<a@b.c>\r\nRSET\r\nMAIL FROM:<>\r\n"),
        ["250", "250", "554", "503", "250", "250"]
    );
}

#[test]
fn addresses_are_parsed_strictly() {
    let rcpt = |text: &str| codes(&format!("EHLO me\r\nMAIL FROM:<a@b.c>\r\n{text}\r\n"))[2].clone();
    assert_eq!(rcpt("rcpt to:<ada@example.com>"), "250");
    assert_eq!(rcpt("RCPT TO: <ada@example.com> NOTIFY=NEVER"), "250");
    for wrong in [
        "RCPT TO:ada@example.com",
        "RCPT TO:<ada>",
        "RCPT TO:<a b@c.d>",
        "RCPT TO:<>",
        "RCPT FROM:<a@b.c>",
        "RCPT TO",
        "RCPT",
    ] {
        assert_eq!(rcpt(wrong), "501", "{wrong}");
    }
}

#[test]
fn oversized_messages_and_lines_are_refused() {
    assert_eq!(codes(&format!("EHLO me\r\nMAIL FROM:<a@b.c> SIZE={}\r\n", MAX_MESSAGE_BYTES + 1)), ["250", "552"]);
    let line = format!("{}\r\n", "x".repeat(998));
    let input = format!("{OPENING}{}.\r\nNOOP\r\n", line.repeat(MAX_MESSAGE_BYTES / line.len() + 1));
    let (codes, mails) = talk(input.as_bytes(), 64 * 1024);
    assert_eq!((codes.last().map(String::as_str), codes[4].as_str(), mails.len()), (Some("250"), "552", 0));
    assert_eq!(talk(&vec![b'x'; MAX_LINE_BYTES + 1], 512).0, ["500"]);
}

#[test]
fn session_closes_after_too_many_errors() {
    assert_eq!(codes(&"WHAT\r\n".repeat(50)).last().map(String::as_str), Some("421"));
}

proptest! {
    #[test]
    fn arbitrary_input_does_not_panic(input in proptest::collection::vec(any::<u8>(), 0..4_000),
        piece in 1_usize..500) {
        talk(&input, piece);
    }

    #[test]
    fn replies_do_not_depend_on_chunking(
        commands in proptest::collection::vec(prop_oneof![
            Just("EHLO me"), Just("HELO me"), Just("MAIL FROM:<a@b.c>"), Just("MAIL FROM:<>"), Just("RCPT TO:<a@b.c>"),
                Just("DATA"), Just("RSET"),
            Just("."), Just("..x"), Just("hello"), Just("QUIT"), Just("VRFY x"), Just("\u{e9}"), Just(""),
        ], 0..40),
        piece in 1_usize..50,
    ) {
        let input = commands.iter().map(|command| format!("{command}\r\n")).collect::<String>();
        prop_assert_eq!(talk(input.as_bytes(), piece), talk(input.as_bytes(), usize::MAX));
    }

    #[test]
    fn dot_stuffing_round_trips(lines in proptest::collection::vec("[ -~]{0,60}", 0..30),
        piece in 1_usize..200) {
        let stuffed: String = lines.iter().map(|line| format!("{}{line}\r\n",
            if line.starts_with('.') { "." } else { "" })).collect();
        let (_, mails) = talk(format!("{OPENING}{stuffed}.\r\n").as_bytes(), piece);
        let sent: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        prop_assert_eq!(&mails[0].raw, sent.as_bytes());
    }
}
