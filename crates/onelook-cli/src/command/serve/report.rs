//! What happens to a server, in words for people and as values for machines.

use std::time::Duration;

use onelook_server::Event;
use serde_json::json;

use crate::console::Console;
use crate::failure::Failure;

/// Says what happened.
pub fn report(console: &Console, event: &Event) -> Result<(), Failure> {
    match event {
        Event::Listening {
            http,
            grpc,
            metrics,
            tls,
            after,
        } => {
            let scheme = if *tls { "https" } else { "http" };
            let grpc_text = grpc.map_or_else(String::new, |address| format!(", gRPC on {address}"));
            let metrics_text =
                metrics.map_or_else(String::new, |address| format!(", metrics on {address}"));
            console.line(format!(
                "listening on {scheme}://{http}{grpc_text}{metrics_text} ({} after the start)",
                milliseconds(*after)
            ))?;
            console.value(&json!({
                "event": "listening",
                "url": format!("{scheme}://{http}"),
                "grpc": grpc,
                "metrics": metrics,
                "after_ms": after.as_secs_f64() * 1e3,
            }))
        }
        Event::Warning(text) => {
            console.warn(text);
            Ok(())
        }
        Event::Loaded {
            model,
            device,
            time,
        } => {
            console.line(format!(
                "model '{model}' on {device} (loaded and warmed up in {})",
                milliseconds(*time)
            ))?;
            console.value(&json!({
                "event": "loaded",
                "model": model,
                "device": device,
                "time_ms": time.as_secs_f64() * 1e3,
            }))
        }
        Event::Failed { model, reason } => {
            console.warn(reason);
            console.value(&json!({"event": "failed", "model": model, "reason": reason}))
        }
        Event::Ready { ready, after } => {
            let word = if *ready {
                "ready"
            } else {
                "not ready: the default model does not serve"
            };
            console.line(format!("{word} ({} after the start)", milliseconds(*after)))?;
            console.value(&json!({
                "event": "ready",
                "ready": ready,
                "after_ms": after.as_secs_f64() * 1e3,
            }))
        }
        Event::Draining(time) => {
            let seconds = time.as_secs_f64();
            console.note(format!(
                "not ready any more; stops in {seconds} s (--drain-delay)"
            ));
            console.value(&json!({"event": "draining", "time_ms": seconds * 1e3}))
        }
        Event::Stopping => {
            console.note("stopping: what was accepted is finished");
            console.value(&json!({"event": "stopping"}))
        }
        Event::Stopped { finished } => {
            console.value(&json!({"event": "stopped", "finished": finished}))
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
