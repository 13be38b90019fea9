//! `pvt bench`.

use anyhow::Result;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures.
pub(crate) async fn run(args: BenchArgs) -> Result<()> {
    let _ = args.json;
    Ok(())
}
