//! Figures for Prometheus: names with the prefix `onelook_`, and those of Triton that load tools read.
//!
//! Counters and histograms are touched where things happen; gauges are read when somebody asks.

use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::open_inference::VERSION;
use crate::problem::Kind;
use crate::statistics::Times;

/// The stations of a request, as labels.
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

/// All figures of one server.
pub struct Metrics {
    registry: Registry,
    /// Requests by method, route and status.
    pub requests: IntCounterVec,
    /// Time of a request from its head to the end of its answer's head, by route.
    pub request_seconds: HistogramVec,
    /// Requests that are being answered.
    pub in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
    /// Pictures and tensors without an answer, by model and kind.
    pub failures: IntCounterVec,
    /// Time per station, by model and stage.
    pub stage_seconds: HistogramVec,
    /// Pictures per run, by model.
    pub batch_size: HistogramVec,
    /// Pictures that were run, by model.
    pub pictures: IntCounterVec,
    /// Objects found, by model.
    pub detections: IntCounterVec,
    /// Requests that wait, by model.
    pub queue_length: IntGaugeVec,
    /// 1 where the model serves, by model.
    pub model_ready: IntGaugeVec,
    /// Host and process, by what.
    pub host: GaugeVec,
    /// Figures under Triton's names.
    pub triton: TritonNames,
}

/// Figures under the names that Triton's clients know; times in microseconds.
pub struct TritonNames {
    /// Requests that were answered.
    pub success: IntCounterVec,
    /// Requests that were not.
    pub failure: IntCounterVec,
    /// Pictures.
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
    /// Fresh figures, all at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        Self {
            requests: make.count(
                "onelook_http_requests_total",
                "Requests by method, route and status.",
                &["method", "route", "status"],
            ),
            request_seconds: make.times(
                "onelook_http_request_duration_seconds",
                "Time from a request's head to its answer.",
                &["route"],
            ),
            in_flight: make.level(
                "onelook_http_requests_in_flight",
                "Requests being answered.",
            ),
            connections: make.level("onelook_connections", "Open connections."),
            failures: make.count(
                "onelook_failures_total",
                "Pictures and tensors without an answer, by kind of refusal.",
                &["model", "kind"],
            ),
            stage_seconds: make.times(
                "onelook_stage_duration_seconds",
                "Time of a picture at each station.",
                &["model", "stage"],
            ),
            batch_size: make.histogram(
                "onelook_batch_pictures",
                "Pictures that shared a run.",
                &["model"],
                &BATCH_BUCKETS,
            ),
            pictures: make.count(
                "onelook_pictures_total",
                "Pictures that were run.",
                &["model"],
            ),
            detections: make.count("onelook_detections_total", "Objects found.", &["model"]),
            queue_length: make.levels(
                "onelook_queue_length",
                "Requests that wait for the model.",
                &["model"],
            ),
            model_ready: make.levels(
                "onelook_model_ready",
                "1 where the model serves, else 0.",
                &["model"],
            ),
            host: make.gauges(
                "onelook_host",
                "Host and process: cpu and process_cpu as ratios of one core, memory in bytes.",
                &["what"],
            ),
            triton: TritonNames::new(&make),
            registry: registry.clone(),
        }
    }

    /// Notes how long a picture was at a station.
    pub fn stage(&self, model: &str, stage: &str, time: Duration) {
        self.stage_seconds
            .with_label_values(&[model, stage])
            .observe(time.as_secs_f64());
    }

    /// Notes a run.
    pub fn ran(&self, model: &str, pictures: usize, time: Duration) {
        self.batch_size
            .with_label_values(&[model])
            .observe(pictures as f64);
        self.pictures
            .with_label_values(&[model])
            .inc_by(pictures as u64);
        let labels = &[model, VERSION];
        let names = &self.triton;
        names
            .inferences
            .with_label_values(labels)
            .inc_by(pictures as u64);
        names.executions.with_label_values(labels).inc();
        names
            .infer_us
            .with_label_values(labels)
            .inc_by(time.as_secs_f64() * 1e6);
    }

    /// Notes an answered request.
    pub fn answered(&self, model: &str, whole: Duration, times: &Times) {
        let labels = &[model, VERSION];
        let names = &self.triton;
        names.success.with_label_values(labels).inc();
        let add = |figure: &CounterVec, time: Duration| {
            let microseconds = time.as_secs_f64() * 1e6;
            figure.with_label_values(labels).inc_by(microseconds);
        };
        add(&names.request_us, whole);
        add(&names.queue_us, times.queue);
        add(&names.input_us, times.decode + times.preprocess);
        add(&names.output_us, times.postprocess + times.encode);
    }

    /// Notes a request that a model did not answer.
    pub fn refused(&self, model: &str, kind: Kind) {
        self.failures.with_label_values(&[model, kind.name()]).inc();
        self.triton
            .failure
            .with_label_values(&[model, VERSION])
            .inc();
    }

    /// All figures as text (Prometheus exposition format 0.0.4).
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Registers figures that are made elsewhere.
    pub fn register(&self, collector: Box<dyn prometheus::core::Collector>) {
        // Only a name that is taken is refused; names are constants of this crate.
        let _ = self.registry.register(collector);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl TritonNames {
    fn new(make: &Maker<'_>) -> Self {
        let labels = &["model", "version"];
        let count = |name, help| make.count(name, help, labels);
        let time = |name, help| make.sum(name, help, labels);
        Self {
            success: count("nv_inference_request_success", "Requests answered."),
            failure: count("nv_inference_request_failure", "Requests failed."),
            inferences: count("nv_inference_count", "Pictures run."),
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

/// Makes figures and registers them; names are constants, so nothing can be wrong with them.
struct Maker<'a>(&'a Registry);

const SOUND: &str = "names and labels are constants and used once";

impl Maker<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> C {
        self.0.register(Box::new(collector.clone())).expect(SOUND);
        collector
    }

    fn count(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels).expect(SOUND))
    }

    fn sum(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.add(CounterVec::new(Opts::new(name, help), labels).expect(SOUND))
    }

    fn level(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help).expect(SOUND))
    }

    fn levels(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels).expect(SOUND))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), labels).expect(SOUND))
    }

    fn times(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram(name, help, labels, &STAGE_BUCKETS)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels).expect(SOUND))
    }
}
