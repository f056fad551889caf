//! `onelook serve`: models answer over HTTP and gRPC until the process is told to stop.

mod files;
mod memory;
mod report;

use std::time::Instant;

use onelook_server::{Event, ServeError, Server, logs};
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::ServeArgs;
use report::report;

pub fn run(args: &ServeArgs, console: &Console, started: Instant) -> Result<(), Failure> {
    memory::settle();
    let config = args.config(console, files::raise_limit())?;
    // A server that cannot do what it was started for ends, so that whoever started it sees that. One
    // with a directory can be given models later.
    let needs_model = args.model_dir.is_none() && !args.keep_trying;
    if config.tokens.is_empty() && !is_loopback(&config.host) {
        console.warn(format!(
            "{} can be reached from other machines and no token is set: anyone who can reach it can use it (--token-file)",
            config.host
        ));
    }
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("threads", error.to_string()))?;
    let logs = {
        let _inside = threads.enter();
        logs::start(&args.log_options(console)).map_err(Failure::Usage)?
    };
    let outcome = threads.block_on(serve(config, needs_model, console, started));
    drop(logs);
    outcome
}

async fn serve(
    config: onelook_server::Config,
    needs_model: bool,
    console: &Console,
    started: Instant,
) -> Result<(), Failure> {
    let server = Server::bind(config, started).await.map_err(refused)?;
    let stop = CancellationToken::new();
    let (tell, mut events) = tokio::sync::mpsc::unbounded_channel();
    let running = tokio::spawn(server.run(stop.clone(), move |event| {
        // The receiver lives as long as the server.
        let _ = tell.send(event);
    }));
    let asked = tokio::spawn(told_to_stop(stop.clone()));
    // A server goes on without a reader of its lines.
    console.saves_results();
    let mut finished = true;
    let mut ready = false;
    let mut has_model = false;
    let mut reasons = Vec::new();
    let mut reported = Ok(());
    while let Some(event) = events.recv().await {
        if let Err(failure) = report(console, &event) {
            // Without the first lines nobody knows where it listens. Later lines must not cost the
            // requests that are being answered.
            match ready {
                true => console.warn(failure.message()),
                false => stop.cancel(),
            }
            reported = reported.and(Err(failure));
        }
        match event {
            Event::Loaded { .. } => has_model = true,
            Event::Failed { reason, .. } => reasons.push(reason),
            Event::Ready { .. } => {
                ready = true;
                if needs_model && !has_model && reported.is_ok() {
                    reported = Err(none_loaded(&reasons));
                    stop.cancel();
                }
            }
            Event::Stopped { finished: all } => finished = all,
            _ => {}
        }
    }
    asked.abort();
    running
        .await
        .map_err(|error| Failure::failed("server", error.to_string()))?;
    match finished {
        true => reported,
        false => Err(Failure::failed(
            "server",
            "some requests were not finished before the time for stopping was over",
        )),
    }
}

fn none_loaded(reasons: &[String]) -> Failure {
    let what = match reasons {
        [reason] => reason.clone(),
        _ => "no model could be loaded".to_owned(),
    };
    let advice = "to wait until one can be, start with --keep-trying";
    Failure::failed("model", format!("{what}; {advice}"))
}

/// Waits for Ctrl-C or the system's request to end; a second one ends at once.
async fn told_to_stop(stop: CancellationToken) {
    signal().await;
    stop.cancel();
    signal().await;
    std::process::exit(1);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}

fn refused(error: ServeError) -> Failure {
    match error {
        ServeError::Config(message) => Failure::Usage(message),
        error => Failure::failed("server", error.to_string()),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
