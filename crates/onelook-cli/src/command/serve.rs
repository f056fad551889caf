//! `onelook serve`: models answer over HTTP and gRPC until the process is told to stop.

mod check;
mod files;
mod memory;
mod reload;
mod report;
mod service_manager;
mod signals;

use std::time::{Duration, Instant};

use onelook_server::{Event, ServeError, Server, logs};
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{ServeArgs, unknown_variables};
use report::report;
use service_manager::ServiceManager;
use signals::{Hangups, Stops};

/// How long the last lines on standard output, and work that was begun, may take once the server has
/// stopped.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(5);

pub fn run(args: &ServeArgs, console: &Console, started: Instant) -> Result<(), Failure> {
    for name in unknown_variables() {
        console.warn(format!(
            "the variable {name} belongs to no flag of `onelook serve`"
        ));
    }
    if args.check_config {
        return check::run(args, console);
    }
    memory::settle();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(no_threads)?;
    let inside = threads.enter();
    // First of all: a model may be fetched before the server starts.
    let hangups = Hangups::register().map_err(no_threads)?;
    let config = args.config(console, files::raise_limit())?;
    let secrets = &config.secrets;
    let has_tokens = !secrets.tokens.is_empty() || secrets.token_file.is_some();
    if !has_tokens && !is_loopback(&config.host) {
        console.warn(format!(
            "{} can be reached from other machines and no token is set: anyone who can reach it can use it (--token-file)",
            config.host
        ));
    }
    let logs = logs::start(&args.log_options(console)?).map_err(Failure::Usage)?;
    console.write_stderr_through(logs.stderr());
    drop(inside);
    // A server that cannot do what it was started for ends, so that whoever started it sees that. One
    // with a directory can be given models later.
    let needs_model = args.model_dir.is_none() && !args.keep_trying;
    let outcome = threads.block_on(async {
        let server = Server::bind(config, started).await.map_err(refused)?;
        for collector in logs.collectors() {
            server.app().metrics.register(collector);
        }
        let manager = ServiceManager::default();
        let reload = reload::Reload {
            logs: logs.controls(),
            reloader: server.reloader(),
            settings: args.config.is_some().then(|| args.settings.clone()),
        };
        let reloading = tokio::spawn(reload::on_hangup(hangups, reload, manager.clone()));
        let feeding = tokio::spawn(service_manager::feed_watchdog(server.probe()));
        let outcome = serve(server, needs_model, console, &manager).await;
        reloading.abort();
        feeding.abort();
        outcome
    });
    // Not for as long as it takes: a model that loads from a mount that hangs would keep the process.
    threads.shutdown_timeout(LAST_LINES_LIMIT);
    outcome
}

fn no_threads(error: std::io::Error) -> Failure {
    Failure::failed("threads", error.to_string())
}

async fn serve(
    server: Server,
    needs_model: bool,
    console: &Console,
    manager: &ServiceManager,
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let stops = Stops::register().map_err(no_threads)?;
    let (tell, mut events) = tokio::sync::mpsc::unbounded_channel();
    let running = tokio::spawn(server.run(stop.clone(), move |event| {
        // Standard output may have nobody who reads it; that must not keep the process.
        if matches!(event, Event::Stopped { .. }) {
            tokio::spawn(async {
                tokio::time::sleep(LAST_LINES_LIMIT).await;
                std::process::exit(1);
            });
        }
        // The receiver lives as long as the server.
        let _ = tell.send(event);
    }));
    let asked = tokio::spawn(told_to_stop(stops, stop.clone()));
    // A server goes on without a reader of its lines.
    console.saves_results();
    let mut finished = true;
    let mut ready = false;
    let mut has_model = false;
    let mut reasons = Vec::new();
    let mut reported = Ok(());
    while let Some(event) = events.recv().await {
        let is_ready = matches!(event, Event::Ready { .. });
        let is_hopeless = is_ready && needs_model && !has_model;
        if !is_hopeless {
            manager.tell(&event);
        }
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
                if is_hopeless {
                    reported = reported.and_then(|()| Err(none_loaded(&reasons)));
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
async fn told_to_stop(mut stops: Stops, stop: CancellationToken) {
    stops.next().await;
    stop.cancel();
    stops.next().await;
    std::process::exit(1);
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
