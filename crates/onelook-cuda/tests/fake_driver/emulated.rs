//! A GPU of sorts: what the driver without a GPU is asked to launch runs in the interpreter, on the
//! very memory that the driver handed out.

use std::collections::BTreeMap;
use std::path::Path;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use onelook_cuda::interpreter::{Buffer, Machine, Schedule, Value};
use onelook_cuda::lang::{Kernel, ParameterKind};
use onelook_cuda::plan::Plan;

use super::launched::{Given, Hook, Launched};

/// What runs launches, and the driver's memory as it knows it.
struct Emulator {
    /// By the names that the driver reads in their text.
    kernels: BTreeMap<String, Arc<Kernel>>,
    machine: Machine,
    /// By start and length.
    copies: BTreeMap<[u64; 2], Copied>,
}

/// A piece of the driver's memory in the interpreter's.
struct Copied {
    buffer: Buffer,
    bytes: Vec<u8>,
}

static EMULATOR: Mutex<Option<Emulator>> = Mutex::new(None);

/// From now on the driver in this file runs the kernels of these plans; any other ends the process.
pub fn emulate(driver: &Path, plans: &[Plan]) {
    let mut emulator = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = emulator.get_or_insert_with(|| Emulator {
        kernels: BTreeMap::new(),
        machine: Machine::new(),
        copies: BTreeMap::new(),
    });
    let launches = plans.iter().flat_map(|plan| &plan.launches);
    let named = launches.map(|launch| (launch.kernel.name.clone(), Arc::clone(&launch.kernel)));
    emulator.kernels.extend(named);
    // SAFETY: the library is that of `calls.rs`, whose start does nothing.
    let library = unsafe { libloading::Library::new(driver) }.unwrap();
    // SAFETY: `calls.rs` exports the function with this type.
    let on_launch = unsafe { library.get::<extern "C" fn(Hook)>("fake_on_launch") };
    on_launch.unwrap()(launch);
    // The hook is to stay.
    std::mem::forget(library);
}

/// The memory that an address lies in.
fn memory<'a>(given: &Given) -> &'a mut [u8] {
    // SAFETY: the driver gives the extent of memory that it has allocated; it waits, and nothing
    // else of a test touches memory of the device while a stream is waited for.
    unsafe { slice::from_raw_parts_mut(given.memory as *mut u8, given.bytes as usize) }
}

extern "C" fn launch(launched: &Launched) {
    // SAFETY: the driver passes so many bytes of UTF-8 and so many values.
    let (name, given) = unsafe {
        (
            slice::from_raw_parts(launched.name, launched.name_bytes),
            slice::from_raw_parts(launched.values, launched.count),
        )
    };
    let name = std::str::from_utf8(name).unwrap();
    let mut emulator = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = emulator.as_mut().expect("it is made before the hook");
    emulator.launch(name, launched.grid, given);
}

impl Emulator {
    fn launch(&mut self, name: &str, grid: [u32; 3], given: &[Given]) {
        let kernel = self.kernels.get(name);
        let kernel = Arc::clone(kernel.unwrap_or_else(|| panic!("no plan has '{name}'")));
        let parameters = || kernel.parameters.iter().map(|it| it.kind).zip(given);
        let values: Vec<Value> = parameters()
            .map(|(kind, given)| match kind {
                ParameterKind::Word => Value::Word(given.value as u32),
                _ => self.value(given),
            })
            .collect();
        let outcome = self
            .machine
            .launch(&kernel, grid, &values, &Schedule::in_order());
        outcome.unwrap_or_else(|trap| panic!("{trap}"));
        for (kind, given) in parameters() {
            if kind == ParameterKind::Output {
                let copied = self.copies.get_mut(&[given.memory, given.bytes]).unwrap();
                let size = copied.bytes.len();
                copied.bytes = self.machine.read(copied.buffer, 0, size).unwrap();
                memory(given).copy_from_slice(&copied.bytes);
            }
        }
    }

    /// The address in the interpreter's memory, which then has what the driver's has.
    fn value(&mut self, given: &Given) -> Value {
        let (place, now) = ([given.memory, given.bytes], memory(given));
        let copied = self.copies.entry(place).or_insert_with(|| Copied {
            buffer: self.machine.allocate(now.len()),
            bytes: Vec::new(),
        });
        if copied.bytes != now {
            copied.bytes = now.to_vec();
            self.machine.write(copied.buffer, 0, now);
        }
        let offset = (given.value - given.memory) as usize;
        Value::Memory {
            buffer: copied.buffer,
            offset,
            bytes: now.len() - offset,
        }
    }
}
