//! The end of an MP4 file that was cut off: what is behind its last whole fragment goes, so that players do not
//! stumble over half a frame.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Cuts the file behind its last whole fragment, if it has any; does nothing to other files.
pub(super) fn cut_to_whole(path: &Path) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let (mut at, mut whole, mut in_fragment) = (0, None, false);
    while let Some((kind, end)) = next_box(&mut file, at)? {
        if end > length {
            break;
        }
        match &kind {
            b"moof" => in_fragment = true,
            b"mdat" if in_fragment => (whole, in_fragment) = (Some(end), false),
            _ => {}
        }
        at = end;
    }
    match whole {
        Some(whole) if whole < length => file.set_len(whole),
        _ => Ok(()),
    }
}

/// Kind of the box at this place and where it ends; nothing where there is none.
fn next_box(file: &mut File, at: u64) -> io::Result<Option<([u8; 4], u64)>> {
    file.seek(SeekFrom::Start(at))?;
    let mut head = Vec::with_capacity(16);
    file.take(16).read_to_end(&mut head)?;
    let Some((size, rest)) = head.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let Some((&kind, rest)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let size = match u32::from_be_bytes(*size) {
        1 => rest
            .first_chunk()
            .map_or(0, |size| u64::from_be_bytes(*size)),
        size => u64::from(size),
    };
    // Smaller than its own head: no box, or one up to the end, of which nobody knows whether it is whole.
    Ok(at
        .checked_add(size)
        .filter(|_| size >= 8)
        .map(|end| (kind, end)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn half_a_fragment_goes_and_other_files_stay() {
        let path = std::env::temp_dir().join(format!("onelook-cut-{}.mp4", std::process::id()));
        let part = |kind: &str, bytes: usize| {
            let size = (bytes + 8) as u32;
            [&size.to_be_bytes(), kind.as_bytes(), &vec![7; bytes]].concat()
        };
        let large = [&[0, 0, 0, 1], &b"mdat"[..], &24_u64.to_be_bytes(), &[7; 8]].concat();
        let whole = [part("ftyp", 8), part("moov", 9), part("moof", 5), large].concat();
        let next = [part("moof", 6), part("mdat", 90)].concat();
        for (bytes, expected) in [
            (whole.clone(), whole.len()),
            ([whole.clone(), next[..50].to_vec()].concat(), whole.len()),
            ([whole.clone(), next[..14].to_vec()].concat(), whole.len()),
            ([whole.clone(), next[..3].to_vec()].concat(), whole.len()),
            (
                [whole.clone(), next.clone()].concat(),
                whole.len() + next.len(),
            ),
            (whole[..40].to_vec(), 40),
            (vec![0; 100], 100),
            (vec![255; 100], 100),
            (Vec::new(), 0),
        ] {
            fs::write(&path, &bytes).unwrap();
            cut_to_whole(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes[..expected]);
        }
        fs::remove_file(&path).unwrap();
    }
}
