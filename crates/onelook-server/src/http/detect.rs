//! `POST /v1/detect`: pictures in as they are, in a form or in JSON; boxes out, or the picture with
//! boxes on it.

mod accept;
mod answer;
mod intake;
mod parameters;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use onelook::Options;
use tokio::task::JoinSet;

use super::Visit;
use crate::app::App;
use crate::body::{self, Held};
use crate::catalogue::Slot;
use crate::fetch;
use crate::problem::{Kind, Problem};
use crate::stations::{Errand, Found, blocking};
use accept::Form;
use answer::ImageSeen;
use intake::{BodyForm, Content, Picture};

pub use answer::Answer;
pub use parameters::{Parameters, fraction};

/// Bodies larger than this are taken apart away from the threads that answer.
const SMALL_BODY: usize = 256 << 10;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/detect", post(detect))
}

/// What is known of a request before its body is read.
struct Plan {
    parameters: Parameters,
    body: BodyForm,
    answer: Form,
}

async fn detect(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let plan = match plan(&app, &visit, &uri, &headers) {
        Ok(plan) => plan,
        Err(problem) => {
            body::drain(body).await;
            return Err(problem);
        }
    };
    let held = body::read(&app, body).await?;
    let (mut held, parameters, pictures) =
        take_apart(&app, held, plan.body, plan.parameters).await?;
    let slot = app.catalogue.slot(parameters.model.as_deref())?;
    let metadata = slot.served()?.model.metadata().clone();
    let work = Work {
        app: Arc::clone(&app),
        slot: Arc::clone(&slot),
        errand: visit.errand.clone(),
        options: Arc::new(parameters.options(&metadata)?),
    };
    if plan.answer == Form::Json {
        let names = Arc::new(metadata.names);
        let images = work.see_all(pictures, &names).await;
        held.release();
        return answer::json(&slot.name, &visit.id, images);
    }
    let picture = only(pictures)?;
    let found = work.see(picture.content).await?;
    held.release();
    let style = parameters.style();
    answer::picture(&app, &slot, found, metadata.names, style, plan.answer).await
}

/// Refuses early what can be refused before the body is read.
fn plan(app: &App, visit: &Visit, uri: &Uri, headers: &HeaderMap) -> Result<Plan, Problem> {
    let mut parameters = Parameters::default();
    for (name, value) in words(uri)? {
        parameters.set(&name, &value)?;
    }
    let plan = Plan {
        answer: accept::negotiate(headers)?,
        body: BodyForm::of(headers)?,
        parameters,
    };
    // A form may still name another model than the first.
    let named = plan.parameters.model.as_deref();
    if named.is_some() || plan.body == BodyForm::Bare || app.catalogue.all().len() == 1 {
        let slot = app.catalogue.slot(named)?;
        app.stations.knock(&slot, &visit.errand.ask(1))?;
        plan.parameters.options(slot.served()?.model.metadata())?;
    }
    Ok(plan)
}

/// The words of a query.
fn words(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(words)| words)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))
}

async fn take_apart<'a>(
    app: &App,
    mut held: Held<'a>,
    form: BodyForm,
    mut parameters: Parameters,
) -> Result<(Held<'a>, Parameters, Vec<Picture>), Problem> {
    let body = std::mem::take(&mut held.bytes);
    let (most, large) = (app.config.limits.pictures, body.len() > SMALL_BODY);
    let work = move || {
        let pictures = form.read(body, &mut parameters, most)?;
        Ok::<_, Problem>((parameters, pictures))
    };
    let (parameters, pictures) = match large {
        true => blocking(work).await??,
        false => work()?,
    };
    Ok((held, parameters, pictures))
}

fn only(mut pictures: Vec<Picture>) -> Result<Picture, Problem> {
    match (pictures.pop(), pictures.is_empty()) {
        (Some(picture), true) => Ok(picture),
        _ => Err(Problem::new(
            Kind::NotAcceptable,
            "only a request with one picture can be answered with a picture: send one, or accept \
             application/json",
        )),
    }
}

/// What the pictures of a request have in common.
#[derive(Clone)]
struct Work {
    app: Arc<App>,
    slot: Arc<Slot>,
    errand: Errand,
    options: Arc<Options>,
}

impl Work {
    /// Finds objects on all pictures, several at a time; what was found, in their order.
    async fn see_all(
        &self,
        pictures: Vec<Picture>,
        names: &Arc<Vec<String>>,
    ) -> Vec<(String, Result<ImageSeen, Problem>)> {
        let width = self.slot.served().map_or(1, |served| 2 * served.max_batch);
        let mut outcomes: Vec<(String, Option<Result<ImageSeen, Problem>>)> = pictures
            .iter()
            .map(|picture| (picture.name.clone(), None))
            .collect();
        let mut rest: VecDeque<(usize, Picture)> = pictures.into_iter().enumerate().collect();
        // Dropped with the request: whatever still waits leaves the queue.
        let mut running = JoinSet::new();
        loop {
            while running.len() < width.max(4)
                && let Some((index, picture)) = rest.pop_front()
            {
                let (work, names) = (self.clone(), Arc::clone(names));
                running.spawn(async move {
                    let found = work.see(picture.content).await;
                    (
                        index,
                        found.map(|found| ImageSeen::of(picture.name, &found, &names)),
                    )
                });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((index, outcome))) => outcomes[index].1 = Some(outcome),
                Some(Err(error)) => tracing::error!(%error, "a picture's task failed"),
            }
        }
        let failed = || Err(Problem::internal("the picture's task failed"));
        let settled = outcomes.into_iter();
        settled
            .map(|(name, outcome)| (name, outcome.unwrap_or_else(failed)))
            .collect()
    }

    async fn see(&self, content: Result<Content, Problem>) -> Result<Found, Problem> {
        match content? {
            Content::Bytes(bytes) => self.look(bytes).await,
            Content::Url(url) => {
                let mut fetched = fetch::picture(&self.app, &url, self.errand.deadline).await?;
                let bytes = std::mem::take(&mut fetched.bytes);
                self.look(bytes).await
            }
        }
    }

    async fn look(&self, bytes: Bytes) -> Result<Found, Problem> {
        let stations = &self.app.stations;
        stations
            .detect(&self.slot, &self.errand, bytes, &self.options)
            .await
    }
}
