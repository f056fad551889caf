//! A kernel on a GPU: PTX in, something to launch out; a launch's values are checked against the
//! kernel's parameters.

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

use onelook_ptx::lang::{Kernel, ParameterKind, Target};

use super::abi::{
    FunctionHandle, LAUNCH_ATTRIBUTE_PROGRAMMATIC, LaunchAttribute, LaunchConfig, ModuleHandle,
    function_attribute as attribute,
};
use super::link::{JitLog, compile, terminated};
use super::{Context, CubinCache, CudaError, Stream};

/// A kernel that the driver has loaded.
pub struct Function {
    context: Arc<Context>,
    module: ModuleHandle,
    pub(super) handle: FunctionHandle,
    name: String,
    parameters: Vec<ParameterKind>,
    threads: u32,
    dynamic_shared_bytes: u32,
}

/// What the driver made of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct FunctionInfo {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of a thread's local memory: spilled registers.
    pub local_bytes: u32,
    /// Bytes of a block's shared memory.
    pub shared_bytes: u32,
    /// Blocks that one multiprocessor holds at a time.
    pub blocks_per_multiprocessor: u32,
}

/// What a launch gives a kernel for a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// An address in the GPU's memory.
    Address(u64),
    /// 32 bits.
    Word(u32),
}

impl Function {
    /// Loads a kernel from its PTX: from the cache where it has been before on this GPU.
    ///
    /// # Errors
    /// The kernel is for another GPU, or the driver does not take it.
    pub fn load(
        context: &Arc<Context>,
        kernel: &Kernel,
        ptx: &str,
        cache: Option<&CubinCache>,
    ) -> Result<Self, CudaError> {
        check_target(context, kernel)?;
        let key = cache.map(|cache| (cache, cache.key(context, ptx)));
        let cached = key.as_ref().and_then(|(cache, key)| cache.get(key));
        if let Some(function) = cached.and_then(|cubin| Self::open(context, kernel, &cubin).ok()) {
            return Ok(function);
        }
        match compile(context, &kernel.name, ptx, kernel.target) {
            Ok(cubin) => {
                let function = Self::open(context, kernel, &cubin)?;
                if let Some((cache, key)) = &key {
                    cache.put(key, &cubin);
                }
                Ok(function)
            }
            // The driver's plain loader takes PTX too, and knows its GPU best.
            Err(refused @ CudaError::Jit { .. }) => {
                let text = terminated(&kernel.name, ptx)?;
                Self::open(context, kernel, text.as_bytes_with_nul()).map_err(|_| refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Loads an image: machine code, or PTX that ends in zero.
    fn open(context: &Arc<Context>, kernel: &Kernel, image: &[u8]) -> Result<Self, CudaError> {
        let _bound = context.bind()?;
        let driver = context.driver();
        let mut module = ModuleHandle::default();
        let mut log = JitLog::new(None);
        let (count, keys, values) = log.options();
        let load = driver.table().cuModuleLoadDataEx;
        // SAFETY: the image is whole (the cache checks its sum, PTX ends in zero) and is read
        // during the call; keys and values have `count` entries whose buffers live in the log.
        let code = unsafe { load(&raw mut module, image.as_ptr().cast(), count, keys, values) };
        if code != 0 {
            return Err(log.error(context, &kernel.name, code));
        }
        let mut function = Self {
            context: Arc::clone(context),
            module,
            handle: FunctionHandle::default(),
            name: kernel.name.clone(),
            parameters: kernel.parameters.iter().map(|p| p.kind).collect(),
            threads: kernel.threads,
            dynamic_shared_bytes: 0,
        };
        function.find_entry()?;
        function.reserve_shared(kernel.shared_bytes)?;
        Ok(function)
    }

    fn find_entry(&mut self) -> Result<(), CudaError> {
        let driver = self.context.driver();
        let name = CString::new(self.name.as_str()).unwrap_or_default();
        let get = driver.table().cuModuleGetFunction;
        // SAFETY: the pointer is to a live handle, the module is loaded, the name ends in zero.
        let code = unsafe { get(&raw mut self.handle, self.module, name.as_ptr()) };
        driver.check("cuModuleGetFunction", code)
    }

    /// Allows launches with the kernel's shared memory. All of it is dynamic (`.extern .shared`). The
    /// static size that the driver reports says nothing about it: from sm_90 on it includes 1024
    /// bytes that the system reserves, also for kernels without static shared memory.
    fn reserve_shared(&mut self, bytes: u32) -> Result<(), CudaError> {
        self.dynamic_shared_bytes = bytes;
        if bytes == 0 {
            return Ok(());
        }
        let driver = self.context.driver();
        let set = driver.table().cuFuncSetAttribute;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        // SAFETY: the function is loaded; the driver checks the number.
        let code = unsafe { set(self.handle, attribute::MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes) };
        driver.check("cuFuncSetAttribute", code)
    }

    fn attribute(&self, attribute: i32) -> Result<u32, CudaError> {
        let driver = self.context.driver();
        let mut value = 0;
        let get = driver.table().cuFuncGetAttribute;
        // SAFETY: the pointer is to a live integer and the function is loaded.
        let code = unsafe { get(&raw mut value, attribute, self.handle) };
        driver.check("cuFuncGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// Bytes of shared memory that a launch asks for.
    pub(super) fn dynamic_shared_bytes(&self) -> u32 {
        self.dynamic_shared_bytes
    }

    /// What the driver made of it.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn info(&self) -> Result<FunctionInfo, CudaError> {
        let _bound = self.context.bind()?;
        let driver = self.context.driver();
        let mut blocks = 0;
        let occupancy = driver.table().cuOccupancyMaxActiveBlocksPerMultiprocessor;
        let threads = i32::try_from(self.threads).unwrap_or(i32::MAX);
        let shared = self.dynamic_shared_bytes as usize;
        // SAFETY: the pointer is to a live integer and the function is loaded.
        let code = unsafe { occupancy(&raw mut blocks, self.handle, threads, shared) };
        driver.check("cuOccupancyMaxActiveBlocksPerMultiprocessor", code)?;
        Ok(FunctionInfo {
            registers: self.attribute(attribute::NUM_REGS)?,
            local_bytes: self.attribute(attribute::LOCAL_SIZE_BYTES)?,
            shared_bytes: self.attribute(attribute::SHARED_SIZE_BYTES)? + self.dynamic_shared_bytes,
            blocks_per_multiprocessor: u32::try_from(blocks).unwrap_or(0),
        })
    }

    /// Puts a launch into the stream. With `dependent` it may start while its predecessor ends,
    /// where the driver can do that; the kernel then waits where it must (`griddepcontrol.wait`).
    ///
    /// # Errors
    /// The values do not fit the parameters, or the driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that each address among `values` points to memory of this GPU
    /// as large as what the kernel accesses there with this grid, that the memory and the function
    /// stay alive until the stream has been synchronised, and that nothing else accesses what the
    /// kernel writes until then.
    pub unsafe fn launch(
        &self,
        stream: &Stream,
        grid: [u32; 3],
        values: &[Value],
        dependent: bool,
    ) -> Result<(), CudaError> {
        self.check_values(values)?;
        let _bound = self.context.bind()?;
        let driver = self.context.driver();
        let mut pointers = pointers(values);
        let shared = self.dynamic_shared_bytes;
        let arguments = pointers.as_mut_ptr();
        if let (true, Some(launch)) = (dependent, driver.table().cuLaunchKernelEx) {
            let mut attribute = LaunchAttribute {
                id: LAUNCH_ATTRIBUTE_PROGRAMMATIC,
                padding: 0,
                value: [0; 16],
            };
            attribute.value[0] = 1;
            let config = LaunchConfig {
                grid,
                block: [self.threads, 1, 1],
                shared_bytes: shared,
                stream: stream.handle,
                attributes: &raw mut attribute,
                attribute_count: 1,
            };
            // SAFETY: `config`, its attribute and `pointers` live until the call returns, and the
            // driver copies them; `check_values` proved that there is one value of the right size
            // per parameter; `shared` is what `reserve_shared` allowed for this function. That the
            // addresses among the values are valid for the kernel is this function's contract.
            let code =
                unsafe { launch(&raw const config, self.handle, arguments, ptr::null_mut()) };
            return driver.check("cuLaunchKernelEx", code);
        }
        let launch = driver.table().cuLaunchKernel;
        // SAFETY: `pointers` lives until the call returns, and the driver copies the values;
        // `check_values` proved that they fit the parameters; `shared` is what `reserve_shared`
        // allowed. That the addresses among the values are valid for the kernel is this function's
        // contract.
        let code = unsafe {
            launch(
                self.handle,
                grid[0],
                grid[1],
                grid[2],
                self.threads,
                1,
                1,
                shared,
                stream.handle,
                arguments,
                ptr::null_mut(),
            )
        };
        driver.check("cuLaunchKernel", code)
    }

    /// Whether there is one value of the right kind per parameter.
    pub(super) fn check_values(&self, values: &[Value]) -> Result<(), CudaError> {
        let fits = |(kind, value): (&ParameterKind, &Value)| {
            matches!(
                (kind, value),
                (
                    ParameterKind::Input | ParameterKind::Output,
                    Value::Address(_)
                ) | (ParameterKind::Word, Value::Word(_))
            )
        };
        if values.len() == self.parameters.len() && self.parameters.iter().zip(values).all(fits) {
            return Ok(());
        }
        Err(CudaError::Plan {
            launch: self.name.clone(),
            reason: format!("{values:?} do not fit the parameters {:?}", self.parameters),
        })
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        // SAFETY: open loaded the module, and nobody uses it after this.
        unsafe { (self.context.driver().table().cuModuleUnload)(self.module) };
    }
}

/// Where the values are, as the driver wants to be told; valid as long as the values stay.
pub(super) fn pointers(values: &[Value]) -> Vec<*mut c_void> {
    let pointer = |value: &Value| match value {
        Value::Address(address) => ptr::from_ref(address).cast_mut().cast(),
        Value::Word(word) => ptr::from_ref(word).cast_mut().cast(),
    };
    values.iter().map(pointer).collect()
}

/// PTX runs on newer GPUs too, but for sm_90a, whose own instructions no other GPU has.
fn check_target(context: &Context, kernel: &Kernel) -> Result<(), CudaError> {
    let own = context.device().target()?;
    let runs = kernel.target == own || (kernel.target < own && kernel.target != Target::Sm90a);
    if runs {
        return Ok(());
    }
    Err(CudaError::Plan {
        launch: kernel.name.clone(),
        reason: format!(
            "it was generated for {}, {} needs {own}",
            kernel.target,
            context.device()
        ),
    })
}
