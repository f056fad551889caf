//! Frame in, network input out: the image is scaled evenly, centred and padded with one grey.
//!
//! Placement follows the reference implementation of the YOLO family to the pixel, scaling follows
//! OpenCV's 8-bit bilinear to the bit, so that figures can be compared. Never changes the frame.

mod resize;

pub use resize::axis_taps;

use onelook_types::{
    BoxXyxy, Frame, FrameView, LetterboxMode, LetterboxPlacement, LetterboxRecipe,
};

/// Where an image of this size lands in the network's input.
///
/// The image grows or shrinks by one factor until it touches the target from inside, each side
/// rounded to whole pixels (half to even) and at least one. An odd padding pixel goes to the right
/// and to the bottom. Sides of zero count as one.
pub fn place(
    recipe: &LetterboxRecipe,
    source_width: usize,
    source_height: usize,
) -> LetterboxPlacement {
    let (target_width, target_height) = (recipe.width.max(1), recipe.height.max(1));
    let (source_width, source_height) = (source_width.max(1), source_height.max(1));
    let gain = f64::min(
        target_height as f64 / source_height as f64,
        target_width as f64 / source_width as f64,
    );
    let scaled_width = scale(source_width, gain).clamp(1, target_width);
    let scaled_height = scale(source_height, gain).clamp(1, target_height);
    let mut padding_x = target_width - scaled_width;
    let mut padding_y = target_height - scaled_height;
    if let LetterboxMode::Rect { stride } = recipe.mode {
        padding_x %= stride.max(1);
        padding_y %= stride.max(1);
    }
    LetterboxPlacement {
        width: scaled_width + padding_x,
        height: scaled_height + padding_y,
        scaled_width,
        scaled_height,
        left: padding_x / 2,
        top: padding_y / 2,
        source_width,
        source_height,
    }
}

/// Where an image lands when a whole batch shares one canvas, as the reference validates: the
/// longer side is scaled to `image_size`, the shorter side is rounded up, and the result is centred
/// on the canvas (and scaled down only when it does not fit).
pub fn place_on_canvas(
    image_size: usize,
    canvas_width: usize,
    canvas_height: usize,
    source_width: usize,
    source_height: usize,
) -> LetterboxPlacement {
    let image_size = image_size.max(1);
    let (source_width, source_height) = (source_width.max(1), source_height.max(1));
    let (canvas_width, canvas_height) = (canvas_width.max(1), canvas_height.max(1));
    let gain = image_size as f64 / source_width.max(source_height) as f64;
    let scaled = |side: usize| ((side as f64 * gain).ceil() as usize).clamp(1, image_size);
    let (mut scaled_width, mut scaled_height) = (scaled(source_width), scaled(source_height));
    let shrink = f64::min(
        canvas_height as f64 / scaled_height as f64,
        canvas_width as f64 / scaled_width as f64,
    );
    if shrink < 1.0 {
        scaled_width = scale(scaled_width, shrink).clamp(1, canvas_width);
        scaled_height = scale(scaled_height, shrink).clamp(1, canvas_height);
    }
    LetterboxPlacement {
        width: canvas_width,
        height: canvas_height,
        scaled_width,
        scaled_height,
        left: (canvas_width - scaled_width) / 2,
        top: (canvas_height - scaled_height) / 2,
        source_width,
        source_height,
    }
}

/// The smallest canvas, width then height, on which the reference validates a batch of images of
/// these sizes (width, height): the aspect ratio closest to square among them when all are wide or
/// all are tall, else a square; sides are multiples of `stride` with at least half a stride to spare.
pub fn shared_canvas(image_size: usize, stride: usize, sizes: &[[usize; 2]]) -> [usize; 2] {
    let (mut flattest, mut tallest) = (f64::INFINITY, 0.0f64);
    for &[width, height] in sizes {
        let aspect = height.max(1) as f64 / width.max(1) as f64;
        flattest = flattest.min(aspect);
        tallest = tallest.max(aspect);
    }
    let shape = if sizes.is_empty() {
        [1.0, 1.0]
    } else if tallest < 1.0 {
        [1.0, tallest]
    } else if flattest > 1.0 {
        [1.0 / flattest, 1.0]
    } else {
        [1.0, 1.0]
    };
    let stride = stride.max(1);
    shape.map(|side| {
        let strides = side * image_size as f64 / stride as f64 + 0.5;
        strides.ceil() as usize * stride
    })
}

/// The padded image as the network sees it, in 8 bits.
///
/// # Panics
/// When the placement's image does not lie inside its canvas; [`place`] makes no such placement.
pub fn letterbox<'f>(
    frame: impl Into<FrameView<'f>>,
    placement: &LetterboxPlacement,
    padding: u8,
) -> Frame {
    check(placement);
    let stride = placement.width * 3;
    let mut pixels = vec![padding; stride * placement.height];
    let first = placement.top * stride + placement.left * 3;
    resize::rows(
        &frame.into(),
        placement.scaled_width,
        placement.scaled_height,
        |y, row| {
            let out = pixels[first + y * stride..].as_chunks_mut::<3>().0;
            for (out, &[red, green, blue, _]) in out.iter_mut().zip(row) {
                *out = [red, green, blue];
            }
        },
    );
    Frame::new(placement.width, placement.height, pixels)
        .expect("a checked placement has two positive sides")
}

/// Writes the padded image as the network's input: a red, a green and a blue plane, 0 to 1.
///
/// # Panics
/// When `out` has another length than `3 * height * width` of the placement, or the placement's
/// image does not lie inside its canvas.
pub fn fill_input<'f>(
    frame: impl Into<FrameView<'f>>,
    placement: &LetterboxPlacement,
    padding: u8,
    out: &mut [f32],
) {
    check(placement);
    let (width, height) = (placement.width, placement.height);
    let plane = width * height;
    assert_eq!(
        out.len(),
        3 * plane,
        "the input holds three planes of {width}x{height}"
    );
    let (top, left) = (placement.top, placement.left);
    let (bottom, right) = (top + placement.scaled_height, left + placement.scaled_width);
    let grey = unit(padding);
    for channel in out.chunks_exact_mut(plane) {
        channel[..top * width].fill(grey);
        channel[bottom * width..].fill(grey);
        for row in channel[top * width..bottom * width].chunks_exact_mut(width) {
            row[..left].fill(grey);
            row[right..].fill(grey);
        }
    }
    let (red, rest) = out.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    resize::rows(
        &frame.into(),
        placement.scaled_width,
        placement.scaled_height,
        |y, row| {
            let start = (top + y) * width + left;
            let end = start + placement.scaled_width;
            separate(
                row,
                &mut red[start..end],
                &mut green[start..end],
                &mut blue[start..end],
            );
        },
    );
}

/// A box on the network's input as a box on the original image, clipped to it.
pub fn scale_back(bbox: BoxXyxy, placement: &LetterboxPlacement) -> BoxXyxy {
    let gain_x = placement.scaled_width as f32 / placement.source_width as f32;
    let gain_y = placement.scaled_height as f32 / placement.source_height as f32;
    let x =
        |x: f32| ((x - placement.left as f32) / gain_x).clamp(0.0, placement.source_width as f32);
    let y =
        |y: f32| ((y - placement.top as f32) / gain_y).clamp(0.0, placement.source_height as f32);
    BoxXyxy {
        x1: x(bbox.x1),
        y1: y(bbox.y1),
        x2: x(bbox.x2),
        y2: y(bbox.y2),
    }
}

fn scale(side: usize, gain: f64) -> usize {
    (side as f64 * gain).round_ties_even() as usize
}

fn check(placement: &LetterboxPlacement) {
    let fits = placement.scaled_width > 0
        && placement.scaled_height > 0
        && placement.left.saturating_add(placement.scaled_width) <= placement.width
        && placement.top.saturating_add(placement.scaled_height) <= placement.height;
    assert!(fits, "the image lies outside its canvas: {placement:?}");
}

/// A row of pixels as a row of each plane.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn separate(row: &[resize::Pixel], red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
    for (((red, green), blue), pixel) in red.iter_mut().zip(green).zip(blue).zip(row) {
        [*red, *green, *blue] = [unit(pixel[0]), unit(pixel[1]), unit(pixel[2])];
    }
}

/// From 0 to 1, divided as the reference divides.
#[inline(always)]
fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}
