//! Traces for OpenTelemetry: a span per request and per stage, as part of the caller's own trace if
//! the header `traceparent` names one (W3C Trace Context).

#[cfg(feature = "otlp")]
mod export {
    use axum::http::HeaderMap;
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::{Layer, Registry};

    /// Sends the remaining spans when dropped.
    pub struct Traces(SdkTracerProvider);

    impl Drop for Traces {
        fn drop(&mut self) {
            // Fails if the collector is gone; there is nothing left to do about it.
            let _ = self.0.shutdown();
        }
    }

    /// A layer that sends spans to a collector.
    ///
    /// # Errors
    /// An invalid address.
    pub fn layer(
        endpoint: &str,
    ) -> Result<(Box<dyn Layer<Registry> + Send + Sync>, Traces), String> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| format!("--otlp '{endpoint}': {error}"))?;
        let resource = Resource::builder().with_service_name("onelook").build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("onelook"))
            .with_filter(LevelFilter::DEBUG);
        Ok((layer.boxed(), Traces(provider)))
    }

    /// Makes the span part of the trace that the request's headers name.
    pub fn join(span: &tracing::Span, headers: &HeaderMap) {
        let parent = TraceContextPropagator::new().extract(&Head(headers));
        // Fails without a layer for traces, and then there is nothing to join.
        let _ = span.set_parent(parent);
    }

    struct Head<'a>(&'a HeaderMap);

    impl Extractor for Head<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(axum::http::HeaderName::as_str).collect()
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod export {
    use axum::http::HeaderMap;
    use tracing_subscriber::{Layer, Registry};

    /// Missing in this build.
    pub struct Traces(std::convert::Infallible);

    /// Fails: this build cannot export traces.
    ///
    /// # Errors
    /// Always.
    pub fn layer(_: &str) -> Result<(Box<dyn Layer<Registry> + Send + Sync>, Traces), String> {
        Err("--otlp: this build cannot export traces: build it with the feature 'otlp'".into())
    }

    /// Does nothing: there is no trace.
    pub fn join(_: &tracing::Span, _: &HeaderMap) {}
}

pub use export::{Traces, join, layer};
