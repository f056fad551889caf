//! What a GPU is: its name, what it can do and how much it has; nothing on it is opened.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::sync::Arc;

use onelook_ptx::lang::Target;

use super::abi::{DeviceHandle, device_attribute as attribute, status};
use super::{CudaError, Driver};

const NAME_BYTES: usize = 256;

/// A GPU as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number here; CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER change it.
    pub number: usize,
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: [u32; 2],
    /// Bytes of memory.
    pub memory: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of the L2 cache.
    pub l2_bytes: u32,
    /// Bytes of shared memory that a block may have if it asks for them.
    pub shared_bytes_per_block: u32,
    /// Bytes of shared memory of a multiprocessor.
    pub shared_bytes_per_multiprocessor: u32,
    /// The highest clock in MHz.
    pub clock_mhz: u32,
    /// Bytes per second between the GPU and its memory, by clock and width; 0 where it is unknown.
    pub bandwidth: u64,
    /// The same in every process and after every restart.
    pub uuid: [u8; 16],
    /// Where it is plugged in, such as `0000:0b:00.0`.
    pub pci: String,
    pub(super) handle: DeviceHandle,
}

impl DeviceInfo {
    /// What kernels for it are generated for.
    ///
    /// # Errors
    /// The GPU is older than Turing.
    pub fn target(&self) -> Result<Target, CudaError> {
        let [major, minor] = self.capability;
        Target::for_capability(major, minor).ok_or_else(|| CudaError::UnsupportedArchitecture {
            name: self.name.clone(),
            capability: self.capability,
        })
    }

    /// The UUID as `nvidia-smi -L` writes it.
    pub fn uuid_in_words(&self) -> String {
        let digits: Vec<String> = self.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| digits[from..to].concat();
        let [a, b, c, d, e] = [(0, 4), (4, 6), (6, 8), (8, 10), (10, 16)].map(|(f, t)| part(f, t));
        format!("GPU-{a}-{b}-{c}-{d}-{e}")
    }
}

/// `cuda:0 (NVIDIA H100 80GB HBM3)`.
impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuda:{} ({})", self.number, self.name)
    }
}

impl Driver {
    /// The GPUs by number.
    ///
    /// # Errors
    /// There is none, or the driver refuses to describe one.
    pub fn devices(self: &Arc<Self>) -> Result<Vec<DeviceInfo>, CudaError> {
        (0..self.device_count()?)
            .map(|number| self.describe(number))
            .collect()
    }

    /// The GPU of this number.
    ///
    /// # Errors
    /// There is no such GPU.
    pub fn device(self: &Arc<Self>, number: usize) -> Result<DeviceInfo, CudaError> {
        let count = self.device_count()?;
        if number >= count {
            return Err(CudaError::NoSuchDevice { number, count });
        }
        self.describe(number)
    }

    fn device_count(&self) -> Result<usize, CudaError> {
        let mut count = 0;
        // SAFETY: the pointer is to a live integer.
        let code = unsafe { (self.table().cuDeviceGetCount)(&raw mut count) };
        if code == status::NO_DEVICE {
            return Err(CudaError::NoDevice);
        }
        self.check("cuDeviceGetCount", code)?;
        match usize::try_from(count) {
            Ok(count @ 1..) => Ok(count),
            _ => Err(CudaError::NoDevice),
        }
    }

    fn describe(&self, number: usize) -> Result<DeviceInfo, CudaError> {
        let table = self.table();
        let mut handle = 0;
        let ordinal = i32::try_from(number).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to a live handle; the driver checks the ordinal.
        let code = unsafe { (table.cuDeviceGet)(&raw mut handle, ordinal) };
        self.check("cuDeviceGet", code)?;
        let mut memory = 0;
        // SAFETY: the pointer is to a live integer and the handle is the driver's own.
        let code = unsafe { (table.cuDeviceTotalMem_v2)(&raw mut memory, handle) };
        self.check("cuDeviceTotalMem", code)?;
        let mut uuid = [0; 16];
        // SAFETY: the pointer is to 16 live bytes, and the driver writes 16.
        let code = unsafe { (table.cuDeviceGetUuid_v2)(&raw mut uuid, handle) };
        self.check("cuDeviceGetUuid", code)?;
        let of = |attribute| self.attribute(handle, attribute);
        // Double data rate: two transfers per clock and line.
        let bits_per_ms = 2
            * u64::from(of(attribute::MEMORY_CLOCK_RATE_KHZ).unwrap_or(0))
            * u64::from(of(attribute::GLOBAL_MEMORY_BUS_WIDTH).unwrap_or(0));
        Ok(DeviceInfo {
            number,
            name: self.text("cuDeviceGetName", table.cuDeviceGetName, handle)?,
            capability: [
                of(attribute::COMPUTE_CAPABILITY_MAJOR)?,
                of(attribute::COMPUTE_CAPABILITY_MINOR)?,
            ],
            memory: memory as u64,
            multiprocessors: of(attribute::MULTIPROCESSOR_COUNT)?,
            l2_bytes: of(attribute::L2_CACHE_SIZE)?,
            shared_bytes_per_block: of(attribute::MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
                .or_else(|_| of(attribute::MAX_SHARED_MEMORY_PER_BLOCK))?,
            shared_bytes_per_multiprocessor: of(attribute::MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?,
            clock_mhz: of(attribute::CLOCK_RATE_KHZ).unwrap_or(0) / 1000,
            bandwidth: bits_per_ms / 8 * 1000,
            uuid,
            pci: self.text("cuDeviceGetPCIBusId", table.cuDeviceGetPCIBusId, handle)?,
            handle,
        })
    }

    fn attribute(&self, device: DeviceHandle, attribute: i32) -> Result<u32, CudaError> {
        let mut value = 0;
        // SAFETY: the pointer is to a live integer and the handle is the driver's own.
        let code =
            unsafe { (self.table().cuDeviceGetAttribute)(&raw mut value, attribute, device) };
        self.check("cuDeviceGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    fn text(
        &self,
        function: &'static str,
        get: unsafe extern "system" fn(*mut c_char, i32, DeviceHandle) -> i32,
        device: DeviceHandle,
    ) -> Result<String, CudaError> {
        let mut bytes = [0_u8; NAME_BYTES];
        // SAFETY: the pointer is to as many live bytes as the length says, and both functions that
        // come here write no more.
        let code = unsafe { get(bytes.as_mut_ptr().cast(), NAME_BYTES as i32, device) };
        self.check(function, code)?;
        let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
        Ok(text.to_string_lossy().trim().to_owned())
    }
}
