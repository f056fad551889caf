//! The documentation site: assembled, built with every link checked, and its commands run.

use crate::python::{development_binary, environment};
use crate::shell::{Outcome, cargo, command, interpreter, root, run};

/// The site in `target/site/html`; with `--commands` only what its commands do is checked, with `--pages` only the pages.
pub fn site(args: &[String]) -> Outcome {
    let wants = |what: &str| args.is_empty() || args.iter().any(|arg| arg == what);
    if let Some(unknown) = args
        .iter()
        .find(|arg| !["--commands", "--pages"].contains(&arg.as_str()))
    {
        return Err(format!(
            "site: unknown word '{unknown}': --pages or --commands"
        ));
    }
    let system = interpreter();
    if wants("--pages") {
        run(command(&system).arg("scripts/site/assemble.py"))?;
        let python = environment("mkdocs", "scripts/site/requirements.txt")?;
        let build = ["-m", "mkdocs", "build", "--strict", "--quiet"];
        let config = root().join("docs/mkdocs.yml");
        run(command(&python)
            .args(build)
            .arg("--config-file")
            .arg(config))?;
    }
    if wants("--commands") {
        run(&mut cargo(&["build", "--locked"]))?;
        run(command(&system)
            .args(["scripts/site/commands.py", "--onelook"])
            .arg(development_binary()))?;
    }
    Ok(())
}
