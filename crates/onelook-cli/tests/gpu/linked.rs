//! What the binary asks the system's loader for: never a library of CUDA.

use std::fs;

const DYNAMIC: u32 = 2;
const LOAD: u32 = 1;
const NEEDED: u64 = 1;
const TEXTS: u64 = 5;

/// A little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let bytes = bytes[at..at + length].iter().rev();
    bytes.fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The libraries that a 64-bit ELF file names as needed.
fn needed(elf: &[u8]) -> Vec<String> {
    assert_eq!(
        &elf[..6],
        b"\x7fELF\x02\x01",
        "a 64-bit little-endian ELF file"
    );
    let (start, size) = (number(elf, 32, 8) as usize, number(elf, 54, 2) as usize);
    let headers: Vec<usize> = (0..number(elf, 56, 2) as usize)
        .map(|i| start + i * size)
        .collect();
    let kind = |&header: &usize| number(elf, header, 4) as u32;
    let place = |header: usize| number(elf, header + 8, 8) as usize;
    let dynamic = headers
        .iter()
        .copied()
        .find(|header| kind(header) == DYNAMIC);
    let Some(dynamic) = dynamic else {
        return Vec::new();
    };
    let length = number(elf, dynamic + 32, 8) as usize;
    let entries: Vec<(u64, u64)> = (0..length / 16)
        .map(|index| place(dynamic) + index * 16)
        .map(|at| (number(elf, at, 8), number(elf, at + 8, 8)))
        .collect();
    let texts = entries.iter().find(|(tag, _)| *tag == TEXTS).unwrap().1;
    let in_file = headers
        .iter()
        .copied()
        .filter(|header| kind(header) == LOAD)
        .find_map(|header| {
            let (address, bytes) = (number(elf, header + 16, 8), number(elf, header + 32, 8));
            let inside = (address..address + bytes).contains(&texts);
            inside.then(|| place(header) + (texts - address) as usize)
        });
    let text = |offset: u64| {
        let from = &elf[in_file.unwrap() + offset as usize..];
        let end = from.iter().position(|&byte| byte == 0).unwrap();
        String::from_utf8_lossy(&from[..end]).into_owned()
    };
    let names = entries.iter().filter(|(tag, _)| *tag == NEEDED);
    names.map(|(_, offset)| text(*offset)).collect()
}

#[test]
fn the_binary_needs_no_library_of_cuda() {
    let names = needed(&fs::read(env!("CARGO_BIN_EXE_onelook")).unwrap());
    assert!(
        names.iter().any(|name| name.starts_with("libc.")),
        "{names:?}"
    );
    let cuda = |name: &&String| name.contains("cu") || name.contains("nv");
    assert_eq!(names.iter().find(cuda), None, "{names:?}");
}
