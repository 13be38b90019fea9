//! Mail servers that differ from the sink: without pipelining, and with other behaviour that the standard allows.

use crate::{client_of, count, outgoing_mails};
use pvt_workers::mail::smtp::DeliveryOutcome;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server that replies to each line with `answer`, one line at a time; within a message it waits for the final dot.
async fn server(answer: fn(&str) -> &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (read, mut write) = socket.into_split();
                let mut lines = BufReader::new(read).lines();
                write.write_all(b"220 hello\r\n").await.unwrap();
                let mut body = false;
                while let Ok(Some(line)) = lines.next_line().await {
                    if body && line != "." {
                        continue;
                    }
                    let reply = if body { answer(".") } else { answer(&line) };
                    body = !body && reply.starts_with("354");
                    if write.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_server_without_pipelining_gets_one_command_at_a_time() {
    let address = server(|line| match line {
        "EHLO pvt.test" => "250 plain\r\n",
        "DATA" => "354 go on\r\n",
        line if line.starts_with("RCPT") && line.contains("guest-3@") => "550 unknown guest-3@example.com\r\n",
        _ => "250 ok\r\n",
    })
    .await;
    let outcomes = client_of(address).send_all(&outgoing_mails(20)).await;
    assert_eq!((count(&outcomes, "accepted"), count(&outcomes, "refused")), (19, 1), "{outcomes:?}");
    let DeliveryOutcome::Refused(reply) = &outcomes[3] else { panic!("{outcomes:?}") };
    assert!(reply.contains("unknown") && !reply.contains("guest-3"), "{reply}");
}

#[tokio::test]
async fn data_accepted_without_recipients_gets_empty_message() {
    let address = server(|line| match line {
        "EHLO pvt.test" => "250-eager\r\n250 PIPELINING\r\n",
        "DATA" => "354 go on\r\n",
        line if line.starts_with("RCPT") && line.contains("guest-3@") => "550 unknown\r\n",
        _ => "250 ok\r\n",
    })
    .await;
    let outcomes = client_of(address).send_all(&outgoing_mails(20)).await;
    assert_eq!((count(&outcomes, "accepted"), count(&outcomes, "refused")), (19, 1), "{outcomes:?}");
}

#[tokio::test]
async fn refused_sender_leaves_mails_unsent() {
    let address = server(|line| match line {
        line if line.starts_with("MAIL") => "550 who are you\r\n",
        line if line.starts_with("RCPT") || line == "DATA" => "503 no\r\n",
        "EHLO pvt.test" => "250-strict\r\n250 PIPELINING\r\n",
        _ => "250 ok\r\n",
    })
    .await;
    let outcomes = client_of(address).send_all(&outgoing_mails(20)).await;
    assert_eq!(count(&outcomes, "unsent"), 20, "{outcomes:?}");
}

#[tokio::test]
async fn refusing_greeting_leaves_mails_unsent() {
    let address = server(|_| "554 no service\r\n").await;
    let outcomes = client_of(address).send_all(&outgoing_mails(3)).await;
    assert_eq!(count(&outcomes, "unsent"), 3, "{outcomes:?}");
}

#[tokio::test]
async fn rejection_after_data_is_classified_by_code() {
    let address = server(|line| match line {
        "EHLO pvt.test" => "250-late\r\n250 PIPELINING\r\n",
        "DATA" => "354 go on\r\n",
        "." => "452 4.3.1 disk full\r\n",
        _ => "250 ok\r\n",
    })
    .await;
    let outcomes = client_of(address).send_all(&outgoing_mails(5)).await;
    assert_eq!(count(&outcomes, "later"), 5, "{outcomes:?}");
}
