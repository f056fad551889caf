//! `onelook models`: which models can be had by name, getting one, looking into one.

use std::path::Path;

use onelook::graph::read::ModelFile;
use onelook::printable::printable_path;
use onelook::registry::{Entry, ModelSource, Registry, directory, resolve};
use onelook::{LoadOptions, read_model};
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{ModelsArgs, ModelsCommand};
use crate::options::warn_of_random_weights;

pub fn run(args: &ModelsArgs, console: &Console) -> Result<(), Failure> {
    match &args.command {
        ModelsCommand::List => list(console),
        ModelsCommand::Fetch { name, force } => fetch(name, *force, console),
        ModelsCommand::Show { model } => show(model, console),
    }
}

fn registry() -> Result<Registry, Failure> {
    Registry::load().map_err(|error| onelook::Error::from(error).into())
}

fn list(console: &Console) -> Result<(), Failure> {
    let models = registry()?.models;
    console.line(format!(
        "{:<14} {:<8} {:>8}  {:<9} {:<7} sources",
        "name", "task", "MB", "licence", "cached"
    ))?;
    for entry in &models {
        let size = entry.size.map_or_else(
            || "?".to_owned(),
            |size| format!("{:.1}", size as f64 / 1e6),
        );
        let cached = if entry.is_cached() { "yes" } else { "no" };
        let kinds: Vec<&str> = entry.sources.iter().map(kind).collect();
        console.line(format!(
            "{:<14} {:<8} {size:>8}  {:<9} {cached:<7} {}",
            entry.name,
            entry.task,
            entry.licence,
            kinds.join(", ")
        ))?;
    }
    console.detail(format!("models are kept in {}", directory().display()))?;
    console.value(&Value::Array(models.iter().map(entry_value).collect()))?;
    Ok(())
}

fn fetch(name: &str, force: bool, console: &Console) -> Result<(), Failure> {
    let registry = registry()?;
    let entry = registry.find(name).ok_or_else(|| {
        Failure::failed(
            "fetch",
            format!("no model '{name}' is known: see `onelook models list`"),
        )
    })?;
    let mut observe = console.fetching();
    let path = match force {
        true => entry.fetch(&mut observe),
        false => entry.obtain(&mut observe),
    }
    .map_err(onelook::Error::from)?;
    console.line(printable_path(&path))?;
    console.detail(format!("licence of the weights: {}", entry.licence))?;
    console.value(
        &json!({"name": entry.name, "path": path.display().to_string(), "licence": entry.licence}),
    )?;
    Ok(())
}

fn show(name: &str, console: &Console) -> Result<(), Failure> {
    if !Path::new(name).exists()
        && let Some(entry) = registry()?.find(name)
    {
        show_entry(entry, console)?;
        if !entry.is_cached() {
            return Ok(());
        }
    }
    let path = resolve(Path::new(name), &mut console.fetching()).map_err(onelook::Error::from)?;
    let model = read_model(&path, &LoadOptions::default())?;
    warn_of_random_weights(name, &model.metadata, console);
    show_file(&path, &model, console)
}

fn show_entry(entry: &Entry, console: &Console) -> Result<(), Failure> {
    console.line(format!("name      {}", entry.name))?;
    console.line(format!("licence   {}", entry.licence))?;
    let hash = entry
        .sha256
        .as_deref()
        .unwrap_or("not known, so not checked");
    console.line(format!("sha256    {hash}"))?;
    for source in &entry.sources {
        console.line(format!("source    {}", source.describe()))?;
    }
    match entry.is_cached() {
        true => console.line(format!("cached    {}", entry.cached_path().display()))?,
        false => {
            console.line(format!("cached    no: onelook models fetch {}", entry.name))?;
            console.value(&entry_value(entry))?;
        }
    }
    Ok(())
}

fn show_file(path: &Path, model: &ModelFile, console: &Console) -> Result<(), Failure> {
    let metadata = &model.metadata;
    let [height, width] = metadata.image_size;
    let parameters = model.graph.parameters();
    console.line(format!("file      {}", printable_path(path)))?;
    console.line(format!("model     {}", metadata.architecture))?;
    console.line(format!("task      {}", metadata.task()))?;
    console.line(format!(
        "size      {height}x{width}, stride {}",
        metadata.stride
    ))?;
    console.line(format!("nodes     {}", model.graph.nodes.len()))?;
    console.line(format!("weights   {parameters}"))?;
    let end_to_end = metadata.head.detect().is_some_and(|it| it.end_to_end);
    let head = if end_to_end {
        "end-to-end, no NMS"
    } else {
        "one-to-many, NMS"
    };
    console.line(format!("head      {head}"))?;
    for (key, value) in &metadata.notes {
        console.line(format!("{key:<9} {value}"))?;
    }
    console.line(format!("classes   {}", metadata.names.join(", ")))?;
    console.value(&json!({
        "path": path.display().to_string(),
        "architecture": metadata.architecture,
        "task": metadata.task().name(),
        "image_size": metadata.image_size,
        "stride": metadata.stride,
        "parameters": parameters,
        "end_to_end": end_to_end,
        "names": metadata.names,
        "notes": metadata.notes.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    }))?;
    Ok(())
}

fn entry_value(entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "file": entry.file,
        "task": entry.task,
        "size": entry.size,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "cached": entry.is_cached().then(|| entry.cached_path().display().to_string()),
        "sources": entry.sources.iter().map(ModelSource::describe).collect::<Vec<_>>(),
    })
}

fn kind(source: &ModelSource) -> &'static str {
    match source {
        ModelSource::Url { .. } => "url",
        ModelSource::Wheel { .. } => "wheel",
    }
}
