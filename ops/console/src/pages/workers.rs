//! Worker processes: what each runs, how it is, and which have gone.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::live::processes::{ProcessRow, process_rows, processes_digest};
use askama::Template;
use axum::extract::State;
use axum::response::Html;

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    frame: Frame,
    source: String,
    rows: Vec<ProcessRow>,
    is_known: bool,
    digest: String,
}

/// `GET /workers`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let figures = app.board.figures();
    page(&WorkersPage {
        frame: Frame::new(&user, "Workers", "/workers"),
        source: figures.processes.state(),
        rows: process_rows(&figures, app.topology.prefix()),
        is_known: figures.processes.value().is_some(),
        digest: processes_digest(&figures),
    })
}
