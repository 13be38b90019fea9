//! TCP ports of an instance, all on 127.0.0.1: the documented ones, or free ones chosen once and recorded.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::kind::EngineKind;

/// Below the range of ephemeral ports (32768 and up): the port of a killed engine must still be free when the engine
/// restarts.
const FREE_FROM: u16 = 20_000;
const FREE_TO: u16 = 32_000;

/// Every port that the engines of one instance listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// RabbitMQ, AMQP 0-9-1.
    pub amqp: u16,
    /// RabbitMQ, management API and pages.
    pub management: u16,
    /// RabbitMQ, Erlang distribution.
    pub distribution: u16,
    /// RabbitMQ, Erlang port mapper of this instance alone.
    pub mapper: u16,
    /// MongoDB.
    pub mongodb: u16,
    /// PostgreSQL.
    pub postgres: u16,
}

/// The choice of the ports of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortPlan {
    /// Exactly these ports.
    Fixed(Ports),
    /// Free ports, chosen at the first start and kept while no other program takes them.
    Free,
}

impl PortPlan {
    /// The documented ports of `pvt up`.
    #[must_use]
    pub fn documented() -> Self {
        Self::Fixed(Ports::DOCUMENTED)
    }
}

impl Ports {
    /// The documented ports of `pvt up`.
    pub const DOCUMENTED: Self =
        Self { amqp: 5682, management: 15682, distribution: 25682, mapper: 14369, mongodb: 27027, postgres: 5442 };

    /// The ports that one engine listens on, without the port mapper, which outlives a killed broker.
    pub(crate) fn of(&self, kind: EngineKind) -> Vec<u16> {
        match kind {
            EngineKind::RabbitMq => vec![self.amqp, self.management, self.distribution],
            EngineKind::MongoDb => vec![self.mongodb],
            EngineKind::PostgreSql => vec![self.postgres],
        }
    }

    /// These ports, with those of one engine replaced.
    pub(crate) fn with(mut self, kind: EngineKind, others: &Self) -> Self {
        match kind {
            EngineKind::RabbitMq => {
                self.amqp = others.amqp;
                self.management = others.management;
                self.distribution = others.distribution;
                self.mapper = others.mapper;
            }
            EngineKind::MongoDb => self.mongodb = others.mongodb,
            EngineKind::PostgreSql => self.postgres = others.postgres,
        }
        self
    }

    fn all(&self) -> [u16; 6] {
        [self.amqp, self.management, self.distribution, self.mapper, self.mongodb, self.postgres]
    }

    /// Chooses free ports, none of them in `reserved`.
    pub(crate) fn choose_free(reserved: &HashSet<u16>) -> Result<Self, EngineError> {
        let span = FREE_TO - FREE_FROM;
        let offset = RandomState::new().build_hasher().finish() % u64::from(span);
        let offset = u16::try_from(offset).unwrap_or_default();
        let mut free = (0..span)
            .map(|step| FREE_FROM + (offset + step) % span)
            .filter(|port| !reserved.contains(port) && is_free(*port));
        let mut next = || free.next().ok_or(EngineError::NoFreePort { from: FREE_FROM, to: FREE_TO });
        Ok(Self {
            amqp: next()?,
            management: next()?,
            distribution: next()?,
            mapper: next()?,
            mongodb: next()?,
            postgres: next()?,
        })
    }
}

/// Whether the port is free.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The recorded ports of other instances under the same root, running or not.
pub(crate) fn recorded_elsewhere(root: &Path, own_state_dir: &Path, file_name: &str) -> HashSet<u16> {
    #[derive(Deserialize)]
    struct Recorded {
        ports: Ports,
    }
    let Ok(homes) = fs::read_dir(root) else { return HashSet::new() };
    homes
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|state_dir| state_dir != own_state_dir)
        .filter_map(|state_dir| fs::read(state_dir.join(file_name)).ok())
        .filter_map(|bytes| serde_json::from_slice::<Recorded>(&bytes).ok())
        .flat_map(|recorded| recorded.ports.all())
        .chain(Ports::DOCUMENTED.all())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_avoid_reserved_ports() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(held.local_addr().unwrap().port()));
        let first = Ports::choose_free(&HashSet::new()).unwrap();
        let reserved: HashSet<u16> = first.all().into_iter().collect();
        assert_eq!(reserved.len(), 6);
        let second = Ports::choose_free(&reserved).unwrap();
        assert!(second.all().iter().all(|port| !reserved.contains(port)));
    }
}
