//! A simulated Stripe inside the test process that pushes its events to the API under test.

use super::stack::WEBHOOK_SECRET;
use anyhow::Result;
use pvt_stripe_simulator::{Control, Endpoint, Simulator, SimulatorOptions};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// A running simulator, stopped on drop.
pub(crate) struct Stripe {
    control: Control,
    base: String,
    stop: CancellationToken,
}

impl Stripe {
    /// Starts a simulator that pushes to the API at this address.
    pub(crate) async fn start(api: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint {
            url: format!("http://{api}/api/payments/webhook").parse()?,
            secrets: vec![WEBHOOK_SECRET.to_owned()],
        };
        let simulator =
            Simulator::bind(SimulatorOptions { endpoints: vec![endpoint], ..SimulatorOptions::default() }).await?;
        let (control, base, stop) =
            (simulator.handle(), format!("http://{}", simulator.addr()), CancellationToken::new());
        tokio::spawn(simulator.run(stop.clone()));
        Ok(Self { control, base, stop })
    }

    /// Plays guests, banks and staff, injects faults, and counts effects.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Settings with which our programs reach it.
    pub(super) fn environment(&self) -> [(String, String); 2] {
        [
            ("STRIPE_SECRET_KEY".to_owned(), "sk_test_of_the_tests".to_owned()),
            ("STRIPE_API_BASE".to_owned(), self.base.clone()),
        ]
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
