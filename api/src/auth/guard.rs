//! Registration of routes, each with the rule that says who may use it: a handler without a rule does not compile into
//! the table. The handler's signature describes the operation, so that a route cannot be registered without a
//! description either.
//!
//! The access layer of a route authenticates the caller, counts the request, applies the rule, and leaves the
//! credentials for the handler.

use crate::auth::credentials::Credentials;
use crate::auth::policy::{Access, Bucket, Caller, Rule};
use crate::http::headers;
use crate::http::problem::{self, Problem, ProblemKind};
use crate::openapi::schemas::Schemas;
use crate::openapi::{Operation, Signature};
use crate::state::SharedApp;
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use pvt_service::client_address::client_address;
use serde_json::Value;
use std::sync::Arc;

/// A handler of one method, with its rule and its description.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) rule: Rule,
    handler: MethodRouter<SharedApp>,
    /// Whether it is refused during maintenance.
    is_change: bool,
    description: Description,
}

/// The description of an operation: what its signature says, and what only its author can.
struct Description {
    id: &'static str,
    summary: &'static str,
    about: Option<&'static str>,
    answers: Vec<(StatusCode, &'static str)>,
    examples: Vec<(StatusCode, Value)>,
    problems: Vec<&'static ProblemKind>,
    signature: fn(Operation, &mut Schemas) -> Operation,
}

macro_rules! methods {
    ($($name:ident $method:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            #[doc = "`id` names the operation in generated clients."]
            pub(crate) fn $name<H, T, A>(rule: Rule, id: &'static str, handler: H) -> Endpoint
            where
                H: Handler<T, SharedApp> + Signature<A>,
                T: 'static,
            {
                let description = Description {
                    id,
                    summary: "",
                    about: None,
                    answers: Vec::new(),
                    examples: Vec::new(),
                    problems: Vec::new(),
                    signature: <H as Signature<A>>::describe,
                };
                Endpoint {
                    method: Method::$method,
                    rule,
                    handler: routing::$name(handler),
                    is_change: Method::$method != Method::GET,
                    description,
                }
            }
        )*
    };
}

methods! {
    get GET "`GET`, and `HEAD` with it.";
    post POST "`POST`.";
    put PUT "`PUT`.";
    patch PATCH "`PATCH`.";
    delete DELETE "`DELETE`.";
}

impl Endpoint {
    fn describe(mut self, add: impl FnOnce(&mut Description)) -> Self {
        add(&mut self.description);
        self
    }

    /// What it does, in a few words.
    pub(crate) fn summary(self, words: &'static str) -> Self {
        self.describe(|description| description.summary = words)
    }

    /// What a client must know beyond the summary.
    pub(crate) fn about(self, words: &'static str) -> Self {
        self.describe(|description| description.about = Some(words))
    }

    /// What the answer of this status means, where its view does not say it.
    pub(crate) fn answers(self, status: StatusCode, words: &'static str) -> Self {
        self.describe(|description| description.answers.push((status, words)))
    }

    /// An example of the answer of this status, where that of its view does not fit.
    pub(crate) fn example(self, status: StatusCode, example: Value) -> Self {
        self.describe(|description| description.examples.push((status, example)))
    }

    /// Problems that the handler itself answers with.
    pub(crate) fn problems<const N: usize>(self, kinds: [&'static ProblemKind; N]) -> Self {
        self.describe(|description| description.problems.extend(kinds))
    }

    /// Goes on during maintenance: it changes nothing that is stored, it is needed in order to read, or its sender
    /// cannot wait.
    pub(crate) fn goes_on_in_maintenance(mut self) -> Self {
        self.is_change = false;
        self
    }

    /// Reads or writes the store: 503 while it is unreachable.
    pub(crate) fn stored(self) -> Self {
        self.problems([problem::STORE_UNAVAILABLE])
    }

    /// Publishes: 503 while the broker is unreachable.
    pub(crate) fn queued(self) -> Self {
        self.problems([problem::BROKER_UNAVAILABLE])
    }

    /// The operation at this path.
    pub(crate) fn operation(&self, path: &'static str, schemas: &mut Schemas) -> Operation {
        let description = &self.description;
        let operation = Operation::new(path, description.id, description.summary);
        let mut operation = (description.signature)(operation, schemas).all_problems(&description.problems);
        for (status, words) in &description.answers {
            operation = operation.says(*status, words);
        }
        for (status, example) in &description.examples {
            operation = operation.shows(*status, example);
        }
        if self.refuses_unknown_parameters(&operation) {
            operation = operation.problems([problem::INVALID_QUERY]);
        }
        if self.is_change {
            operation = operation.problems([problem::MAINTENANCE, problem::NOT_READY]);
        }
        match description.about {
            Some(words) => operation.about(words),
            None => operation,
        }
    }

    /// Whether a parameter of the query that the operation does not have is refused: a mistyped `dry_run` would carry
    /// out the change, a mistyped filter list everything. Others than a list may be opened by links to which a mail
    /// program adds parameters, and the address of a webhook is configured elsewhere.
    fn refuses_unknown_parameters(&self, operation: &Operation) -> bool {
        let is_list = operation.query_names().any(|name| name == "limit");
        (self.method != Method::GET || is_list) && self.rule.bucket != Bucket::Unlimited
    }

    /// The parameters to which the query is held, if it is held to any.
    fn known_parameters(&self, path: &'static str, schemas: &mut Schemas) -> Option<Arc<[String]>> {
        let operation = self.operation(path, schemas);
        self.refuses_unknown_parameters(&operation).then(|| operation.query_names().map(str::to_owned).collect())
    }
}

/// The routes of one resource, under its tag in the document.
pub(crate) struct Resource {
    /// For example `Bookings`.
    pub(crate) name: &'static str,
    /// What the resource is.
    pub(crate) about: &'static str,
    pub(crate) routes: Vec<Route>,
}

/// A path and what may be done there.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<Endpoint>,
}

/// These methods at this path.
pub(crate) fn at<const N: usize>(path: &'static str, methods: [Endpoint; N]) -> Route {
    Route { path, methods: methods.into() }
}

/// The router of these routes, each behind its guard.
pub(crate) fn assemble(app: &SharedApp, routes: Vec<Route>) -> Router {
    let mut schemas = Schemas::new();
    let mut guarded = |path: &'static str, endpoint: Endpoint| {
        let parameters = endpoint.known_parameters(path, &mut schemas);
        let layer = AccessLayer { app: app.clone(), rule: endpoint.rule, is_change: endpoint.is_change, parameters };
        endpoint.handler.route_layer(from_fn_with_state(layer, guard))
    };
    let router = routes.into_iter().fold(Router::new(), |router, route| {
        let methods = route.methods.into_iter().map(|endpoint| guarded(route.path, endpoint));
        router.route(route.path, methods.fold(MethodRouter::new(), MethodRouter::merge))
    });
    router.with_state(app.clone())
}

/// Where a guard stands.
#[derive(Clone)]
struct AccessLayer {
    app: SharedApp,
    rule: Rule,
    is_change: bool,
    /// The parameters that the query may have; any, if it is not held to these.
    parameters: Option<Arc<[String]>>,
}

async fn guard(
    State(AccessLayer { app, rule, is_change, parameters }): State<AccessLayer>,
    mut request: Request,
    next: Next,
) -> Response {
    // Before it is counted: a client that comes back when it was asked to is not over its limit then.
    if is_change && let Err(refused) = app.maintenance.allow_change() {
        return refused.into_response();
    }
    let address = client_address(request.extensions(), request.headers(), &app.proxies);
    let credentials = if rule.access == Access::Open {
        Ok(Credentials::NONE)
    } else {
        Credentials::read(&app, request.headers()).await
    };
    // A request with an invalid credential is counted as what it is: anonymous, from an address.
    let caller = credentials.as_ref().map_or(&Caller::Anonymous, |credentials| &credentials.caller);
    let counted = match app.rate_limits.count(rule.bucket, caller, address) {
        Ok(counted) => counted,
        Err(refused) => return refused.into_response(),
    };
    let admitted = credentials.and_then(|credentials| authorize(rule, credentials));
    let admitted = admitted.and_then(|credentials| match &parameters {
        Some(known) => check_parameters(request.uri(), known).map(|()| credentials),
        None => Ok(credentials),
    });
    let mut response = match admitted {
        Ok(credentials) => {
            request.extensions_mut().insert(credentials);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    counted.write_to(response.headers_mut());
    response
}

/// Refuses a query with a parameter that is not `known`, and names it.
fn check_parameters(uri: &Uri, known: &[String]) -> Result<(), Problem> {
    let names: Vec<(String, String)> = headers::query(uri)?;
    // Clients may add `wait` at every address of a booking, also where nothing is waited for.
    let is_known = |name: &String| name == "wait" || known.contains(name);
    let Some((unknown, _)) = names.into_iter().find(|(name, _)| !is_known(name)) else { return Ok(()) };
    let known = match known {
        [] => "none".to_owned(),
        known => known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    Err(Problem::new(
        problem::INVALID_QUERY,
        format!("`{unknown}` is no parameter of this operation, which takes {known}."),
    ))
}

fn authorize(rule: Rule, credentials: Credentials) -> Result<Credentials, Problem> {
    // Only bookings have tokens: elsewhere such a value is a credential that is none.
    if credentials.token.is_some() && !matches!(rule.access, Access::Guest(_)) {
        return Err(problem::UNAUTHENTICATED.into());
    }
    rule.authorize(&credentials.caller)?;
    Ok(match rule.access {
        Access::Guest(needed) => Credentials { needed, ..credentials },
        _ => credentials,
    })
}
