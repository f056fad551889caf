//! The NVIDIA driver, opened at run time: a plan of launches in, results out.
//!
//! [`Driver`] finds the library and its GPUs, [`Context`] is one of them in use, [`LoadedPlan`] a
//! plan whose kernels and constants are there, [`ExecutionContext`] runs it. Every call's answer is
//! checked and becomes a [`CudaError`] that says what to do. Nothing of CUDA is linked; without a
//! driver nothing here panics or prints.

mod abi;
mod allocation;
mod cache;
mod context;
mod device;
mod error;
mod event;
mod function;
mod graph;
mod library;
mod link;
mod memory;
mod modules;
mod pinned;
mod pool;
mod run;
mod stream;

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use abi::{Status, status};
use library::{OpenLibrary, Table};

pub use cache::CubinCache;
pub use context::{Context, MemoryInfo};
pub use device::DeviceInfo;
pub use error::{CudaError, DriverVersion, OutOfMemory};
pub use event::Event;
pub use function::{Function, FunctionInfo, Value};
pub use graph::{Graph, GraphExec, Node};
pub use library::DRIVER_VARIABLE;
pub use memory::DeviceBuffer;
pub use modules::{Modules, module_count};
pub use pinned::PinnedBuffer;
pub use run::{Constants, Edges, ExecutionContext, LoadedPlan};
pub use stream::Stream;

/// The driver, open and initialised.
pub struct Driver {
    library: OpenLibrary,
}

impl Driver {
    /// Opens the system's driver, or the file that [`DRIVER_VARIABLE`] names.
    ///
    /// # Errors
    /// There is none, it is too old, or it sees no GPU.
    pub fn open() -> Result<Arc<Self>, CudaError> {
        Self::initialise(OpenLibrary::find()?)
    }

    /// Opens this file as the driver.
    ///
    /// # Errors
    /// As those of [`open`](Self::open).
    pub fn open_file(path: &Path) -> Result<Arc<Self>, CudaError> {
        Self::initialise(OpenLibrary::open(path)?)
    }

    fn initialise(library: OpenLibrary) -> Result<Arc<Self>, CudaError> {
        let driver = Self { library };
        // SAFETY: cuInit takes flags, of which there are none.
        let code = unsafe { (driver.table().cuInit)(0) };
        match code {
            status::NO_DEVICE => return Err(CudaError::NoDevice),
            status::STUB_LIBRARY => {
                return Err(CudaError::NoDriver {
                    tried: "libcuda is a stub of the CUDA toolkit, for linking only".to_owned(),
                });
            }
            _ => driver.check("cuInit", code)?,
        }
        Ok(Arc::new(driver))
    }

    /// The newest CUDA that the driver knows.
    pub fn version(&self) -> DriverVersion {
        self.library.version
    }

    fn table(&self) -> &Table {
        &self.library.table
    }

    /// What a call answered, as an error unless it is success.
    fn check(&self, function: &'static str, code: Status) -> Result<(), CudaError> {
        if code == status::SUCCESS {
            return Ok(());
        }
        let table = self.table();
        Err(CudaError::Call {
            function,
            code,
            name: words(code, table.cuGetErrorName).unwrap_or_else(|| "unknown error".to_owned()),
            text: words(code, table.cuGetErrorString).unwrap_or_default(),
        })
    }
}

/// What the driver calls an error.
fn words(
    code: Status,
    get: unsafe extern "system" fn(Status, *mut *const c_char) -> Status,
) -> Option<String> {
    let mut text = ptr::null();
    // SAFETY: the pointer is to a live pointer, which the driver sets to a text of its own or null.
    let answer = unsafe { get(code, &raw mut text) };
    if answer != status::SUCCESS || text.is_null() {
        return None;
    }
    // SAFETY: the driver set it to a text that ends in zero and lives as long as the library.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}
