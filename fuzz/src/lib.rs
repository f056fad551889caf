//! What the fuzz targets share: small limits, and the archive that wraps a pickle.
//!
//! Limits are small so that what breaks them is found in small inputs and a run stays fast.

use std::sync::OnceLock;

use onelook_cpu::Cpu;
use onelook_graph::read::{Limits, ReadOptions, read};
use onelook_graph::{
    Backend, CompileOptions, Graph, Prepared, RunOutput, infer_shapes, pass, reference,
};
use onelook_types::{Shape, Tensor};
use peak_alloc::PeakAlloc;

/// Values and weights of a graph that the plain executor runs in well under a second.
const SMALL: usize = 20_000;

/// Batch, channels and sides of the image that accepted graphs run on.
const IMAGE: [usize; 4] = [1, 3, 8, 8];

static CPU: OnceLock<Cpu> = OnceLock::new();

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most bytes that `run` had allocated at one time: the oracle of parsers that promise a bound.
pub fn peak_bytes(run: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    run();
    MEMORY.peak_usage().saturating_sub(before)
}

/// A model file may ask for 64 MiB of tensors.
pub fn options() -> ReadOptions {
    ReadOptions {
        limits: Limits {
            file_bytes: 1 << 20,
            tensor_bytes: 64 << 20,
            description_bytes: 4 << 20,
            nodes: 2_000,
            depth: 64,
        },
        ..ReadOptions::default()
    }
}

/// Reads a model file; what is accepted must go through the passes and run without panic.
pub fn read_model(bytes: &[u8]) {
    match read(bytes, &options()) {
        Ok(model) => exercise(model.graph),
        Err(error) => drop(error.to_string()),
    }
}

/// Optimises the graph and, where a small image makes it a small computation, runs it.
fn exercise(mut graph: Graph) {
    pass::optimise(&mut graph);
    let image = Tensor::zeros(IMAGE);
    if is_small(&graph, &image) {
        drop(reference::run(&graph, &[&image]));
    }
}

/// Runs the graph of a model file on the CPU engine, in the form that the product does.
pub fn run_on_cpu(bytes: &[u8]) {
    let Ok(mut model) = read(bytes, &options()) else {
        return;
    };
    pass::optimise(&mut model.graph);
    let image = Tensor::zeros(IMAGE);
    if !is_small(&model.graph, &image) {
        return;
    }
    let cpu = CPU.get_or_init(|| Cpu::new(Some(1)).expect("this CPU runs the portable kernels"));
    let Ok(network) = cpu.compile(&model.graph, &CompileOptions::default()) else {
        return;
    };
    let expected = reference::run(&model.graph, &[&image]);
    let input = [Prepared::Tensors(std::slice::from_ref(&image))];
    let outputs = network.run(&input).and_then(RunOutput::into_raw);
    if let (Ok(outputs), Ok(expected)) = (outputs, expected) {
        let shapes = |tensors: &[Tensor]| tensors.iter().map(|t| t.shape().clone()).collect();
        let (ours, theirs): (Vec<Shape>, Vec<Shape>) = (shapes(&outputs), shapes(&expected));
        assert_eq!(ours, theirs, "the engine and the reference differ in shape");
    }
}

fn is_small(graph: &Graph, image: &Tensor) -> bool {
    let Ok(shapes) = infer_shapes(graph, &[image.shape().clone()]) else {
        return false;
    };
    drop(graph.to_text(Some(&shapes)));
    let values = shapes
        .iter()
        .filter_map(Shape::checked_elements)
        .fold(0, usize::saturating_add);
    values.saturating_add(graph.parameters()) < SMALL
}

/// An ONNX file by its first bytes, so that the reader takes it for one.
pub fn onnx_file(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x08, 0x08];
    file.extend_from_slice(bytes.strip_prefix(&[0x08, 0x08]).unwrap_or(bytes));
    file
}

/// A `.pt` file: a zip archive of stored members `m/data.pkl`, `m/byteorder` and two storages.
pub fn archive_with_pickle(pickle: &[u8]) -> Vec<u8> {
    // Half-precision ones: strides and variances must not be zero.
    let storage = [0x00, 0x3c].repeat(128);
    let members: [(&str, &[u8]); 5] = [
        ("m/data.pkl", pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &storage),
        ("m/data/1", &storage),
        ("m/version", b"3\n"),
    ];
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in members {
        let offset = zip.len() as u32;
        let header = member_header(name, bytes);
        zip.extend_from_slice(b"PK\x03\x04");
        zip.extend_from_slice(&header);
        zip.extend_from_slice(name.as_bytes());
        zip.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&header);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (count, start) = (members.len() as u16, zip.len() as u32);
    zip.extend_from_slice(&directory);
    zip.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    zip.extend_from_slice(&count.to_le_bytes());
    zip.extend_from_slice(&count.to_le_bytes());
    zip.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    zip.extend_from_slice(&start.to_le_bytes());
    zip.extend_from_slice(&[0, 0]);
    zip
}

/// The 26 bytes that a member's local header and its directory entry have in common.
fn member_header(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    header.extend_from_slice(&crc32(bytes).to_le_bytes());
    header.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    header.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    header.extend_from_slice(&(name.len() as u16).to_le_bytes());
    header.extend_from_slice(&[0, 0]);
    header
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
