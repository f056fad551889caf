//! The driver's library, opened at run time: names of files in, a table of its functions out.
//!
//! Never unloads the library: the driver keeps threads of its own in it.

use std::env;
use std::error::Error as _;
use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::Library;

use super::abi::{
    ContextHandle, DeviceHandle, DevicePointer, EdgeData, EventHandle, FunctionHandle,
    GraphExecHandle, GraphHandle, KernelNode, LaunchConfig, LinkHandle, MemsetNode, ModuleHandle,
    NodeHandle, Status, StreamHandle,
};
use super::error::{CudaError, DriverVersion};

/// Names another file than the system's driver.
pub const DRIVER_VARIABLE: &str = "ONELOOK_CUDA_DRIVER";

/// Where the driver is found: by the loader's own search first, then where WSL and NixOS keep it.
#[cfg(not(windows))]
const PLACES: [&str; 4] = [
    "libcuda.so.1",
    "libcuda.so",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/run/opengl-driver/lib/libcuda.so.1",
];
#[cfg(windows)]
const PLACES: [&str; 1] = ["nvcuda.dll"];

macro_rules! table {
    (
        required { $($name:ident($($argument:ty),*);)* }
        optional { $($may:ident($($may_argument:ty),*);)* }
    ) => {
        /// The driver's functions under the names that it exports.
        #[allow(non_snake_case, reason = "these are the names that the library exports")]
        pub(super) struct Table {
            $(pub $name: unsafe extern "system" fn($($argument),*) -> Status,)*
            $(pub $may: Option<unsafe extern "system" fn($($may_argument),*) -> Status>,)*
        }

        impl Table {
            /// The name of the first function that must be there and is not, otherwise.
            fn read(library: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: the types above are those that the driver's interface declares for
                    // the symbols of these names, and the library is never unloaded.
                    $($name: *unsafe { library.get(stringify!($name)) }
                        .map_err(|_| stringify!($name))?,)*
                    // SAFETY: these types too are those of the driver's interface, and the library
                    // is never unloaded.
                    $($may: unsafe { library.get(stringify!($may)) }.ok().map(|symbol| *symbol),)*
                })
            }
        }
    };
}

table! {
    required {
        cuInit(u32);
        cuGetErrorName(Status, *mut *const c_char);
        cuGetErrorString(Status, *mut *const c_char);
        cuDeviceGetCount(*mut i32);
        cuDeviceGet(*mut DeviceHandle, i32);
        cuDeviceGetName(*mut c_char, i32, DeviceHandle);
        cuDeviceGetUuid_v2(*mut [u8; 16], DeviceHandle);
        cuDeviceGetPCIBusId(*mut c_char, i32, DeviceHandle);
        cuDeviceTotalMem_v2(*mut usize, DeviceHandle);
        cuDeviceGetAttribute(*mut i32, i32, DeviceHandle);
        cuDevicePrimaryCtxRetain(*mut ContextHandle, DeviceHandle);
        cuDevicePrimaryCtxRelease_v2(DeviceHandle);
        cuCtxPushCurrent_v2(ContextHandle);
        cuCtxPopCurrent_v2(*mut ContextHandle);
        cuCtxSynchronize();
        cuMemGetInfo_v2(*mut usize, *mut usize);
        cuMemAlloc_v2(*mut DevicePointer, usize);
        cuMemFree_v2(DevicePointer);
        cuMemHostAlloc(*mut *mut c_void, usize, u32);
        cuMemFreeHost(*mut c_void);
        cuMemcpyHtoD_v2(DevicePointer, *const c_void, usize);
        cuMemcpyDtoH_v2(*mut c_void, DevicePointer, usize);
        cuMemcpyHtoDAsync_v2(DevicePointer, *const c_void, usize, StreamHandle);
        cuMemcpyDtoHAsync_v2(*mut c_void, DevicePointer, usize, StreamHandle);
        cuMemsetD8_v2(DevicePointer, u8, usize);
        cuMemsetD8Async(DevicePointer, u8, usize, StreamHandle);
        cuStreamCreateWithPriority(*mut StreamHandle, u32, i32);
        cuStreamDestroy_v2(StreamHandle);
        cuStreamSynchronize(StreamHandle);
        cuStreamWaitEvent(StreamHandle, EventHandle, u32);
        cuEventCreate(*mut EventHandle, u32);
        cuEventRecord(EventHandle, StreamHandle);
        cuEventSynchronize(EventHandle);
        cuEventElapsedTime(*mut f32, EventHandle, EventHandle);
        cuEventDestroy_v2(EventHandle);
        cuModuleLoadDataEx(*mut ModuleHandle, *const c_void, u32, *mut u32, *mut *mut c_void);
        cuModuleUnload(ModuleHandle);
        cuModuleGetFunction(*mut FunctionHandle, ModuleHandle, *const c_char);
        cuFuncGetAttribute(*mut i32, i32, FunctionHandle);
        cuFuncSetAttribute(FunctionHandle, i32, i32);
        cuOccupancyMaxActiveBlocksPerMultiprocessor(*mut i32, FunctionHandle, i32, usize);
        cuLaunchKernel(
            FunctionHandle, u32, u32, u32, u32, u32, u32, u32, StreamHandle,
            *mut *mut c_void, *mut *mut c_void
        );
        cuLinkCreate_v2(u32, *mut u32, *mut *mut c_void, *mut LinkHandle);
        cuLinkAddData_v2(
            LinkHandle, i32, *const c_void, usize, *const c_char, u32, *mut u32, *mut *mut c_void
        );
        cuLinkComplete(LinkHandle, *mut *mut c_void, *mut usize);
        cuLinkDestroy(LinkHandle);
        cuGraphCreate(*mut GraphHandle, u32);
        cuGraphDestroy(GraphHandle);
        cuGraphAddKernelNode_v2(
            *mut NodeHandle, GraphHandle, *const NodeHandle, usize, *const KernelNode
        );
        cuGraphAddMemsetNode(
            *mut NodeHandle, GraphHandle, *const NodeHandle, usize, *const MemsetNode, ContextHandle
        );
        cuGraphInstantiateWithFlags(*mut GraphExecHandle, GraphHandle, u64);
        cuGraphUpload(GraphExecHandle, StreamHandle);
        cuGraphLaunch(GraphExecHandle, StreamHandle);
        cuGraphExecDestroy(GraphExecHandle);
    }
    optional {
        cuLaunchKernelEx(
            *const LaunchConfig, FunctionHandle, *mut *mut c_void, *mut *mut c_void
        );
        cuGraphAddDependencies_v2(
            GraphHandle, *const NodeHandle, *const NodeHandle, *const EdgeData, usize
        );
    }
}

impl DriverVersion {
    /// The version of the driver that is installed, without waking the GPUs.
    ///
    /// # Errors
    /// There is none, or it cannot do what is needed.
    pub fn installed() -> Result<Self, CudaError> {
        OpenLibrary::find().map(|library| library.version)
    }
}

/// The library and what it exports.
pub(super) struct OpenLibrary {
    pub table: Table,
    pub version: DriverVersion,
    _library: ManuallyDrop<Library>,
}

impl OpenLibrary {
    /// Opens the file that [`DRIVER_VARIABLE`] names, else the system's driver.
    pub fn find() -> Result<Self, CudaError> {
        if let Some(own) = env::var_os(DRIVER_VARIABLE).filter(|own| !own.is_empty()) {
            return Self::open(Path::new(&own));
        }
        let library = PLACES.iter().find_map(|place| load(Path::new(place)).ok());
        let library = library.ok_or_else(|| CudaError::NoDriver {
            tried: PLACES[0].to_owned(),
        })?;
        Self::read(library, PLACES[0])
    }

    /// Opens this file.
    pub fn open(path: &Path) -> Result<Self, CudaError> {
        let name = path.display().to_string();
        let library = load(path).map_err(|error| CudaError::NoDriver {
            // The loader's own words, which name the file.
            tried: error.source().unwrap_or(&error).to_string(),
        })?;
        Self::read(library, &name)
    }

    /// The version comes first: an old driver lacks functions, and that is not the message.
    fn read(library: Library, name: &str) -> Result<Self, CudaError> {
        let library = ManuallyDrop::new(library);
        // SAFETY: the type is the one that the driver's interface declares for this symbol.
        let get_version = unsafe {
            library.get::<unsafe extern "system" fn(*mut i32) -> Status>("cuDriverGetVersion")
        };
        let get_version = get_version.map_err(|_| CudaError::NoDriver {
            tried: format!("{name} is no CUDA driver"),
        })?;
        let mut number = 0;
        // SAFETY: the pointer is to a live integer; the call needs no cuInit before.
        let status = unsafe { get_version(&raw mut number) };
        let version = DriverVersion(u32::try_from(number).unwrap_or(0));
        if status != 0 || version == DriverVersion(0) {
            return Err(CudaError::NoDriver {
                tried: format!("{name} is there, but answers as no driver would (a stub?)"),
            });
        }
        version.at_least(DriverVersion::NEEDED)?;
        let table = Table::read(&library).map_err(|missing| CudaError::DriverIncomplete {
            found: version,
            missing,
        })?;
        Ok(Self {
            table,
            version,
            _library: library,
        })
    }
}

fn load(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: the library's initialisers are those of the NVIDIA driver, or of the file that the
    // user named instead; both run with the user's rights as this program does.
    unsafe { Library::new(path) }
}
