//! A model that detects red and green squares of 32 pixels, images for it, and forms.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use onelook::graph::Graph;
use onelook::graph::op::Conv;
use onelook::graph::read::ModelFile;
use onelook::media::encode_png;
use onelook::types::{DetectHead, Frame, Head, Metadata, OutputEncoding, Tensor};
use onelook_server::Config;

use crate::support::{TestServer, config, serve};

/// Pixels of a cell's side.
pub const CELL: usize = 32;

/// Colours of cells.
pub const BLACK: [u8; 3] = [0; 3];
pub const RED: [u8; 3] = [255, 0, 0];
pub const GREEN: [u8; 3] = [0, 255, 0];

/// The model's file; one for all processes that run tests, so that none is left behind.
pub fn model() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let write = || {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join("colours.safetensors");
        let own = folder.join(format!("colours-{}.safetensors", std::process::id()));
        onelook::write_model(&file(), &own).unwrap();
        // One that others read already stays as it is.
        let is_same = fs::read(&path).is_ok_and(|bytes| bytes == fs::read(&own).unwrap());
        match is_same {
            true => fs::remove_file(&own).unwrap(),
            false => fs::rename(&own, &path).unwrap(),
        }
        path
    };
    PATH.get_or_init(write).clone()
}

fn file() -> ModelFile {
    let mut graph = Graph::new();
    let images = graph.add_input("images");
    let look = |weights: Tensor, bias: Vec<f32>| Conv {
        stride: [CELL, CELL],
        ..Conv::new(
            Arc::new(weights),
            Some(Arc::new(Tensor::new([bias.len()], bias).unwrap())),
        )
    };
    let area = CELL * CELL;
    let sides = look(Tensor::zeros([4, 3, CELL, CELL]), vec![0.5; 4]);
    // Class 0 likes red and no green, class 1 the other way round.
    let weights = Tensor::from_fn([2, 3, CELL, CELL], |at| {
        let (class, channel) = (at / (3 * area), at / area % 3);
        let sign = [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]][class][channel];
        20.0 * sign / area as f32
    });
    let sides = graph.add("sides", sides, &[images]);
    let classes = graph.add("classes", look(weights, vec![-10.0; 2]), &[images]);
    graph.outputs = vec![sides, classes];
    let metadata = Metadata {
        architecture: "colours".to_owned(),
        names: vec!["red".to_owned(), "green".to_owned()],
        stride: CELL,
        image_size: [64, 64],
        fixed_size: false,
        head: Head::Detect(DetectHead {
            classes: 2,
            reg_max: 1,
            strides: vec![CELL],
            end_to_end: false,
            encoding: OutputEncoding::Maps,
        }),
        notes: vec![("license".to_owned(), "free".to_owned())],
    };
    ModelFile { graph, metadata }
}

/// A PNG of 2 x 2 cells of these colours, row by row.
pub fn image(cells: [[u8; 3]; 4]) -> Bytes {
    let mut frame = Frame::filled(2 * CELL, 2 * CELL, BLACK).unwrap();
    let pixels = frame.pixels_mut().chunks_exact_mut(3).enumerate();
    for (at, pixel) in pixels {
        let (x, y) = (at % (2 * CELL), at / (2 * CELL));
        pixel.copy_from_slice(&cells[2 * (y / CELL) + x / CELL]);
    }
    encode_png(&frame).unwrap().into()
}

/// Red at the top left, green at the bottom right.
pub fn red_and_green() -> Bytes {
    image([RED, BLACK, BLACK, GREEN])
}

/// A configuration for the model under the name `colours`.
pub fn colours() -> Config {
    config(&[("colours", model())])
}

/// A server with the model.
pub async fn server() -> TestServer {
    serve(colours()).await
}

/// A form's content type.
pub const FORM: &str = "multipart/form-data; boundary=XX";

/// A form of fields (`name=value`) and files (`name;file name`).
pub fn form(fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Bytes {
    let mut form = Vec::new();
    for (name, value) in fields {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        form.extend([head.as_bytes(), value.as_bytes(), b"\r\n"].concat());
    }
    for (names, content) in files {
        let (name, file) = names.split_once(';').unwrap();
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: image/png\r\n\r\n"
        );
        form.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    form.extend(b"--XX--\r\n");
    form.into()
}
