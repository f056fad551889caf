//! `onelook verify`: the same images through two routes, and how far apart their boxes are.

mod compared;
mod html;
mod recorded;
mod report;
mod route;

use onelook::media::{Limits, Source};
use onelook::printable::printable;
use onelook::{Parity, Tolerance, raw_error};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::VerifyArgs;
use crate::options::source_options;
use crate::output::write_whole;
use compared::{Compared, Shown};
use route::{Against, open_first};

/// Images on the page.
const SHOWN: usize = 5;

pub fn run(args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    let tolerance = Tolerance {
        pixels: args.max_pixels,
        score: args.max_score,
        mask_iou: args.min_mask_iou,
    };
    let defaults = Limits::default();
    let limits = Limits {
        max_pixels: args.max_image_pixels.unwrap_or(defaults.max_pixels),
        max_bytes: args.max_bytes.unwrap_or(defaults.max_bytes),
    };
    let source =
        Source::open(&args.source, &source_options(&limits)).map_err(onelook::Error::from)?;
    if source.len_hint().is_none() {
        return Err(Failure::Usage(
            "--source: verify compares images; save the frames of a video with `onelook predict --save-frames`"
                .to_owned(),
        ));
    }
    let other = Against::parse(&args.against, &args.model)?;
    let (first, second) = open_first(&args.model, &args.fit, other, console)?;
    let bar = console.bar(source.len_hint().unwrap_or_default(), "comparing");
    let mut compared = Vec::new();
    let mut shown: Vec<Shown> = Vec::new();
    for item in source {
        let frame = item.image.map_err(|error| unusable(error.into()))?.frame;
        let results = first.predict(std::slice::from_ref(&frame))?;
        let own = results[0].instances().clone();
        let Some(answer) = second.answer(&item.name, &frame)? else {
            console.warn(format!(
                "'{}' is not in the recorded file, left out",
                printable(&item.name)
            ));
            continue;
        };
        let parity = Parity::of(&own, &answer);
        let raw = match second.raw(&frame)? {
            Some(raw) => raw_error(&route::raw(&first, &frame)?, &raw),
            None => None,
        };
        keep_worst(
            &mut shown,
            Shown {
                name: item.name.clone(),
                severity: parity.severity(&tolerance),
                frame,
                routes: [own, answer],
            },
        );
        compared.push(Compared {
            name: item.name,
            parity,
            raw,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    if compared.is_empty() {
        return Err(Failure::failed(
            "verify",
            "no image could be compared by both routes",
        ));
    }
    let routes = [route::describe(&first), second.describe()];
    let names = &first.model().metadata().names;
    if args.html.is_some() {
        console.saves_results();
    }
    report::words(&compared, &routes, &tolerance, names, console)?;
    console.value(&report::value(&compared, &routes, &tolerance))?;
    if let Some(path) = &args.html {
        let page = html::page(&compared, &shown, &routes, &tolerance, names)?;
        write_whole(path, page.as_bytes())?;
        console.line(format!("page written to {}", path.display()))?;
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
                "{count} of {} images differ by more than tolerated",
                compared.len()
            ),
        )),
    }
}

/// Here `--max-pixels` is a tolerance of boxes.
fn unusable(error: onelook::Error) -> Failure {
    let failure = Failure::from(error);
    let message = failure
        .message()
        .replace("--max-pixels", "--max-image-pixels");
    Failure::failed("image", message)
}

fn keep_worst(shown: &mut Vec<Shown>, image: Shown) {
    let place = shown.partition_point(|other| other.severity >= image.severity);
    shown.insert(place, image);
    shown.truncate(SHOWN);
}
