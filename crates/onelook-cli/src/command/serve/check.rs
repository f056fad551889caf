//! `onelook serve --check-config`: says what is wrong with flags and files, without serving.

use onelook_server::check;
use onelook_server::logs::parse_levels;

use super::files;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::ServeArgs;

/// Prints OK, or fails with everything that was found.
pub fn run(args: &ServeArgs, console: &Console) -> Result<(), Failure> {
    let config = args.config_to_check(files::raise_limit())?;
    let mut findings = check(&config);
    args.log_options(console)?;
    findings.errors.extend(parse_levels(&args.log_level).err());
    for warning in &findings.warnings {
        console.warn(warning);
    }
    match findings.errors.is_empty() {
        true => {
            console.value(&serde_json::json!({"ok": true}))?;
            console.line("OK")
        }
        false => Err(Failure::failed("config", findings.errors.join("\n"))),
    }
}
