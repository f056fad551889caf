//! Files that hold secrets: who else on the machine can read or write them.

use std::path::Path;

/// Fails if every user of the machine can write the file: whoever does decides who may use the server.
///
/// # Errors
/// That, and a file that cannot be looked at; both with its name.
pub fn check(path: &Path) -> Result<(), String> {
    match mode(path)? & 0o002 {
        0 => Ok(()),
        _ => Err(format!(
            "'{0}': every user of this machine can write it, so it protects nothing: chmod o-w '{0}'",
            path.display()
        )),
    }
}

/// Says so if every user of the machine can read the file.
pub fn warning(path: &Path) -> Option<String> {
    let is_readable = mode(path).is_ok_and(|mode| mode & 0o004 != 0);
    is_readable.then(|| {
        format!(
            "'{0}': every user of this machine can read it: chmod o-r '{0}'",
            path.display()
        )
    })
}

#[cfg(unix)]
fn mode(path: &Path) -> Result<u32, String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|error| format!("'{}': {error}", path.display()))?;
    Ok(metadata.permissions().mode())
}

/// Access is told in another way here, which is not looked at.
#[cfg(not(unix))]
fn mode(_: &Path) -> Result<u32, String> {
    Ok(0)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_can_do_with_the_file_weighs_by_what_it_is() {
        let name = format!("onelook-secret-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "x").unwrap();
        for (mode, is_refused, is_warned) in [
            (0o600, false, false),
            (0o660, false, false),
            (0o644, false, true),
            (0o666, true, true),
            (0o602, true, false),
        ] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check(&path).is_err(), is_refused, "{mode:o}");
            assert_eq!(warning(&path).is_some(), is_warned, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(check(&path).is_err());
    }
}
