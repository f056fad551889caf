//! Requests with different thresholds in one batch on a GPU: images in and predictions out through the
//! driver's functions, with kernels that the interpreter runs in the GPU's place.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../onelook-cuda/tests/fake_driver/emulated.rs"]
mod emulated;
#[path = "../../onelook-cuda/tests/fake_driver/fake.rs"]
mod fake;
#[path = "../../onelook-cuda/tests/fake_driver/launched.rs"]
mod launched;
mod support;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use fake::{Fake, H100};
use onelook::graph::PlanKind;
use onelook::media::{Limits, decode, encode_png};
use onelook::record::{ObjectRecord, objects};
use onelook::types::{Frame, Thresholds};
use onelook::{LoadOptions, Model, Options, Pipeline};
use onelook_cuda::driver::DRIVER_VARIABLE;
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options as Lowering, lower};
use onelook_ptx::lang::{Kernel, Target};
use onelook_server::Config;
use support::{TestServer, another_client, config, serve};

const SIDE: usize = 32;

/// Set in the process whose driver is the one that the test has built.
const OWN_PROCESS: &str = "ONELOOK_TEST_EMULATED_GPU";

const NAME: &str = "requests_with_different_thresholds_share_a_run_and_get_the_boxes_of_predict";

#[test]
fn requests_with_different_thresholds_share_a_run_and_get_the_boxes_of_predict() {
    if env::var_os(OWN_PROCESS).is_some() {
        let driver = PathBuf::from(env::var_os(DRIVER_VARIABLE).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(share_a_run(&driver));
    }
    let fake = Fake::new(&[H100]);
    let own = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(OWN_PROCESS, "yes")
        .env(DRIVER_VARIABLE, fake.path())
        .env("ONELOOK_KERNELS", fake.folder().join("kernels"))
        .env(
            "ONELOOK_TEST_MODEL",
            fake.folder().join("small.safetensors"),
        )
        .output()
        .unwrap();
    let output = [own.stdout, own.stderr].concat();
    let output = String::from_utf8_lossy(&output);
    assert!(own.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
    assert!(fake.count("cuGraphLaunch") > 0);
}

/// A network with random weights whose own input is as small as an interpreter needs it.
fn small_model() -> PathBuf {
    let path = PathBuf::from(env::var_os("ONELOOK_TEST_MODEL").unwrap());
    let mut model = onelook::read_model("yolo11n.yaml", &LoadOptions::default()).unwrap();
    model.metadata.image_size = [SIDE, SIDE];
    onelook::write_model(&model, &path).unwrap();
    path
}

/// What a GPU runs for so many images, from images to boxes.
fn kernels(model: &Model, batch: usize) -> Vec<Arc<Kernel>> {
    let lowering = Lowering {
        gpu: Gpu {
            multiprocessors: 132,
            ..Gpu::typical(Target::Sm90a)
        },
        element: Element::F32,
        detect: model.metadata().head.detect(),
    };
    let plan = lower(model.graph(), &[batch, 3, SIDE, SIDE].into(), &lowering).unwrap();
    let launches = plan.launches.into_iter();
    launches.map(|launch| launch.kernel).collect()
}

async fn share_a_run(driver: &Path) {
    let path = small_model();
    let cpu = LoadOptions {
        device: "cpu".parse().unwrap(),
        ..LoadOptions::default()
    };
    let cpu = Model::load(&path, &cpu).unwrap();
    for batch in [1, 2] {
        emulated::emulate(driver, kernels(&cpu, batch));
    }
    let server = serve(Config {
        load: LoadOptions {
            device: "0".parse().unwrap(),
            ..LoadOptions::default()
        },
        max_batch: Some(2),
        max_delay: Duration::from_secs(300),
        ..config(&[("small", path)])
    })
    .await;
    let entry = server.app.models.find(None).unwrap();
    let loaded = entry.loaded().unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(loaded.model.plan_kind(), PlanKind::Image);

    let bytes = include_bytes!("../../../assets/sample.jpg");
    let wide = decode(bytes, &Limits::default()).unwrap();
    let pixels = (0..40 * 90 * 3).map(|at| (at % 251) as u8).collect();
    let narrow = Frame::new(40, 90, pixels).unwrap();
    let standard = Thresholds {
        confidence: 0.02,
        ..Thresholds::default()
    };
    let few = Thresholds {
        iou: 0.3,
        agnostic: true,
        max_detections: 3,
        ..standard.clone()
    };
    let (all, some) = ("conf=0.02", "conf=0.02&iou=0.3&agnostic_nms=true&max_det=3");

    // As long as another request is admitted, a run waits until its batch is full.
    let another = loaded.admission.admit(&another_client()).await;
    let (first, second) = tokio::join!(detect(&server, all, &wide), detect(&server, some, &narrow));
    drop(another);
    let batches = entry.statistics.snapshot().batches;
    assert_eq!(batches[&2].infer.count, 1, "{batches:?}");
    for (found, frame, thresholds) in [(first, wide, standard), (second, narrow, few)] {
        let options = Options {
            thresholds,
            image_size: Some([SIDE, SIDE]),
            rect: Some(false),
            batch: 1,
            keep_suppressed: false,
        };
        let pipeline = Pipeline::new(Arc::clone(&loaded.model), options).unwrap();
        let size = [frame.width(), frame.height()];
        let expected = pipeline.predict(&[frame]).unwrap().remove(0);
        assert_eq!(expected.plan, PlanKind::Image);
        same(
            &found,
            &objects(expected.instances(), &loaded.model.metadata().names, size),
        );
    }
}

async fn detect(server: &TestServer, query: &str, frame: &Frame) -> Vec<ObjectRecord> {
    let path = format!("/v1/detect?imgsz={SIDE}&rect=false&{query}");
    let answer = server.post(&path, "image/png", encode_png(frame).unwrap());
    let answer = answer.await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let mut answer = answer.json();
    serde_json::from_value(answer["images"][0]["detections"].take()).unwrap()
}

/// Equal but for rounding, in any order where confidences are equal.
fn same(found: &[ObjectRecord], expected: &[ObjectRecord]) {
    assert!(!found.is_empty());
    let mut free = found.to_vec();
    for one in expected {
        let sides = |it: &ObjectRecord| [it.bbox.x1, it.bbox.y1, it.bbox.x2, it.bbox.y2];
        let position = free.iter().position(|other| {
            let mut sides = sides(one).into_iter().zip(sides(other));
            one.class == other.class
                && (one.confidence - other.confidence).abs() < 3e-5
                && sides.all(|(a, b)| (a - b).abs() < 0.02)
        });
        let position = position.unwrap_or_else(|| panic!("{one:?} is not among {free:#?}"));
        free.swap_remove(position);
    }
    assert_eq!(free, [], "not in predict");
}
