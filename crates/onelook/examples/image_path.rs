//! Times what lies ahead of the network: `image_path decode|fit JPEG ROUNDS OUT` prints the fastest of
//! so many rounds in milliseconds and writes what came out, as raw bytes. `benches/image_path.py`
//! compares both with the reference's libraries.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use onelook_media::{Limits, decode};
use onelook_types::{LetterboxMode, LetterboxRecipe};
use onelook_vision::letterbox::{fill_input, place};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [step, image, rounds, out] = args.as_slice() else {
        return Err("usage: image_path decode|fit JPEG ROUNDS OUT".into());
    };
    let bytes = std::fs::read(image)?;
    let rounds: usize = rounds.parse()?;
    let frame = decode(&bytes, &Limits::default())?;
    let (best, result) = match step.as_str() {
        "decode" => {
            let best = fastest(rounds, || {
                black_box(decode(black_box(&bytes), &Limits::default()).ok());
            });
            (best, frame.into_pixels())
        }
        "fit" => {
            let recipe = LetterboxRecipe {
                width: 640,
                height: 640,
                mode: LetterboxMode::Rect { stride: 32 },
                padding: 114,
            };
            let placement = place(&recipe, frame.width(), frame.height());
            let mut input = vec![0.0; 3 * placement.width * placement.height];
            let best = fastest(rounds, || {
                fill_input(black_box(&frame), &placement, recipe.padding, &mut input);
            });
            let bytes = input.iter().flat_map(|value| value.to_le_bytes());
            (best, bytes.collect())
        }
        _ => return Err(format!("`{step}` is neither decode nor fit").into()),
    };
    std::fs::write(out, result)?;
    writeln!(std::io::stdout(), "{best}")?;
    Ok(())
}

fn fastest(rounds: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..rounds).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    });
    times.fold(f64::INFINITY, f64::min)
}
