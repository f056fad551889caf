//! Requests of Frigate's plugin and what they get: twenty rows of class, confidence, top, left, bottom,
//! right, the box as fractions of the image, the highest confidence first, the rest zeros.

use std::sync::Arc;
use std::time::Duration;

use onelook::Options;
use onelook::types::Thresholds;
use serde_json::json;
use tokio::time::Instant;

use super::tensor::{Header, image};
use super::wire::{Request, client};
use crate::admission::Priority;
use crate::app::App;
use crate::blocking::blocking;
use crate::body::{BufferedBody, counted};
use crate::model_repository::ModelEntry;
use crate::request_context::RequestContext;

const ROWS: usize = 20;
const COLUMNS: usize = 6;

/// Longest wait for a model that is being loaded; the plugin waits 30 seconds.
const MODEL_PATIENCE: Duration = Duration::from_secs(25);

/// How often it is looked whether the model is there.
const LOOK: Duration = Duration::from_millis(100);

/// The reply's frames. What is wrong with a request goes to the log: the plugin takes nothing but boxes.
pub async fn answer(app: &Arc<App>, request: &Request) -> Vec<Vec<u8>> {
    let Ok(header) = serde_json::from_slice::<Header>(&request.header) else {
        tracing::warn!("a ZeroMQ request has no header in JSON");
        return no_boxes();
    };
    if header.model_request {
        let is_loaded = wait_for_model(app, header.model_name.as_deref()).await;
        return vec![said(
            &json!({"model_available": true, "model_loaded": is_loaded}),
        )];
    }
    if header.model_data {
        tracing::warn!("Frigate has sent a model, which is not taken: name it with --model");
        return vec![said(&json!({"model_saved": false, "model_loaded": false}))];
    }
    match detect(app, header, request.frames.first()).await {
        Ok(frames) => frames,
        Err(reason) => {
            tracing::warn!(reason, "a ZeroMQ request got no boxes");
            no_boxes()
        }
    }
}

/// The model that is called so, as a file or by its stem; else the first.
fn model(app: &App, name: Option<&str>) -> Result<Arc<ModelEntry>, String> {
    let stem = name.map(|name| name.rsplit_once('.').map_or(name, |(stem, _)| stem));
    let named = stem.and_then(|stem| app.models.find(Some(stem)).ok());
    match named {
        Some(entry) => Ok(entry),
        None => app.models.find(None).map_err(|problem| problem.detail),
    }
}

async fn wait_for_model(app: &App, name: Option<&str>) -> bool {
    let deadline = Instant::now() + MODEL_PATIENCE;
    loop {
        if model(app, name).is_ok_and(|entry| entry.loaded().is_ok()) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn detect(
    app: &App,
    header: Header,
    tensor: Option<&BufferedBody>,
) -> Result<Vec<Vec<u8>>, String> {
    let tensor = tensor.ok_or("it has no tensor")?;
    let entry = model(app, header.model_name.as_deref())?;
    let loaded = entry.loaded().map_err(|problem| problem.detail)?;
    let (bytes, share) = (tensor.bytes.clone(), Arc::clone(&tensor.share));
    // A large one takes long.
    let made = blocking(move || {
        let reserve = |bytes| share.grow(bytes).map_err(|problem| problem.detail);
        let (size, file) = image(&header, &bytes, reserve)?;
        Ok::<_, String>((size, counted(file, &share)))
    });
    let (size, file) = made.await.map_err(|problem| problem.detail)??;
    let is_allowed = |side: &usize| *side <= app.config.limits.image_size;
    let mut options = Options {
        thresholds: Thresholds {
            max_detections: ROWS,
            ..Thresholds::default()
        },
        // The tensor is what the network is to see.
        image_size: size.iter().all(is_allowed).then_some(size),
        ..Options::default()
    };
    if options.rounded_size(loaded.model.metadata()).is_err() {
        options.image_size = None;
    }
    drop(loaded);
    let time_limit = app.config.limits.request_timeout;
    let context = RequestContext {
        id: client(),
        caller: None,
        client: client(),
        priority: Priority::Normal,
        time_limit,
        deadline: Instant::now() + time_limit,
    };
    let result = app.inference.detect(&entry, &context, file, &options).await;
    let result = result.map_err(|problem| problem.detail)?;
    let [height, width] = size.map(|side| side as f32);
    let mut rows = [[0_f32; COLUMNS]; ROWS];
    let mut found: Vec<_> = result.instances().iter().collect();
    found.sort_by(|one, other| other.score.total_cmp(&one.score));
    for (row, object) in rows.iter_mut().zip(found) {
        let bbox = object.bbox;
        let fraction = |value: f32, side: f32| (value / side).clamp(0.0, 1.0);
        *row = [
            object.class as f32,
            object.score,
            fraction(bbox.y1, height),
            fraction(bbox.x1, width),
            fraction(bbox.y2, height),
            fraction(bbox.x2, width),
        ];
    }
    Ok(boxes(&rows))
}

fn no_boxes() -> Vec<Vec<u8>> {
    boxes(&[[0.0; COLUMNS]; ROWS])
}

fn boxes(rows: &[[f32; COLUMNS]; ROWS]) -> Vec<Vec<u8>> {
    let head = said(&json!({"shape": [ROWS, COLUMNS], "dtype": "float32"}));
    let values = rows.iter().flatten();
    vec![head, values.flat_map(|value| value.to_le_bytes()).collect()]
}

fn said(json: &serde_json::Value) -> Vec<u8> {
    json.to_string().into_bytes()
}
