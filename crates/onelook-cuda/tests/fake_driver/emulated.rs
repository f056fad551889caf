//! A GPU of sorts: what the driver without a GPU is asked to launch runs in the interpreter, on the
//! very memory that the driver handed out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use onelook_ptx::emit;
use onelook_ptx::interpreter::{Buffer, Machine, Schedule, Value};
use onelook_ptx::lang::{Kernel, ParameterKind};

use super::launched::{Hook, LaunchArg, Launched};

/// What runs launches, and the driver's memory as it knows it.
struct Emulator {
    /// By their text, which is what the driver has of them.
    kernels: HashMap<String, Arc<Kernel>>,
    machine: Machine,
    /// By start and length.
    copies: BTreeMap<[u64; 2], Copied>,
}

/// A copy of a part of the driver's memory in that of the interpreter.
struct Copied {
    buffer: Buffer,
    bytes: Vec<u8>,
}

static EMULATOR: Mutex<Option<Emulator>> = Mutex::new(None);

/// From now on the driver in this file runs these kernels; any other does nothing, and says so.
pub fn emulate(driver: &Path, kernels: impl IntoIterator<Item = Arc<Kernel>>) {
    let mut emulator = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = emulator.get_or_insert_with(|| Emulator {
        kernels: HashMap::new(),
        machine: Machine::new(),
        copies: BTreeMap::new(),
    });
    let kernels = kernels.into_iter();
    let kernels = kernels.map(|kernel| (emit(&kernel).unwrap(), kernel));
    emulator.kernels.extend(kernels);
    // SAFETY: the library is that of `calls.rs`, whose start does nothing.
    let library = unsafe { libloading::Library::new(driver) }.unwrap();
    // SAFETY: `calls.rs` exports the function with this type.
    let on_launch = unsafe { library.get::<extern "C" fn(Hook)>("fake_on_launch") };
    on_launch.unwrap()(launch);
    // The hook is to stay.
    std::mem::forget(library);
}

/// The memory that an address lies in.
fn memory<'a>(given: &LaunchArg) -> &'a mut [u8] {
    // SAFETY: the fake driver passes the start and size of an allocation in its table (`around` in
    // `state.rs`). It holds its lock during the launch, and tests reach device memory only through
    // it.
    unsafe { slice::from_raw_parts_mut(given.memory as *mut u8, given.bytes as usize) }
}

extern "C" fn launch(launched: &Launched) {
    // SAFETY: `hook::hand_over` passes pointer and length of a `str` and of a slice of values,
    // which it borrows until this function returns.
    let (text, given) = unsafe {
        (
            slice::from_raw_parts(launched.text, launched.text_bytes),
            slice::from_raw_parts(launched.values, launched.count),
        )
    };
    let text = std::str::from_utf8(text).unwrap();
    let mut emulator = EMULATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let emulator = emulator.as_mut().expect("it is made before the hook");
    emulator.launch(text, launched.grid, given);
}

impl Emulator {
    fn launch(&mut self, text: &str, grid: [u32; 3], given: &[LaunchArg]) {
        let Some(kernel) = self.kernels.get(text) else {
            let entry = text.lines().find(|line| line.contains(".entry"));
            return eprintln!("no kernel is registered for {}", entry.unwrap_or(text));
        };
        let kernel = Arc::clone(kernel);
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
    fn value(&mut self, given: &LaunchArg) -> Value {
        let (place, now) = ([given.memory, given.bytes], memory(given));
        let known = self.copies.get(&place).filter(|known| known.bytes == now);
        let buffer = known.map(|known| known.buffer).unwrap_or_else(|| {
            // What the host has changed is no launch's work any more: the interpreter remembers.
            let (buffer, bytes) = (self.machine.allocate(now.len()), now.to_vec());
            self.machine.write(buffer, 0, now);
            self.copies.insert(place, Copied { buffer, bytes });
            buffer
        });
        let offset = (given.value - given.memory) as usize;
        Value::Memory {
            buffer,
            offset,
            bytes: now.len() - offset,
        }
    }
}
