//! NVIDIA GPUs: numbers in, an open engine or the reason why not out.

use std::sync::Arc;

use onelook_cuda::driver::{Context, CudaError, DeviceInfo, Driver, DriverVersion};
use onelook_cuda::engine::{Cuda, CudaOptions};

use super::{Engine, EngineOptions, FoundDevice};
use crate::registry;

/// Opens the GPU of this number; several at a time are not there yet.
pub(super) fn open(numbers: &[usize], options: &EngineOptions) -> Result<Engine, String> {
    let driver = Driver::open().map_err(in_words)?;
    let found = |&number: &usize| driver.device(number).map_err(in_words);
    let devices: Vec<DeviceInfo> = numbers.iter().map(found).collect::<Result<_, _>>()?;
    match &devices[..] {
        [device] => engine(&driver, device, options, format!("{device}, as asked")),
        _ => Err(
            "several GPUs at a time are not available yet; use one, such as --device 0".to_owned(),
        ),
    }
}

/// Opens the GPU with the most free memory.
pub(super) fn open_idlest(options: &EngineOptions) -> Result<Engine, String> {
    let driver = Driver::open().map_err(in_words)?;
    let free = |device: &DeviceInfo| {
        let context = Context::open(&driver, device.number, None);
        let memory = context.and_then(|context| context.memory());
        memory.map_or(0, |memory| memory.free)
    };
    let devices = driver.devices().map_err(in_words)?;
    let usable = devices.iter().filter(|device| device.target().is_ok());
    // The first of equals: max_by_key would take the last.
    let idlest = usable.rev().max_by_key(|device| free(device));
    let device = idlest
        .or(devices.first())
        .ok_or_else(|| in_words(CudaError::NoDevice))?;
    let reason = format!(
        "{device}, of {} the one with the most free memory",
        devices.len()
    );
    engine(&driver, device, options, reason)
}

fn engine(
    driver: &Arc<Driver>,
    device: &DeviceInfo,
    options: &EngineOptions,
    reason: String,
) -> Result<Engine, String> {
    let options = CudaOptions {
        memory_limit: options.gpu_memory,
        cache: registry::kernels_directory(),
        ..CudaOptions::default()
    };
    let cuda = Cuda::open(driver, device.number, &options).map_err(in_words)?;
    Ok(Engine {
        reason,
        warning: cuda.cache_problem().map(str::to_owned),
        backend: Box::new(cuda),
    })
}

/// Why `auto` takes the CPU.
pub(super) fn why_not() -> String {
    match DriverVersion::installed() {
        Err(CudaError::NoDriver { .. }) => {
            "auto: the CPU, because no NVIDIA driver was found".to_owned()
        }
        Err(CudaError::DriverTooOld { found, needed }) => {
            format!("auto: the CPU, because the NVIDIA driver knows {found} and {needed} is needed")
        }
        Err(_) => "auto: the CPU, because the NVIDIA driver is incomplete".to_owned(),
        Ok(_) => "auto: the CPU, because the CUDA engine is still on trial; --device 0 takes the \
                  first GPU"
            .to_owned(),
    }
}

/// The GPUs that the driver knows, and those that only the system knows with the driver's excuse.
pub(super) fn found(known_to_system: Vec<String>) -> Vec<FoundDevice> {
    match Driver::open().and_then(|driver| driver.devices()) {
        Ok(devices) => devices.iter().map(describe).collect(),
        Err(error) => {
            let excuse = |name| FoundDevice {
                name,
                usable: false,
                remark: error.to_string(),
            };
            known_to_system.into_iter().map(excuse).collect()
        }
    }
}

fn describe(device: &DeviceInfo) -> FoundDevice {
    let [major, minor] = device.capability;
    let refusal = device.target().err();
    FoundDevice {
        name: device.name.clone(),
        usable: refusal.is_none(),
        remark: refusal.map_or_else(
            || {
                format!(
                    "cuda:{}, {:.1} GiB, compute capability {major}.{minor}, {} multiprocessors",
                    device.number,
                    device.memory as f64 / f64::from(1 << 30),
                    device.multiprocessors
                )
            },
            |error| error.to_string(),
        ),
    }
}

fn in_words(error: CudaError) -> String {
    error.to_string()
}
