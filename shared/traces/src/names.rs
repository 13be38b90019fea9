//! Names of spans and attributes, by the semantic conventions of OpenTelemetry 1.37: HTTP, messaging (RabbitMQ),
//! databases. What they have no name for begins with `pvt.`.
//!
//! Searches and dashboards of operators rely on them: renaming one is a breaking change. All are listed in
//! docs/operations.md.

/// Method of a request; [`OTHER_METHOD`] for one that HTTP does not define.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// Route of a request, as the OpenAPI document writes it.
pub const HTTP_ROUTE: &str = "http.route";
/// Status of an answer.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// Class of the error with which a span ended.
pub const ERROR_TYPE: &str = "error.type";

/// Always [`RABBITMQ`].
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// `send`, `process` (one message) or `handle` (a batch).
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `send` or `process`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// `exchange:key`, for consumers `exchange:key:queue`; parts that are empty are left out.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// True for a queue that the broker named, such as one for replies.
pub const MESSAGING_DESTINATION_ANONYMOUS: &str = "messaging.destination.anonymous";
/// Routing key.
pub const MESSAGING_ROUTING_KEY: &str = "messaging.rabbitmq.destination.routing_key";
/// Id of the message, by which receivers deduplicate.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// Correlation id: the booking, or whatever the message is about.
pub const MESSAGING_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Bytes of the body.
pub const MESSAGING_BODY_SIZE: &str = "messaging.message.body.size";
/// Messages of a batch.
pub const MESSAGING_BATCH_COUNT: &str = "messaging.batch.message_count";
/// The value of [`MESSAGING_SYSTEM`].
pub const RABBITMQ: &str = "rabbitmq";

/// `mongodb` or `postgresql`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// What is done there, such as `commit`.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// Collection or schema.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";

/// Worker that handles a message.
pub const WORKER: &str = "pvt.worker";
/// Wire name of a message, with its version.
pub const MESSAGE_TYPE: &str = "pvt.message.type";
/// Attempt of a message, counted from 1.
pub const MESSAGE_ATTEMPT: &str = "pvt.message.attempt";
/// What became of a message that failed, was deferred, or waits: the outcome.
pub const OUTCOME: &str = "pvt.outcome";
/// Operation of Stripe, as in metrics.
pub const STRIPE_OPERATION: &str = "pvt.stripe.operation";

/// The method of a request with one that HTTP does not define.
pub const OTHER_METHOD: &str = "_OTHER";
/// What stands for the name of a queue that the broker named, so that names of spans stay few.
pub const ANONYMOUS: &str = "(anonymous)";

/// Span of a decision on one command.
pub const DECIDE: &str = "decide";
/// Span of a mail, from its first command to the server's reply.
pub const SEND_MAIL: &str = "send mail";
