//! Kinds of engines.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An engine that the product depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The message broker, with its management API.
    RabbitMq,
    /// The operational store; a replica set `pvt` of one member.
    MongoDb,
    /// The analytics mart.
    PostgreSql,
}

impl EngineKind {
    /// Every engine, in the order in which they are shown and stopped.
    pub const ALL: [Self; 3] = [Self::RabbitMq, Self::MongoDb, Self::PostgreSql];

    /// The name of its folder, its record and its log, and of its service in the compose file.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::MongoDb => "mongodb",
            Self::PostgreSql => "postgres",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "RabbitMQ",
            Self::MongoDb => "MongoDB",
            Self::PostgreSql => "PostgreSQL",
        })
    }
}
