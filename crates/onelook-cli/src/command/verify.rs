//! `onelook verify`: the same pictures through two routes, and how far their boxes are apart.

mod html;
mod recorded;
mod report;
mod route;

use onelook::media::Source;
use onelook::types::{Detection, Frame};
use onelook::{Parity, Tolerance, raw_error};

use super::predict::{load, source_options};
use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::VerifyArgs;
use route::{Against, open_first};

/// What both routes said of one picture.
pub struct Compared {
    name: String,
    parity: Parity,
    /// Error of the raw tensors, where both routes have comparable ones.
    raw: Option<f32>,
}

/// A picture worth showing.
pub struct Shown {
    name: String,
    severity: f32,
    frame: Frame,
    routes: [Vec<Detection>; 2],
}

/// Pictures on the page.
const SHOWN: usize = 5;

pub fn run(args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    let tolerance = Tolerance {
        pixels: args.max_pixels,
        score: args.max_score,
    };
    let source = Source::open(&args.source, &source_options()).map_err(onelook::Error::from)?;
    let other = Against::parse(&args.against, &args.model)?;
    let (first, second) = open_first(&args.model, &args.fit, other, console)?;
    let bar = console.bar(source.len(), "comparing");
    let mut compared = Vec::new();
    let mut shown: Vec<Shown> = Vec::new();
    for item in source {
        let picture = load::load(item);
        let frame = picture.frame?;
        let own = first
            .predict(std::slice::from_ref(&frame))?
            .remove(0)
            .detections;
        let Some(answer) = second.answer(&picture.name, &frame)? else {
            console.warn(format!(
                "'{}' is not in the recorded file, left out",
                picture.name
            ));
            continue;
        };
        let parity = Parity::of(&own.items, &answer);
        let raw = match second.raw(&frame)? {
            Some(raw) => raw_error(&route::raw(&first, &frame)?, &raw),
            None => None,
        };
        keep_worst(
            &mut shown,
            Shown {
                name: picture.name.clone(),
                severity: parity.severity(&tolerance),
                frame,
                routes: [own.items, answer],
            },
        );
        compared.push(Compared {
            name: picture.name,
            parity,
            raw,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    if compared.is_empty() {
        return Err(Failure::failed(
            "verify",
            "no picture could be compared by both routes",
        ));
    }
    let routes = [route::describe(&first), second.describe()];
    let names = &first.model().metadata().names;
    report::words(&compared, &routes, &tolerance, names, console);
    console.value(&report::value(&compared, &routes, &tolerance));
    if let Some(path) = &args.html {
        let page = html::page(&compared, &shown, &routes, &tolerance, names)?;
        std::fs::write(path, page).map_err(refused(path))?;
        console.line(format!("page written to {}", path.display()));
    }
    match compared
        .iter()
        .filter(|one| !one.parity.holds(&tolerance))
        .count()
    {
        0 => Ok(()),
        count => Err(Failure::failed(
            "parity",
            format!(
                "{count} of {} pictures differ by more than tolerated",
                compared.len()
            ),
        )),
    }
}

fn keep_worst(shown: &mut Vec<Shown>, picture: Shown) {
    let place = shown.partition_point(|other| other.severity >= picture.severity);
    shown.insert(place, picture);
    shown.truncate(SHOWN);
}
