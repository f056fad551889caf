//! The folder of this library, where its script lies and its log goes.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

/// `Dl_info`.
#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, found: *mut DlInfo) -> c_int;
}

/// Where this library's file lies.
pub fn library_folder() -> PathBuf {
    let mut found = DlInfo {
        file: ptr::null(),
        base: ptr::null_mut(),
        symbol: ptr::null(),
        address: ptr::null_mut(),
    };
    let address = library_folder as fn() -> PathBuf as *const c_void;
    // SAFETY: the address is of this function, the structure is the one that dladdr fills.
    let answer = unsafe { dladdr(address, &raw mut found) };
    assert!(
        answer != 0 && !found.file.is_null(),
        "the loader does not know this library"
    );
    // SAFETY: dladdr gave a text that ends in zero and lives as long as the library.
    let file = unsafe { CStr::from_ptr(found.file) };
    let path = PathBuf::from(file.to_string_lossy().into_owned());
    path.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
