//! What is known of a request before its handler runs.
//!
//! Made by the HTTP middleware, put into the request's extensions, and passed on to whatever runs a
//! model: every protocol hands the same type to the inference service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::admission::{AdmissionRequest, ClientKey, Priority};
use crate::auth::{Caller, Scope, Tokens};
use crate::problem::{Problem, ProblemKind};

/// Where a request comes from: the other end of its connection, or whom a trusted proxy names.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAddress(pub IpAddr);

/// Who sent a request, how urgent it is and until when an answer is useful.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The request's id.
    pub id: Arc<str>,
    /// The authenticated caller; none yet if the token is in the request's form.
    pub caller: Option<Caller>,
    /// The client whose share of the queue the request counts towards.
    pub client: ClientKey,
    /// How urgent it is.
    pub priority: Priority,
    /// How long the request may take once its body is there.
    pub time_limit: Duration,
    /// Time after which an answer is useless.
    pub deadline: Instant,
}

impl RequestContext {
    /// Starts the request's time anew, when its body has arrived.
    pub fn restart(&mut self) {
        self.deadline = Instant::now() + self.time_limit;
    }

    /// Whether the request may go before those of others.
    pub fn may_go_first(&self) -> bool {
        self.caller.as_ref().is_some_and(Caller::may_go_first)
    }

    /// What admission needs to know of a request that is so much work.
    pub fn admission_request(&self, work: u64) -> AdmissionRequest {
        AdmissionRequest {
            client: Arc::clone(&self.client),
            priority: self.priority,
            work,
            deadline: self.deadline,
        }
    }

    /// Judges the request by its token: whether there is such a token now, and what it allows.
    pub fn authenticate(
        &mut self,
        tokens: &Tokens,
        token: Option<&str>,
        scope: Scope,
    ) -> Result<(), Problem> {
        let caller = tokens.identify(token)?;
        caller.check(scope)?;
        if self.priority == Priority::High && !caller.may_go_first() {
            return Err(Problem::new(
                ProblemKind::Forbidden,
                "x-priority: high needs a token that allows it: with the scope admin, or with the word \
                 'high' after its scope",
            ));
        }
        if let Some(client) = caller.client_key() {
            self.client = client;
        }
        self.caller = Some(caller);
        Ok(())
    }

    /// Authenticates with a token from the request's form, if its headers had none.
    pub fn authenticated(mut self, tokens: &Tokens, token: Option<&str>) -> Result<Self, Problem> {
        if self.caller.is_none() {
            self.authenticate(tokens, token, Scope::Infer)?;
        }
        Ok(self)
    }
}
