//! `POST /v1/detect`: pictures in as they are, in a form or in JSON; boxes out, or the picture with
//! boxes on it.

mod accept;
mod body;
mod parameters;
mod response;
mod schema;

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
use crate::fetch;
use crate::inference_service::{Errand, Found, blocking};
use crate::model_repository::Slot;
use crate::problem::{Kind, Problem, ProblemBody};
use accept::Form;
use body::{BodyForm, Content, Picture};
use response::Answer;
use response::ImageSeen;

#[cfg(test)]
pub use parameters::NAMES;
pub use parameters::{Parameters, fraction};
pub use schema::{DetectForm, DetectJson, PictureBytes};

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

/// Finds objects on pictures.
#[utoipa::path(
    post, path = "/v1/detect", tag = "detect", operation_id = "detect",
    summary = "Find objects on pictures",
    description = "Takes one picture as the body, or several in a form or in JSON, up to the \
                   server's limit. Parameters stand in the query, in the form's fields or in the \
                   JSON object, each once.\n\nJPEG, PNG, WebP, BMP, TIFF and GIF are read, told \
                   by their first bytes. Of several pictures some may fail: the answer is 200 and \
                   has the reason in their place. If all fail, the answer is the first one's \
                   problem.\n\nWith `Accept: image/jpeg` or `image/png` the answer is the picture \
                   with boxes drawn on it; the request must then have one picture.",
    params(schema::DetectQuery),
    request_body(
        description = "A bare picture, a form, or JSON.",
        content(
            (PictureBytes = "image/*"),
            (PictureBytes = "application/octet-stream"),
            (DetectForm = "multipart/form-data"),
            (DetectJson = "application/json", example = json!({
                "image": {"base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"},
                "conf": 0.25
            })),
        )
    ),
    responses(
        (status = 200, description = "What was found, or the picture with boxes on it.", content(
            (Answer = "application/json"),
            (PictureBytes = "image/jpeg"),
            (PictureBytes = "image/png"),
        )),
        (status = 400, description = "A parameter, a header or the body makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token does not allow this, or addresses are not fetched.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model; the answer names those that are.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 406, description = "Nothing that Accept names can be answered.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "The body came too slowly.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body or the picture is larger than allowed, or there are too many pictures.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body's form is not read here, or the picture is of no known format.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The picture is damaged or cannot be fetched.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This client asks for more than its share.", body = ProblemBody, content_type = "application/problem+json",
            headers(("retry-after" = u64, description = "Seconds to wait."))),
        (status = 503, description = "Too much to do for the deadline, or the model is not loaded.", body = ProblemBody, content_type = "application/problem+json",
            headers(("retry-after" = u64, description = "Seconds to wait, where that is known."))),
    )
)]
pub async fn detect(
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
        return response::json(&slot.name, &visit.id, images);
    }
    let picture = only(pictures)?;
    let found = work.see(picture.content).await?;
    held.release();
    let style = parameters.style();
    response::picture(&app, &slot, found, metadata.names, style, plan.answer).await
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
