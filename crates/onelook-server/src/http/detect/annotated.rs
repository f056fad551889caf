//! The annotated images of a request in one archive, with what was detected in `results.json` at its end.
//!
//! A few images are drawn and encoded ahead of the client's reading; the frames of the others do not exist
//! yet. An image that fails has its error in `results.json`. If all fail, the answer is the first problem.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{self, StreamExt, try_unfold};
use onelook::vision::draw::DrawStyle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

use super::accept::{ArchiveFormat, ImageFormat};
use super::archive::{ArchiveFile, ArchiveWriter, FileNames};
use super::job::DetectJob;
use super::request::RequestImage;
use super::response::{self, DetectResponse, ImageError, ImageOutcome, ImageResponse};
use crate::blocking::blocking;
use crate::body::counted;
use crate::problem::Problem;

/// Images that are worked on ahead of the one that is sent.
const AHEAD: usize = 4;

/// Pause before memory is asked for again.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);

/// How images are drawn.
pub struct Drawing {
    /// The names of the classes.
    pub names: Vec<String>,
    /// Lines and labels.
    pub style: DrawStyle,
    /// The format of the images.
    pub format: ImageFormat,
}

/// An image's name, and what becomes of it.
type Outcome = (String, Result<(ImageResponse, Bytes), Problem>);

/// The archive of all images.
pub async fn archive(
    job: DetectJob,
    images: Vec<RequestImage>,
    drawing: Drawing,
    format: ArchiveFormat,
) -> Result<Response, Problem> {
    let has_begun = Arc::new(AtomicBool::new(false));
    let mut answer = Answer {
        model: job.entry.name.clone(),
        request_id: job.context.id.to_string(),
        media_type: drawing.format.media_type(),
        outcomes: Box::pin(outcomes(job, images, drawing, Arc::clone(&has_begun))),
        records: Vec::new(),
        pieces: Vec::new(),
        archive: Some(ArchiveWriter::new(format)),
    };
    let mut first_problem = None;
    // The status is settled by the first image that does not fail.
    while answer.pieces.is_empty() {
        match answer.outcomes.next().await {
            Some((name, Err(problem))) => {
                answer.fail(name, &problem);
                first_problem.get_or_insert(problem);
            }
            Some((name, Ok(image))) => answer.add(name, image).await?,
            None => {
                let none = || Problem::bad_request("the request has no image");
                return Err(first_problem.unwrap_or_else(none));
            }
        }
    }
    has_begun.store(true, Ordering::Relaxed);
    let kind = answer.archive.as_ref().map(ArchiveWriter::content_type);
    let mut headers = vec![(header::CONTENT_TYPE, kind.unwrap_or_default())];
    if format == ArchiveFormat::Zip {
        let name = "attachment; filename=\"onelook.zip\"".to_owned();
        headers.push((header::CONTENT_DISPOSITION, name));
    }
    let body = Body::from_stream(try_unfold(answer, |mut answer| async {
        let piece = answer.next_piece().await?;
        Ok::<_, Problem>(piece.map(|piece| (piece, answer)))
    }));
    let mut response = body.into_response();
    for (name, value) in headers {
        let value = value.parse().map_err(Problem::internal)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// What becomes of each image, in their order. Each is a task of its own: a client that does not read must
/// not keep the frames of those that were begun. Once the answer `has_begun`, each has the whole time limit
/// for itself.
fn outcomes(
    job: DetectJob,
    images: Vec<RequestImage>,
    drawing: Drawing,
    has_begun: Arc<AtomicBool>,
) -> impl Stream<Item = Outcome> + Send {
    let span = Span::current();
    let drawing = Arc::new(drawing);
    let mut names = FileNames::default();
    let extension = drawing.format.extension();
    let images = images.into_iter().map(move |image| {
        let file = names.next(&image.name, extension);
        (image, file)
    });
    let begin = move |(image, file): (RequestImage, String)| {
        let (mut job, drawing) = (job.clone(), Arc::clone(&drawing));
        // How fast the client reads the images before it must not count.
        if has_begun.load(Ordering::Relaxed) {
            job.context.restart();
        }
        let name = image.name.clone();
        let work = async move { annotate(&job, image, file, &drawing).await };
        let work = tokio::spawn(work.instrument(span.clone()));
        let work = AbortOnDropHandle::new(work);
        async move {
            (
                name,
                work.await
                    .unwrap_or_else(|error| Err(Problem::internal(error))),
            )
        }
    };
    stream::iter(images).map(begin).buffered(AHEAD)
}

async fn annotate(
    job: &DetectJob,
    image: RequestImage,
    file: String,
    drawing: &Arc<Drawing>,
) -> Result<(ImageResponse, Bytes), Problem> {
    let result = job.detect(image.source).await?;
    let mut record = ImageResponse::of(&image.name, &result, &drawing.names);
    record.file = Some(file);
    let style = Arc::clone(drawing);
    let draw = move || response::annotated(result, &style.names, &style.style, style.format);
    let context = &job.context;
    let encoding = job
        .app
        .inference
        .encode(&job.entry, &context.client, context.deadline, draw);
    let bytes = encoding.await??;
    let share = Arc::new(job.app.memory.share(&context.client));
    // A client that reads slowly has its earlier images in the memory: they go first.
    while share.grow(bytes.len()).is_err() {
        if Instant::now() >= context.deadline {
            // It exists; the requests that come next find less.
            share.grow_beyond(bytes.len());
            break;
        }
        tokio::time::sleep(MEMORY_PAUSE).await;
    }
    Ok((record, counted(bytes, &share)))
}

/// An answer that is being sent.
struct Answer {
    model: String,
    request_id: String,
    media_type: &'static str,
    outcomes: Pin<Box<dyn Stream<Item = Outcome> + Send>>,
    records: Vec<ImageOutcome>,
    /// What is ready to be sent, the last piece first.
    pieces: Vec<Bytes>,
    /// Until its end was written.
    archive: Option<ArchiveWriter>,
}

impl Answer {
    async fn next_piece(&mut self) -> Result<Option<Bytes>, Problem> {
        while self.pieces.is_empty() && self.archive.is_some() {
            match self.outcomes.next().await {
                Some((name, Ok(image))) => self.add(name, image).await?,
                Some((name, Err(problem))) => self.fail(name, &problem),
                None => self.finish().await?,
            }
        }
        Ok(self.pieces.pop())
    }

    fn fail(&mut self, name: String, problem: &Problem) {
        let error = problem.body(&self.request_id);
        self.records
            .push(ImageOutcome::Failed(ImageError { name, error }));
    }

    async fn add(
        &mut self,
        name: String,
        (record, content): (ImageResponse, Bytes),
    ) -> Result<(), Problem> {
        let file = ArchiveFile {
            field: "image",
            name: record.file.clone().unwrap_or(name),
            media_type: self.media_type,
            content,
        };
        self.records.push(ImageOutcome::Detected(record));
        self.write(move |mut archive| Ok((archive.add(file)?, Some(archive))))
            .await
    }

    async fn finish(&mut self) -> Result<(), Problem> {
        let results = DetectResponse {
            model: std::mem::take(&mut self.model),
            request_id: std::mem::take(&mut self.request_id),
            images: std::mem::take(&mut self.records),
        };
        let write = move |mut archive: ArchiveWriter| {
            let content = serde_json::to_vec(&results).map_err(Problem::internal)?;
            let mut pieces = archive.add(ArchiveFile {
                field: "results",
                name: "results.json".to_owned(),
                media_type: "application/json",
                content: content.into(),
            })?;
            pieces.push(archive.finish()?);
            Ok((pieces, None))
        };
        self.write(write).await
    }

    /// Writes to the archive, away from the threads that answer requests.
    async fn write(
        &mut self,
        work: impl FnOnce(ArchiveWriter) -> Result<(Vec<Bytes>, Option<ArchiveWriter>), Problem>
        + Send
        + 'static,
    ) -> Result<(), Problem> {
        let Some(archive) = self.archive.take() else {
            return Ok(());
        };
        let (mut pieces, archive) = blocking(move || work(archive)).await??;
        pieces.reverse();
        (self.pieces, self.archive) = (pieces, archive);
        Ok(())
    }
}
