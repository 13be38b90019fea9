//! The only way to register a route: with the rule that says who may use it. A handler without a rule does not compile
//! into the table.
//!
//! The guard of a route finds out who calls, counts the request, asks the rule, and leaves what it found for the
//! handler.

use crate::app::SharedApp;
use crate::client_address::client_address;
use crate::credentials::Presented;
use crate::policy::{Access, Caller, Rule};
use crate::problem::{self, Problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};

/// A handler of one method, with its rule.
pub(crate) struct Guarded {
    pub(crate) method: Method,
    pub(crate) rule: Rule,
    handler: MethodRouter<SharedApp>,
}

macro_rules! methods {
    ($($name:ident $method:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub(crate) fn $name<H: Handler<T, SharedApp>, T: 'static>(rule: Rule, handler: H) -> Guarded {
                Guarded {
                    method: Method::$method,
                    rule,
                    handler: routing::$name(handler),
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

/// A path and what may be done there.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<Guarded>,
}

/// These methods at this path.
pub(crate) fn at<const N: usize>(path: &'static str, methods: [Guarded; N]) -> Route {
    Route { path, methods: methods.into() }
}

/// The router of these routes, each behind its guard.
pub(crate) fn assemble(app: &SharedApp, routes: Vec<Route>) -> Router {
    let guarded = |guarded: Guarded| {
        guarded.handler.route_layer(from_fn_with_state(Post { app: app.clone(), rule: guarded.rule }, guard))
    };
    let router = routes.into_iter().fold(Router::new(), |router, route| {
        router.route(route.path, route.methods.into_iter().map(guarded).fold(MethodRouter::new(), MethodRouter::merge))
    });
    router.with_state(app.clone())
}

/// Where a guard stands.
#[derive(Clone)]
struct Post {
    app: SharedApp,
    rule: Rule,
}

async fn guard(State(Post { app, rule }): State<Post>, mut request: Request, next: Next) -> Response {
    let address = client_address(request.extensions(), request.headers(), &app.proxies);
    let presented = if rule.access == Access::Open {
        Ok(Presented::NOTHING)
    } else {
        Presented::read(&app, request.headers()).await
    };
    // Whoever sends a credential that is none is counted as what they are: a stranger at an address.
    let caller = presented.as_ref().map_or(&Caller::Anonymous, |presented| &presented.caller);
    let counted = match app.limits.count(rule.bucket, caller, address) {
        Ok(counted) => counted,
        Err(refused) => return refused.into_response(),
    };
    let mut response = match presented.and_then(|presented| admit(rule, presented)) {
        Ok(presented) => {
            request.extensions_mut().insert(presented);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    counted.tell(response.headers_mut());
    response
}

fn admit(rule: Rule, presented: Presented) -> Result<Presented, Problem> {
    // Only bookings have tokens: elsewhere such a value is a credential that is none.
    if presented.token.is_some() && rule.access != Access::Guest {
        return Err(problem::UNAUTHENTICATED.into());
    }
    rule.admits(&presented.caller)?;
    Ok(presented)
}
