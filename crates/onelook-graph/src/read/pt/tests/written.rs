//! Writes archives and pickles for tests, byte by byte.

use std::io::Write;

pub(super) mod tiny;
pub(super) mod torch;

pub(super) fn text(text: &str) -> Vec<u8> {
    [
        b"X".as_slice(),
        &(text.len() as u32).to_le_bytes(),
        text.as_bytes(),
    ]
    .concat()
}

pub(super) fn int(value: i32) -> Vec<u8> {
    [b"J".as_slice(), &value.to_le_bytes()].concat()
}

pub(super) fn negative(value: i32) -> Vec<u8> {
    int(-value)
}

pub(super) fn tuple(elements: &[Vec<u8>]) -> Vec<u8> {
    [b"(".as_slice(), &elements.concat(), b"t"].concat()
}

pub(super) fn list(elements: &[Vec<u8>]) -> Vec<u8> {
    [b"](".as_slice(), &elements.concat(), b"e"].concat()
}

pub(super) fn dict(items: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let flat: Vec<u8> = items
        .iter()
        .flat_map(|(key, value)| [&key[..], value].concat())
        .collect();
    [b"}(".as_slice(), &flat, b"u"].concat()
}

/// An object of a class, with its state.
pub(super) fn object(module: &str, class: &str, state: &[u8]) -> Vec<u8> {
    [
        format!("c{module}\n{class}\n)").as_bytes(),
        b"\x81",
        state,
        b"b",
    ]
    .concat()
}

/// A module of a network; PyTorch's and Ultralytics' are told apart by name only.
pub(super) fn module(
    class: &str,
    attributes: &[(&str, Vec<u8>)],
    children: &[(&str, Vec<u8>)],
    parameters: &[(&str, Vec<u8>)],
) -> Vec<u8> {
    let mapping = |items: &[(&str, Vec<u8>)]| {
        let items: Vec<_> = items
            .iter()
            .map(|(key, value)| (text(key), value.clone()))
            .collect();
        dict(&items)
    };
    let groups = [
        ("_modules", mapping(children)),
        ("_parameters", mapping(parameters)),
    ];
    object(
        "ultralytics.nn.modules",
        class,
        &mapping(&[attributes, &groups].concat()),
    )
}

pub(super) fn tensor(key: &str, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    tensor_at(int(0), key, shape, strides)
}

/// A tensor of a storage of sixteen 32-bit floats.
pub(super) fn tensor_at(offset: Vec<u8>, key: &str, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let numbers = |numbers: &[i32]| tuple(&numbers.iter().map(|&n| int(n)).collect::<Vec<_>>());
    let class = b"ctorch\nFloatStorage\n".to_vec();
    let storage = tuple(&[text("storage"), class, text(key), text("cpu"), int(16)]);
    let args = tuple(&[
        [&storage[..], b"Q"].concat(),
        offset,
        numbers(shape),
        numbers(strides),
        b"\x89".to_vec(),
        b"N".to_vec(),
    ]);
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n".as_slice(),
        &args,
        b"R",
    ]
    .concat()
}

/// An archive of stored members.
pub(super) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let members: Vec<Member> = members
        .iter()
        .map(|&(path, content)| Member {
            path,
            content: content.to_vec(),
            method: 0,
            checksum: 0,
            declared: content.len() as u32,
        })
        .collect();
    write(&members)
}

/// An archive of one compressed member that declares to inflate to `declared` bytes.
pub(super) fn deflated(path: &str, content: &[u8], declared: u32) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    let mut checksum = flate2::Crc::new();
    checksum.update(content);
    write(&[Member {
        path,
        content: encoder.finish().unwrap(),
        method: 8,
        checksum: checksum.sum(),
        declared,
    }])
}

struct Member<'a> {
    path: &'a str,
    content: Vec<u8>,
    method: u16,
    /// Of the inflated content; that of stored members is not looked at.
    checksum: u32,
    declared: u32,
}

fn write(members: &[Member<'_>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let start = file.len() as u32;
        // Flags, method, time and date; checksum, sizes, lengths of name and extra field.
        let mut shared = [[0, 0], member.method.to_le_bytes(), [0, 0], [0x21, 0]].concat();
        shared.extend(member.checksum.to_le_bytes());
        shared.extend((member.content.len() as u32).to_le_bytes());
        shared.extend(member.declared.to_le_bytes());
        shared.extend((member.path.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        file.extend([b"PK\x03\x04\x14\x00", &shared[..], member.path.as_bytes()].concat());
        file.extend(&member.content);
        directory.extend([b"PK\x01\x02\x14\x00\x14\x00", &shared[..], &[0; 10]].concat());
        directory.extend(start.to_le_bytes());
        directory.extend(member.path.as_bytes());
    }
    let (count, start) = ((members.len() as u16).to_le_bytes(), file.len() as u32);
    file.extend(&directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count].concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}
