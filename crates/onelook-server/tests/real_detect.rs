//! `/v1/detect` with real weights against the library: the same boxes to the bit, in any batch.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use onelook::media::{Limits, decode};
use onelook::record::objects;
use onelook::{LoadOptions, Model, Options, Pipeline};
use onelook_server::Config;
use serde_json::Value;
use support::{config, serve};
use test_support::data;
use tokio::task::JoinSet;

/// The objects that the library detects on each image alone.
fn expected(weights: &Path, images: &[Bytes]) -> Vec<Value> {
    let model = Model::load(weights, &LoadOptions::default()).unwrap();
    let pipeline = Pipeline::new(model, Options::default()).unwrap();
    let names = pipeline.model().metadata().names.clone();
    let record = |image: &Bytes| {
        let frame = decode(image, &Limits::default()).unwrap();
        let size = [frame.width(), frame.height()];
        let found = pipeline.predict(&[frame]).unwrap().remove(0);
        serde_json::to_value(objects(found.instances(), &names, size)).unwrap()
    };
    images.iter().map(record).collect()
}

/// Images of several shapes, some of them equal.
fn images(data: &Path) -> Vec<Bytes> {
    let coco = data.join("coco-val-subset");
    let mut paths = vec![data.join("images/bus.jpg"), data.join("images/zidane.jpg")];
    let mut found: Vec<_> = walk(&coco);
    found.sort();
    paths.extend(found.into_iter().take(10));
    let read = |path| Bytes::from(std::fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false if path.extension().is_some_and(|end| end == "jpg") => found.push(path),
            false => {}
        }
    }
    found
}

fn form(images: &[Bytes]) -> Bytes {
    let mut form = Vec::new();
    for image in images {
        form.extend(b"--XX\r\nContent-Disposition: form-data; name=a; filename=a.jpg\r\n\r\n");
        form.extend_from_slice(image);
        form.extend(b"\r\n");
    }
    form.extend(b"--XX--\r\n");
    form.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_equal_the_librarys_to_the_bit_in_any_batch() {
    let Some(data) = data() else { return };
    let weights = data.join("weights/yolo11n-recon.pt");
    let images = images(&data);
    let expected = expected(&weights, &images);
    assert_eq!(expected[0].as_array().unwrap().len(), 5, "bus.jpg");
    let settings = Config {
        max_batch: Some(4),
        max_delay: std::time::Duration::from_millis(50),
        ..config(&[("yolo11n", weights)])
    };
    let server = Arc::new(serve(settings).await);

    let kind = "multipart/form-data; boundary=XX";
    let together = server.post("/v1/detect", kind, form(&images)).await.json();
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(
            &together["images"][index]["detections"], expected,
            "{index}"
        );
    }

    let mut clients = JoinSet::new();
    for (index, image) in images.iter().cloned().enumerate() {
        for _ in 0..3 {
            let (server, image) = (Arc::clone(&server), image.clone());
            clients.spawn(async move {
                let answer = server.post("/v1/detect", "image/jpeg", image).await;
                (index, answer.json()["images"][0]["detections"].clone())
            });
        }
    }
    for (index, found) in clients.join_all().await {
        assert_eq!(found, expected[index], "{index}");
    }
    let entry = server.app.models.find(None).unwrap();
    let sizes: BTreeSet<usize> = entry.statistics.snapshot().batches.into_keys().collect();
    assert!(
        sizes.iter().any(|size| *size > 1),
        "nothing shared a run: {sizes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_other_tasks_are_refused_and_those_for_detection_serve() {
    let Some(data) = data() else { return };
    let weights = data.join("weights");
    let server = serve(config(&[
        ("segment", weights.join("yolo26n-seg.pt")),
        ("pose", weights.join("tasks/yolo26n-pose-figures.pt")),
        ("detect", weights.join("yolo11n-recon.pt")),
    ]))
    .await;
    let list = server.get("/v1/models").await.json();
    for (index, task) in ["segment", "pose"].into_iter().enumerate() {
        let reason = list["models"][index]["error"].as_str().unwrap().to_owned();
        assert!(reason.contains(&format!("{task} model")), "{reason}");
    }
    assert_eq!(list["models"][2]["state"], "ready");
}
