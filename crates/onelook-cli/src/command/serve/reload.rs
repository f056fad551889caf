//! SIGHUP: the configuration file, tokens and certificates are read again, log files opened anew.

use std::ffi::OsString;
use std::sync::Arc;

use onelook_server::logs::ReopenFlag;
use onelook_server::reload::Reloader;
use onelook_server::secret_sources::SecretSources;

use super::service_manager;
use super::signals::Hangups;
use crate::failure::Failure;
use crate::flags::{Command, ServeArgs, Settings, parse};

/// Keys of the configuration file that count at once.
const LIVE: [&str; 3] = ["token-file", "tls-cert", "tls-key"];

/// Does what SIGHUP asks for, each time. `settings` is what the configuration file said at the start,
/// if there is one.
pub async fn on_hangup(
    mut hangups: Hangups,
    log_files: ReopenFlag,
    reloader: Arc<Reloader>,
    settings: Option<Settings>,
) {
    loop {
        hangups.next().await;
        service_manager::tell_reloading();
        log_files.set();
        let (reloader, settings) = (Arc::clone(&reloader), settings.clone());
        let read = tokio::task::spawn_blocking(move || reload(&reloader, settings.as_ref()));
        // Fails if reading panics, which the log has told by then.
        let _ = read.await;
        service_manager::tell_reloaded();
    }
}

fn reload(reloader: &Reloader, at_start: Option<&Settings>) {
    let Some(at_start) = at_start else {
        return reloader.reload(None);
    };
    match read() {
        Ok((sources, settings)) => {
            reloader.tell_configuration(Ok(late(at_start, &settings)));
            reloader.reload(Some(sources));
        }
        Err(failure) => {
            reloader.tell_configuration(Err(failure.message().to_owned()));
            reloader.reload(None);
        }
    }
}

/// What words, variables and the file say now.
fn read() -> Result<(SecretSources, Settings), Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = parse(&words).map_err(|error| Failure::typed(&error))?;
    let Command::Serve(args) = cli.command else {
        unreachable!("the words of this process have not changed");
    };
    let args: ServeArgs = *args;
    Ok((args.secret_sources()?, args.settings))
}

/// Keys that differ and do not count at once.
fn late(old: &Settings, new: &Settings) -> Vec<String> {
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let is_late = |key: &&String| !LIVE.contains(&key.as_str());
    keys.filter(differs).filter(is_late).cloned().collect()
}
