//! PTX text in, machine code for one GPU out, or what the driver's compiler said against it.

use std::ffi::{CString, c_void};
use std::{ptr, slice};

use onelook_ptx::lang::Target;

use super::abi::{JIT_INPUT_PTX, JIT_TARGET_90A, LinkHandle, Status, jit_option, status};
use super::error::DriverVersion;
use super::{Context, CudaError};

const LOG_BYTES: usize = 16 << 10;

/// Machine code (a cubin) for the context's GPU.
///
/// # Errors
/// The driver does not take the text; the error has its log.
pub(super) fn compile(
    context: &Context,
    kernel: &str,
    ptx: &str,
    target: Target,
) -> Result<Vec<u8>, CudaError> {
    match link(context, kernel, ptx, None) {
        // Some drivers aim at the plain capability unless they are told of the instructions that
        // sm_90a has of its own.
        Err(CudaError::Jit { .. }) if target == Target::Sm90a => {
            link(context, kernel, ptx, Some(JIT_TARGET_90A))
        }
        other => other,
    }
}

fn link(
    context: &Context,
    kernel: &str,
    ptx: &str,
    target: Option<usize>,
) -> Result<Vec<u8>, CudaError> {
    let text = terminated(kernel, ptx)?;
    let _bound = context.bind()?;
    let mut log = JitLog::new(target);
    let linked = Linked::create(context, &mut log).and_then(|linker| linker.complete(&text));
    linked.map_err(|code| log.error(context, kernel, code))
}

/// The text with the zero that the driver wants at its end.
pub(super) fn terminated(kernel: &str, ptx: &str) -> Result<CString, CudaError> {
    CString::new(ptx).map_err(|_| CudaError::Plan {
        launch: kernel.to_owned(),
        reason: "its PTX has a zero byte".to_owned(),
    })
}

/// A linker of the driver; it writes into the log that it was created with, which outlives it.
struct Linked<'a> {
    context: &'a Context,
    handle: LinkHandle,
    _log: &'a mut JitLog,
}

impl<'a> Linked<'a> {
    /// The context must be current until it goes.
    fn create(context: &'a Context, log: &'a mut JitLog) -> Result<Self, Status> {
        let mut handle = LinkHandle::default();
        let create = context.driver().table().cuLinkCreate_v2;
        let (count, keys, values) = log.options();
        // SAFETY: keys and values have `count` entries of the types that the keys ask for; the
        // buffers behind them belong to the log, which is borrowed as long as the linker lives.
        let code = unsafe { create(count, keys, values, &raw mut handle) };
        succeeded(code)?;
        Ok(Self {
            context,
            handle,
            _log: log,
        })
    }

    fn complete(&self, text: &CString) -> Result<Vec<u8>, Status> {
        let table = self.context.driver().table();
        let bytes = text.as_bytes_with_nul();
        // SAFETY: the text has so many bytes, ends in zero and is copied during the call; there
        // are no options.
        let code = unsafe {
            (table.cuLinkAddData_v2)(
                self.handle,
                JIT_INPUT_PTX,
                bytes.as_ptr().cast(),
                bytes.len(),
                c"kernel.ptx".as_ptr(),
                0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        succeeded(code)?;
        let (mut cubin, mut length) = (ptr::null_mut::<c_void>(), 0_usize);
        // SAFETY: both pointers are to live values.
        let code = unsafe { (table.cuLinkComplete)(self.handle, &raw mut cubin, &raw mut length) };
        succeeded(code)?;
        if cubin.is_null() || length == 0 {
            return Err(status::INVALID_IMAGE);
        }
        // SAFETY: the driver says that so many bytes lie there; they stay until the linker is
        // destroyed, which is after this copy.
        Ok(unsafe { slice::from_raw_parts(cubin.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Linked<'_> {
    fn drop(&mut self) {
        // SAFETY: create made the handle, and nobody uses it after this.
        unsafe { (self.context.driver().table().cuLinkDestroy)(self.handle) };
    }
}

fn succeeded(code: Status) -> Result<(), Status> {
    match code {
        status::SUCCESS => Ok(()),
        code => Err(code),
    }
}

/// Where the driver's compiler writes what it has to say, and the options that tell it so.
pub(super) struct JitLog {
    errors: Vec<u8>,
    notes: Vec<u8>,
    keys: Vec<u32>,
    values: Vec<*mut c_void>,
}

impl JitLog {
    pub fn new(target: Option<usize>) -> Self {
        let mut log = Self {
            errors: vec![0; LOG_BYTES],
            notes: vec![0; LOG_BYTES],
            keys: Vec::new(),
            values: Vec::new(),
        };
        let number = |value: usize| ptr::without_provenance_mut::<c_void>(value);
        let (errors, notes) = (log.errors.as_mut_ptr(), log.notes.as_mut_ptr());
        let mut option = |key: u32, value: *mut c_void| {
            log.keys.push(key);
            log.values.push(value);
        };
        // The buffers' last byte stays zero, whatever the driver writes.
        option(jit_option::ERROR_LOG_BUFFER, errors.cast());
        option(
            jit_option::ERROR_LOG_BUFFER_SIZE_BYTES,
            number(LOG_BYTES - 1),
        );
        option(jit_option::INFO_LOG_BUFFER, notes.cast());
        option(
            jit_option::INFO_LOG_BUFFER_SIZE_BYTES,
            number(LOG_BYTES - 1),
        );
        if let Some(target) = target {
            option(jit_option::TARGET, number(target));
        }
        log
    }

    /// Count, keys and values for the driver.
    pub fn options(&mut self) -> (u32, *mut u32, *mut *mut c_void) {
        let count = u32::try_from(self.keys.len()).unwrap_or(0);
        (count, self.keys.as_mut_ptr(), self.values.as_mut_ptr())
    }

    /// What the failure means.
    pub fn error(&self, context: &Context, kernel: &str, code: Status) -> CudaError {
        let driver = context.driver();
        let call = match driver.check("cuLinkComplete", code) {
            Err(call) => call,
            Ok(()) => return self.jit(kernel, "it gave no reason".to_owned()),
        };
        match (code, call) {
            (status::UNSUPPORTED_PTX_VERSION, _) => {
                let found = driver.version();
                CudaError::DriverTooOld {
                    found,
                    needed: DriverVersion(found.0 / 10 * 10 + 10),
                }
            }
            (status::JIT_COMPILER_NOT_FOUND, _) => self.jit(
                kernel,
                "its compiler libnvidia-ptxjitcompiler is not installed; in a container, set \
                 NVIDIA_DRIVER_CAPABILITIES=compute,utility"
                    .to_owned(),
            ),
            (status::JIT_COMPILATION_DISABLED, _) => self.jit(
                kernel,
                "its compiler is switched off; unset CUDA_DISABLE_PTX_JIT".to_owned(),
            ),
            (
                status::NO_BINARY_FOR_GPU | status::INVALID_PTX | status::INVALID_IMAGE,
                CudaError::Call { name, text, .. },
            ) => self.jit(kernel, format!("{name} ({code}): {text}")),
            (_, CudaError::Call { name, text, .. }) if !self.is_empty() => {
                self.jit(kernel, format!("{name} ({code}): {text}"))
            }
            (_, call) => call,
        }
    }

    fn is_empty(&self) -> bool {
        self.errors.first() == Some(&0)
    }

    fn jit(&self, kernel: &str, reason: String) -> CudaError {
        let words = |bytes: &[u8]| {
            let end = bytes.iter().position(|&byte| byte == 0);
            let text = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned();
            text.trim().to_owned()
        };
        let log = [words(&self.errors), words(&self.notes)];
        CudaError::Jit {
            kernel: kernel.to_owned(),
            reason,
            log: log.join("\n").trim().to_owned(),
        }
    }
}
