//! The driver's binary interface as its headers describe it: handles, numbers, structures.
//!
//! Nothing is called here. Handles are numbers to us: they are never dereferenced.

use std::ffi::c_void;

/// What every call returns; zero is success.
pub(super) type Status = i32;
/// A device's ordinal as the driver hands it out.
pub(super) type DeviceHandle = i32;
/// An address in the device's memory.
pub(super) type DevicePointer = u64;

macro_rules! handles {
    ($($name:ident)*) => {$(
        #[repr(transparent)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub(super) struct $name(pub(super) usize);
    )*};
}

handles! {
    ContextHandle StreamHandle EventHandle ModuleHandle FunctionHandle LinkHandle
    GraphHandle NodeHandle GraphExecHandle KernelHandle
}

/// Numbers of errors that we tell apart.
pub(super) mod status {
    use super::Status;

    pub const SUCCESS: Status = 0;
    pub const OUT_OF_MEMORY: Status = 2;
    pub const STUB_LIBRARY: Status = 34;
    pub const DEVICE_UNAVAILABLE: Status = 46;
    pub const NO_DEVICE: Status = 100;
    pub const INVALID_IMAGE: Status = 200;
    pub const NO_BINARY_FOR_GPU: Status = 209;
    pub const INVALID_PTX: Status = 218;
    pub const JIT_COMPILER_NOT_FOUND: Status = 221;
    pub const UNSUPPORTED_PTX_VERSION: Status = 222;
    pub const JIT_COMPILATION_DISABLED: Status = 223;
    pub const OPERATING_SYSTEM: Status = 304;
    pub const ILLEGAL_ADDRESS: Status = 700;
    pub const LAUNCH_TIMEOUT: Status = 702;
    pub const LAUNCH_FAILED: Status = 719;
    pub const SYSTEM_NOT_READY: Status = 802;
    pub const SYSTEM_DRIVER_MISMATCH: Status = 803;
    pub const COMPAT_NOT_SUPPORTED_ON_DEVICE: Status = 804;
    pub const UNKNOWN: Status = 999;
}

/// `CUdevice_attribute`.
pub(super) mod device_attribute {
    pub const MAX_SHARED_MEMORY_PER_BLOCK: i32 = 8;
    pub const CLOCK_RATE_KHZ: i32 = 13;
    pub const MULTIPROCESSOR_COUNT: i32 = 16;
    pub const MEMORY_CLOCK_RATE_KHZ: i32 = 36;
    pub const GLOBAL_MEMORY_BUS_WIDTH: i32 = 37;
    pub const L2_CACHE_SIZE: i32 = 38;
    pub const COMPUTE_CAPABILITY_MAJOR: i32 = 75;
    pub const COMPUTE_CAPABILITY_MINOR: i32 = 76;
    pub const MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: i32 = 81;
    pub const MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: i32 = 97;
}

/// `CUfunction_attribute`.
pub(super) mod function_attribute {
    pub const SHARED_SIZE_BYTES: i32 = 1;
    pub const LOCAL_SIZE_BYTES: i32 = 3;
    pub const NUM_REGS: i32 = 4;
    pub const MAX_DYNAMIC_SHARED_SIZE_BYTES: i32 = 8;
}

/// `CUjit_option`.
pub(super) mod jit_option {
    pub const INFO_LOG_BUFFER: u32 = 3;
    pub const INFO_LOG_BUFFER_SIZE_BYTES: u32 = 4;
    pub const ERROR_LOG_BUFFER: u32 = 5;
    pub const ERROR_LOG_BUFFER_SIZE_BYTES: u32 = 6;
    pub const TARGET: u32 = 9;
}

/// `CUjit_target` of sm_90a: the capability plus the mark of instructions of its own.
pub(super) const JIT_TARGET_90A: usize = 90 + 0x1_0000;
/// `CU_JIT_INPUT_PTX`.
pub(super) const JIT_INPUT_PTX: i32 = 1;
/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream.
pub(super) const STREAM_NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DEFAULT`: events take times.
pub(super) const EVENT_DEFAULT: u32 = 0;
/// `CU_MEMHOSTALLOC_PORTABLE`: pinned for every context of the process.
pub(super) const HOST_ALLOC_PORTABLE: u32 = 1;
/// `CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION`.
pub(super) const LAUNCH_ATTRIBUTE_PROGRAMMATIC: u32 = 6;
/// `CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC`.
pub(super) const PORT_PROGRAMMATIC: u8 = 1;
/// `CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC`.
pub(super) const DEPENDENCY_PROGRAMMATIC: u8 = 1;

/// `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
pub(super) struct KernelNode {
    pub function: FunctionHandle,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    pub arguments: *mut *mut c_void,
    pub extra: *mut *mut c_void,
    pub kernel: KernelHandle,
    pub context: ContextHandle,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[repr(C)]
pub(super) struct MemsetNode {
    pub destination: DevicePointer,
    pub pitch: usize,
    pub value: u32,
    pub element_bytes: u32,
    pub width: usize,
    pub height: usize,
}

/// `CUgraphEdgeData`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct EdgeData {
    pub from_port: u8,
    pub to_port: u8,
    pub kind: u8,
    pub reserved: [u8; 5],
}

/// `CUlaunchConfig`.
#[repr(C)]
pub(super) struct LaunchConfig {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    pub stream: StreamHandle,
    pub attributes: *mut LaunchAttribute,
    pub attribute_count: u32,
}

/// `CUlaunchAttribute`; the value is a union of 64 bytes.
#[repr(C, align(8))]
pub(super) struct LaunchAttribute {
    pub id: u32,
    pub padding: u32,
    pub value: [u32; 16],
}

const _: () = assert!(size_of::<KernelNode>() == 72 && size_of::<MemsetNode>() == 40);
const _: () = assert!(size_of::<LaunchConfig>() == 56 && size_of::<LaunchAttribute>() == 72);
const _: () = assert!(size_of::<EdgeData>() == 8);
