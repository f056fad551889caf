//! What a server asks of the C library's allocator: freed memory is used again, by all threads.
//!
//! glibc gives threads arenas of their own, up to eight per core, and keeps in each what was freed
//! there. A server frees on one thread what another took, weights of models and pixels of images,
//! so the arenas would grow for hours. Pieces that come from the system one by one would stay flat
//! too, but their fresh pages cost a sixth of the throughput.

/// Pieces from this size on, the most that glibc takes, come from the system one by one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 32 << 20;

/// Free memory at the end of the arena that is kept for the next images.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 256 << 20;

/// Settles it for the whole process; to be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn settle() {
    // SAFETY: mallopt takes two numbers and changes nothing but the allocator's parameters; no
    // other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Other allocators have no such habit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn settle() {}
