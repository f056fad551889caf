//! Metrics for Prometheus: our own with the prefix `onelook_`, and those of Triton that load tools read.
//!
//! Counters and histograms are updated where things happen, gauges when the metrics are read.

use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::problem::ProblemKind;
use crate::statistics::StageTimes;

/// The version of every model. There is one at a time, and a client that names it must not break when
/// the model is replaced. The native API tells how often a model was loaded.
pub const MODEL_VERSION: &str = "1";

/// The stages of a request, as labels.
pub const STAGES: [&str; 6] = [
    "decode",
    "queue",
    "preprocess",
    "inference",
    "postprocess",
    "encode",
];

const STAGE_BUCKETS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

const BATCH_BUCKETS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// All metrics of one server.
pub struct Metrics {
    registry: Registry,
    /// Requests by method, route and status.
    pub requests: IntCounterVec,
    /// Time from a request's headers to its response's headers, by route.
    pub request_seconds: HistogramVec,
    /// Requests with POST in progress.
    pub in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
    /// Failed images and tensors, by model and kind.
    pub failures: IntCounterVec,
    /// Time per stage, by model and stage.
    pub stage_seconds: HistogramVec,
    /// Images per run, by model.
    pub batch_size: HistogramVec,
    /// Images that were run, by model.
    pub images: IntCounterVec,
    /// Detected objects, by model.
    pub detections: IntCounterVec,
    /// Waiting requests, by model.
    pub queue_length: IntGaugeVec,
    /// 1 if the model serves, by model.
    pub model_ready: IntGaugeVec,
    /// How often files were read again, by what they hold and outcome.
    pub reloads: IntCounterVec,
    /// 1 if the file as it is now cannot be used, by what it holds.
    pub reload_failed: IntGaugeVec,
    /// Live streams.
    pub streams: StreamMetrics,
    /// Events for other programs, by receiver and outcome.
    pub sent_events: IntCounterVec,
    /// Load and memory of host and process.
    pub host: GaugeVec,
    /// Metrics under Triton's names.
    pub triton: TritonNames,
}

/// Metrics under the names that Triton's clients know; times in microseconds.
pub struct TritonNames {
    /// Answered requests.
    pub success: IntCounterVec,
    /// Failed requests.
    pub failure: IntCounterVec,
    /// Images.
    pub inferences: IntCounterVec,
    /// Runs.
    pub executions: IntCounterVec,
    /// Whole requests.
    pub request_us: CounterVec,
    /// Waiting.
    pub queue_us: CounterVec,
    /// Making inputs.
    pub input_us: CounterVec,
    /// Running.
    pub infer_us: CounterVec,
    /// Making outputs.
    pub output_us: CounterVec,
}

impl Metrics {
    /// Metrics that are all zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = MetricBuilder(&registry);
        Self {
            requests: build.count(
                "onelook_http_requests_total",
                "Requests by method, route and status.",
                &["method", "route", "status"],
            ),
            request_seconds: build.times(
                "onelook_http_request_duration_seconds",
                "Time from a request's head to its answer.",
                &["route"],
            ),
            in_flight: build.level(
                "onelook_http_requests_in_flight",
                "Requests with POST in progress.",
            ),
            connections: build.level("onelook_connections", "Open connections."),
            failures: build.count(
                "onelook_failures_total",
                "Failed images and tensors, by kind of failure.",
                &["model", "kind"],
            ),
            stage_seconds: build.times(
                "onelook_stage_duration_seconds",
                "Time of an image in each stage.",
                &["model", "stage"],
            ),
            batch_size: build.histogram(
                "onelook_batch_images",
                "Images per run.",
                &["model"],
                &BATCH_BUCKETS,
            ),
            images: build.count("onelook_images_total", "Images that were run.", &["model"]),
            detections: build.count("onelook_detections_total", "Detected objects.", &["model"]),
            queue_length: build.levels(
                "onelook_queue_length",
                "Requests that wait for the model.",
                &["model"],
            ),
            model_ready: build.levels(
                "onelook_model_ready",
                "1 if the model serves, else 0.",
                &["model"],
            ),
            reloads: build.count(
                "onelook_reloads_total",
                "How often tokens and certificates were read again.",
                &["what", "outcome"],
            ),
            reload_failed: build.levels(
                "onelook_reload_failed",
                "1 if the newest tokens or certificates cannot be used and older ones are.",
                &["what"],
            ),
            streams: StreamMetrics::new(&build),
            sent_events: build.count(
                "onelook_sent_events_total",
                "Events of streams for webhook and brokers: delivered, refused by the receiver, or dropped.",
                &["receiver", "outcome"],
            ),
            host: build.gauges(
                "onelook_host",
                "Host and process: cpu and process_cpu in cores, memory in bytes.",
                &["what"],
            ),
            triton: TritonNames::new(&build),
            registry: registry.clone(),
        }
    }

    /// Records the time that an image or a tensor spent in a stage.
    pub fn record_stage(&self, model: &str, stage: &str, time: Duration) {
        self.stage_seconds
            .with_label_values(&[model, stage])
            .observe(time.as_secs_f64());
    }

    /// Records a run.
    pub fn record_run(&self, model: &str, images: usize, time: Duration) {
        self.batch_size
            .with_label_values(&[model])
            .observe(images as f64);
        let count = images as u64;
        self.images.with_label_values(&[model]).inc_by(count);
        let labels = &[model, MODEL_VERSION];
        let triton = &self.triton;
        triton.inferences.with_label_values(labels).inc_by(count);
        triton.executions.with_label_values(labels).inc();
        add_us(&triton.infer_us, labels, time);
    }

    /// Records an answered request. Stages that it did not have take no time and are left out.
    pub fn record_success(&self, model: &str, whole: Duration, times: &StageTimes) {
        self.record_stage(model, "queue", times.queue);
        for (stage, time) in [
            ("decode", times.decode),
            ("preprocess", times.preprocess),
            ("inference", times.inference),
            ("postprocess", times.postprocess),
        ] {
            if !time.is_zero() {
                self.record_stage(model, stage, time);
            }
        }
        let labels = &[model, MODEL_VERSION];
        let triton = &self.triton;
        triton.success.with_label_values(labels).inc();
        add_us(&triton.request_us, labels, whole);
        add_us(&triton.queue_us, labels, times.queue);
        add_us(&triton.input_us, labels, times.input());
        add_us(&triton.output_us, labels, times.postprocess);
    }

    /// Records a request that failed.
    pub fn record_failure(&self, model: &str, kind: ProblemKind) {
        self.failures.with_label_values(&[model, kind.name()]).inc();
        let failure = &self.triton.failure;
        failure.with_label_values(&[model, MODEL_VERSION]).inc();
    }

    /// Records whether a model serves.
    pub fn set_ready(&self, model: &str, ready: bool) {
        let gauge = self.model_ready.with_label_values(&[model]);
        gauge.set(i64::from(ready));
    }

    /// All metrics as text (Prometheus exposition format 0.0.4).
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Registers metrics from elsewhere.
    pub fn register(&self, collector: Box<dyn prometheus::core::Collector>) {
        // Fails only for a name that is taken; names are constants of this crate.
        let _ = self.registry.register(collector);
    }
}

/// Metrics of live streams, set from their figures when the metrics are read.
pub struct StreamMetrics {
    /// 1 for the state that it is in, by stream and state.
    pub state: IntGaugeVec,
    /// Frames, by stream and by what became of them.
    pub frames: IntCounterVec,
    /// Failures, by stream.
    pub failures: IntCounterVec,
    /// Age of the newest result in seconds, by stream.
    pub age: GaugeVec,
    /// Crossings, by stream, line and direction.
    pub crossings: IntCounterVec,
    /// Objects in a zone now, by stream and zone.
    pub inside: IntGaugeVec,
}

impl StreamMetrics {
    fn new(build: &MetricBuilder<'_>) -> Self {
        Self {
            state: build.levels(
                "onelook_stream_state",
                "1 for the state that a stream is in.",
                &["stream", "state"],
            ),
            frames: build.count(
                "onelook_stream_frames_total",
                "Frames of streams: received, run, and left out because they were replaced by newer ones, \
                 over the frame rate asked for, or too old.",
                &["stream", "what"],
            ),
            failures: build.count(
                "onelook_stream_failures_total",
                "How often a stream failed.",
                &["stream"],
            ),
            age: build.gauges(
                "onelook_stream_result_age_seconds",
                "Seconds since the newest frame with a result came.",
                &["stream"],
            ),
            crossings: build.count(
                "onelook_stream_crossings_total",
                "Crossings of lines.",
                &["stream", "line", "direction"],
            ),
            inside: build.levels(
                "onelook_stream_zone_objects",
                "Objects in a zone now.",
                &["stream", "zone"],
            ),
        }
    }

    /// Forgets all: streams come and go.
    pub fn reset(&self) {
        self.state.reset();
        self.frames.reset();
        self.failures.reset();
        self.age.reset();
        self.crossings.reset();
        self.inside.reset();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl TritonNames {
    fn new(build: &MetricBuilder<'_>) -> Self {
        let labels = &["model", "version"];
        let count = |name, help| build.count(name, help, labels);
        let time = |name, help| build.sum(name, help, labels);
        Self {
            success: count("nv_inference_request_success", "Requests answered."),
            failure: count("nv_inference_request_failure", "Requests failed."),
            inferences: count("nv_inference_count", "Images run."),
            executions: count("nv_inference_exec_count", "Runs."),
            request_us: time(
                "nv_inference_request_duration_us",
                "Time of requests in microseconds.",
            ),
            queue_us: time(
                "nv_inference_queue_duration_us",
                "Time of waiting in microseconds.",
            ),
            input_us: time(
                "nv_inference_compute_input_duration_us",
                "Time of making inputs in microseconds.",
            ),
            infer_us: time(
                "nv_inference_compute_infer_duration_us",
                "Time of running in microseconds.",
            ),
            output_us: time(
                "nv_inference_compute_output_duration_us",
                "Time of making outputs in microseconds.",
            ),
        }
    }
}

fn add_us(counter: &CounterVec, labels: &[&str; 2], time: Duration) {
    counter
        .with_label_values(labels)
        .inc_by(time.as_secs_f64() * 1e6);
}

/// Makes metrics and registers them.
struct MetricBuilder<'a>(&'a Registry);

const VALID: &str = "names and labels are valid constants and used once";

impl MetricBuilder<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> C {
        self.0.register(Box::new(collector.clone())).expect(VALID);
        collector
    }

    fn count(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    fn sum(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.add(CounterVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    fn level(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help).expect(VALID))
    }

    fn levels(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), labels).expect(VALID))
    }

    fn times(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram(name, help, labels, &STAGE_BUCKETS)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels).expect(VALID))
    }
}
