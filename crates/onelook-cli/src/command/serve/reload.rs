//! SIGHUP: the configuration file, tokens and certificates are read again, log files opened anew.

use std::ffi::OsString;
use std::sync::Arc;

use onelook_server::logs::{LogControls, parse_levels};
use onelook_server::reload::Reloader;

use super::service_manager::ServiceManager;
use super::signals::Hangups;
use crate::failure::Failure;
use crate::flags::{Command, ServeArgs, Settings, parse};

/// Keys of the configuration file that count at once.
const LIVE: [&str; 4] = ["token-file", "tls-cert", "tls-key", "log-level"];

/// What SIGHUP has read again or opened anew.
#[derive(Clone)]
pub struct Reload {
    /// Log files and levels.
    pub logs: LogControls,
    /// Tokens and certificates.
    pub reloader: Arc<Reloader>,
    /// What the configuration file said at the start, if there is one.
    pub settings: Option<Settings>,
}

/// Does what SIGHUP asks for, each time.
pub async fn on_hangup(mut hangups: Hangups, reload: Reload, manager: ServiceManager) {
    loop {
        hangups.next().await;
        manager.tell_reloading();
        reload.logs.reopen_files();
        let reload = reload.clone();
        let read = tokio::task::spawn_blocking(move || reload.read_again());
        // Fails if reading panics, which the log has told by then.
        let _ = read.await;
        manager.tell_reloaded();
    }
}

impl Reload {
    fn read_again(&self) {
        let Some(at_start) = &self.settings else {
            return self.reloader.reload(None);
        };
        let read = args().and_then(|args| {
            let sources = args.secret_sources()?;
            let levels = parse_levels(&args.log_level).map_err(Failure::Usage)?;
            Ok((sources, levels, late(at_start, &args.settings)))
        });
        match read {
            Ok((sources, levels, late)) => {
                self.logs.set_levels(&levels);
                self.reloader.tell_configuration(Ok(late));
                self.reloader.reload(Some(sources));
            }
            Err(failure) => {
                let reason = failure.message().to_owned();
                self.reloader.tell_configuration(Err(reason));
                self.reloader.reload(None);
            }
        }
    }
}

/// What words, variables and the file say now.
fn args() -> Result<ServeArgs, Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = parse(&words).map_err(|error| Failure::typed(&error))?;
    let Command::Serve(args) = cli.command else {
        unreachable!("the words of this process have not changed");
    };
    Ok(*args)
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
