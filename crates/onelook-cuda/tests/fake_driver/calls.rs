//! A driver without a GPU, for tests: the functions of libcuda that are called, by their types.
//!
//! Built by `rustc --crate-type cdylib` alone (see `fake.rs`). Device memory is host memory, work
//! in streams happens when it is waited for, every call is written down beside the library.

#[path = "entry.rs"]
mod entry;
#[path = "hook.rs"]
mod hook;
#[path = "launched.rs"]
mod launched;
#[path = "location.rs"]
mod location;
#[path = "script.rs"]
mod script;
#[path = "state.rs"]
mod state;

use std::ffi::{CStr, c_char, c_void};
use std::{ptr, slice};

use entry::COMPILED;
use state::{DriverState, Outcome, StreamOp, call};

const INVALID_VALUE: i32 = 1;
const INVALID_DEVICE: i32 = 101;
const NOT_FOUND: i32 = 500;

/// Gives a caller a value.
fn put<T>(to: *mut T, value: T) {
    // SAFETY: the tests load this library only through `onelook_cuda::driver`, whose function table
    // has these types and whose calls pass pointers to live, writable values.
    unsafe { to.write(value) };
}

/// The values that a caller's pointer leads to.
fn view<'a, T>(from: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: `onelook_cuda::driver`, the only caller, passes the length of the slice or array that
    // the pointer comes from; it outlives the call, and so the view.
    unsafe { slice::from_raw_parts(from, count) }
}

fn text(from: *const c_char) -> String {
    // SAFETY: `onelook_cuda::driver`, the only caller, passes pointers of `CString`s and of PTX
    // with a final zero.
    let text = unsafe { CStr::from_ptr(from) };
    text.to_string_lossy().into_owned()
}

fn put_text(to: *mut c_char, capacity: i32, words: &str) {
    let mut bytes = words.as_bytes().to_vec();
    bytes.truncate(usize::try_from(capacity - 1).unwrap_or(0));
    bytes.push(0);
    // SAFETY: `onelook_cuda::driver`, the only caller, passes a buffer of `capacity` bytes; the
    // truncated words and their final zero fit it.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len()) };
}

/// Writes the script's words where the caller of a compiler wants them.
fn put_log(state: &DriverState, count: u32, keys: *const u32, values: *const *mut c_void) {
    let (keys, values) = (view(keys, count as usize), view(values, count as usize));
    let value = |wanted: u32| {
        let position = keys.iter().position(|&key| key == wanted)?;
        values.get(position).copied()
    };
    if let (Some(buffer), Some(size)) = (value(5), value(6)) {
        put_text(buffer.cast(), size as usize as i32, &state.script.jit_log);
    }
}

/// The values of a launch, copied by the sizes of the entry's parameters.
fn values(
    state: &DriverState,
    function: usize,
    pointers: *const *mut c_void,
) -> Option<Vec<Vec<u8>>> {
    let entry = state.functions.get(&function)?;
    let pointers = view(pointers, entry.sizes.len());
    let copy = |(pointer, &size): (&*mut c_void, &usize)| view(pointer.cast::<u8>(), size).to_vec();
    Some(pointers.iter().zip(&entry.sizes).map(copy).collect())
}

/// From now on this runs every launch.
#[unsafe(no_mangle)]
pub extern "C" fn fake_on_launch(hook: launched::Hook) {
    hook::set(hook);
}

macro_rules! exports {
    ($($name:ident($state:ident $(, $argument:ident: $kind:ty)*) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "system" fn $name($($argument: $kind),*) -> i32 {
            call(stringify!($name), |$state: &mut DriverState| -> Outcome { $body })
        }
    )*};
}

exports! {
    cuDriverGetVersion(state, version: *mut i32) {
        put(version, state.script.version);
        Ok(String::new())
    }
    cuInit(_state, flags: u32) {
        Ok(flags.to_string())
    }
}

#[cfg(not(bare))]
exports! {
    cuGetErrorName(state, code: i32, name: *mut *const c_char) {
        let _ = state;
        put(name, match code {
            2 => c"CUDA_ERROR_OUT_OF_MEMORY".as_ptr(),
            218 => c"CUDA_ERROR_INVALID_PTX".as_ptr(),
            700 => c"CUDA_ERROR_ILLEGAL_ADDRESS".as_ptr(),
            803 => c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH".as_ptr(),
            _ => c"CUDA_ERROR_OF_THE_TEST".as_ptr(),
        });
        Ok(code.to_string())
    }
    cuGetErrorString(_state, code: i32, words: *mut *const c_char) {
        put(words, c"words for it".as_ptr());
        Ok(code.to_string())
    }
    cuDeviceGetCount(state, count: *mut i32) {
        put(count, state.script.devices.len() as i32);
        Ok(String::new())
    }
    cuDeviceGet(state, device: *mut i32, ordinal: i32) {
        if ordinal < 0 || ordinal as usize >= state.script.devices.len() {
            return Err(INVALID_DEVICE);
        }
        put(device, ordinal);
        Ok(ordinal.to_string())
    }
    cuDeviceGetName(state, name: *mut c_char, capacity: i32, device: i32) {
        put_text(name, capacity, &state.device(device)?.name);
        Ok(device.to_string())
    }
    cuDeviceGetUuid_v2(state, uuid: *mut [u8; 16], device: i32) {
        state.device(device)?;
        put(uuid, [device as u8; 16]);
        Ok(device.to_string())
    }
    cuDeviceGetPCIBusId(_state, name: *mut c_char, capacity: i32, device: i32) {
        put_text(name, capacity, &format!("0000:{device:02x}:00.0"));
        Ok(device.to_string())
    }
    cuDeviceTotalMem_v2(state, bytes: *mut usize, device: i32) {
        put(bytes, state.device(device)?.memory);
        Ok(device.to_string())
    }
    cuDeviceGetAttribute(state, value: *mut i32, attribute: i32, device: i32) {
        let device = state.device(device)?;
        put(value, match attribute {
            8 => 48 << 10,
            13 => 1_980_000,
            16 => 132,
            36 => 2_619_000,
            37 => 5120,
            38 => 50 << 20,
            75 => device.capability[0],
            76 => device.capability[1],
            81 => 228 << 10,
            97 => 227 << 10,
            _ => return Err(INVALID_VALUE),
        });
        Ok(attribute.to_string())
    }
    cuDevicePrimaryCtxRetain(state, context: *mut usize, device: i32) {
        state.device(device)?;
        state.current = device as usize;
        put(context, state.make("context"));
        Ok(device.to_string())
    }
    cuDevicePrimaryCtxRelease_v2(state, device: i32) {
        let context = state.any("context").ok_or(INVALID_VALUE)?;
        state.end("context", context)?;
        Ok(device.to_string())
    }
    cuCtxPushCurrent_v2(state, context: usize) {
        state.check("context", context)?;
        state::push();
        Ok(String::new())
    }
    cuCtxPopCurrent_v2(_state, context: *mut usize) {
        put(context, 0);
        state::pop()?;
        Ok(String::new())
    }
    cuCtxSynchronize(state) {
        state.finish_all()?;
        Ok(String::new())
    }
    cuMemGetInfo_v2(state, free: *mut usize, total: *mut usize) {
        let all = state.device(state.current as i32)?.memory;
        put(free, all - state.used);
        put(total, all);
        Ok(String::new())
    }
    cuMemAlloc_v2(state, pointer: *mut u64, bytes: usize) {
        let address = state.allocate(bytes)?;
        put(pointer, address);
        Ok(format!("{bytes} = {}", state.place(address)))
    }
    cuMemFree_v2(state, pointer: u64) {
        state.finish_all()?;
        let place = state.place(pointer);
        state.free(pointer)?;
        Ok(place)
    }
    cuMemHostAlloc(state, pointer: *mut *mut c_void, bytes: usize, flags: u32) {
        let address = state.allocate_host(bytes);
        put(pointer, address as *mut c_void);
        Ok(format!("{bytes} {flags}"))
    }
    cuMemFreeHost(state, pointer: *mut c_void) {
        state.finish_all()?;
        state.free_host(pointer as u64)?;
        Ok(String::new())
    }
    cuMemcpyHtoD_v2(state, to: u64, from: *const c_void, bytes: usize) {
        state.stage(to, view(from.cast(), bytes))?;
        Ok(format!("{} {bytes}", state.place(to)))
    }
    cuMemcpyDtoH_v2(state, to: *mut c_void, from: u64, bytes: usize) {
        state.finish_all()?;
        state.copy(to as u64, from, bytes, false, true)?;
        Ok(format!("{} {bytes}", state.place(from)))
    }
    cuMemcpyHtoDAsync_v2(state, to: u64, from: *const c_void, bytes: usize, stream: usize) {
        state.enqueue(stream, StreamOp::Upload { to, from: from as u64, bytes })?;
        Ok(format!("{} {bytes}", state.place(to)))
    }
    cuMemcpyDtoHAsync_v2(state, to: *mut c_void, from: u64, bytes: usize, stream: usize) {
        state.enqueue(stream, StreamOp::Download { to: to as u64, from, bytes })?;
        Ok(format!("{} {bytes}", state.place(from)))
    }
    cuMemsetD8_v2(state, to: u64, value: u8, bytes: usize) {
        state.fill(to, value, bytes)?;
        Ok(format!("{} {value} {bytes}", state.place(to)))
    }
    cuMemsetD8Async(state, to: u64, value: u8, bytes: usize, stream: usize) {
        state.enqueue(stream, StreamOp::Fill { to, value, bytes })?;
        Ok(format!("{} {value} {bytes}", state.place(to)))
    }
    cuStreamCreateWithPriority(state, stream: *mut usize, flags: u32, priority: i32) {
        put(stream, state.make("stream"));
        Ok(format!("{flags} {priority}"))
    }
    cuStreamDestroy_v2(state, stream: usize) {
        state.finish(stream)?;
        state.end("stream", stream)?;
        Ok(String::new())
    }
    cuStreamSynchronize(state, stream: usize) {
        state.finish(stream)?;
        Ok(String::new())
    }
    cuStreamWaitEvent(state, stream: usize, event: usize, _flags: u32) {
        state.check("stream", stream)?;
        state.check("event", event)?;
        Ok(String::new())
    }
    cuEventCreate(state, event: *mut usize, flags: u32) {
        put(event, state.make("event"));
        Ok(flags.to_string())
    }
    cuEventRecord(state, event: usize, stream: usize) {
        state.check("event", event)?;
        state.enqueue(stream, StreamOp::Mark(event))?;
        Ok(String::new())
    }
    cuEventSynchronize(state, event: usize) {
        state.check("event", event)?;
        state.finish_all()?;
        Ok(String::new())
    }
    cuEventElapsedTime(state, milliseconds: *mut f32, from: usize, to: usize) {
        put(milliseconds, state.elapsed(from, to)?);
        Ok(String::new())
    }
    cuEventDestroy_v2(state, event: usize) {
        state.end("event", event)?;
        Ok(String::new())
    }
    cuModuleLoadDataEx(
        state, module: *mut usize, image: *const c_char, count: u32, keys: *mut u32,
        values: *mut *mut c_void
    ) {
        put_log(state, count, keys, values);
        let made = state.load(&text(image))?;
        put(module, made);
        Ok(String::new())
    }
    cuModuleUnload(state, module: usize) {
        state.end("module", module)?;
        Ok(String::new())
    }
    cuModuleGetFunction(state, function: *mut usize, module: usize, name: *const c_char) {
        state.check("module", module)?;
        let name = text(name);
        let found = state.modules.get(&module).filter(|entry| entry.name == name);
        let entry = found.cloned().ok_or(NOT_FOUND)?;
        // A function lives as long as its module and has no end of its own.
        state.functions.insert(module, entry);
        put(function, module);
        Ok(name)
    }
    cuFuncGetAttribute(state, value: *mut i32, attribute: i32, function: usize) {
        state.check("module", function)?;
        put(value, match attribute {
            // Static shared memory: what the system reserves of each block, as on sm_90.
            1 => 1024,
            4 => 32,
            _ => 0,
        });
        Ok(attribute.to_string())
    }
    cuFuncSetAttribute(state, function: usize, attribute: i32, value: i32) {
        state.check("module", function)?;
        Ok(format!("{attribute} {value}"))
    }
    cuOccupancyMaxActiveBlocksPerMultiprocessor(
        state, blocks: *mut i32, function: usize, threads: i32, shared: usize
    ) {
        state.check("module", function)?;
        put(blocks, 2048 / threads);
        Ok(format!("{threads} {shared}"))
    }
    cuLaunchKernel(
        state, function: usize, x: u32, y: u32, z: u32, threads: u32, _y: u32, _z: u32, shared: u32,
        stream: usize, pointers: *mut *mut c_void, _extra: *mut *mut c_void
    ) {
        state.check("module", function)?;
        let values = values(state, function, pointers).ok_or(NOT_FOUND)?;
        let launch = state::Launch { function, grid: [x, y, z], threads, shared, values };
        state.enqueue(stream, StreamOp::Launch(launch))?;
        Ok(String::new())
    }
    cuLinkCreate_v2(
        state, count: u32, keys: *mut u32, values: *mut *mut c_void, link: *mut usize
    ) {
        put_log(state, count, keys, values);
        put(link, state.make("link"));
        Ok(String::new())
    }
    cuLinkAddData_v2(
        state, link: usize, kind: i32, data: *const c_char, bytes: usize, name: *const c_char,
        _count: u32, _keys: *mut u32, _values: *mut *mut c_void
    ) {
        state.check("link", link)?;
        let ptx = text(data);
        if ptx.len() + 1 != bytes || kind != 1 {
            return Err(INVALID_VALUE);
        }
        state.links.insert(link, format!("{COMPILED}{ptx}\0"));
        Ok(text(name))
    }
    cuLinkComplete(state, link: usize, cubin: *mut *const c_void, bytes: *mut usize) {
        state.check("link", link)?;
        let image = state.links.get(&link).ok_or(INVALID_VALUE)?;
        put(cubin, image.as_ptr().cast());
        put(bytes, image.len());
        Ok(String::new())
    }
    cuLinkDestroy(state, link: usize) {
        state.end("link", link)?;
        state.links.remove(&link);
        Ok(String::new())
    }
    cuGraphCreate(state, graph: *mut usize, flags: u32) {
        let made = state.make("graph");
        state.graphs.insert(made, Vec::new());
        put(graph, made);
        Ok(flags.to_string())
    }
    cuGraphDestroy(state, graph: usize) {
        state.end("graph", graph)?;
        Ok(String::new())
    }
    cuGraphAddKernelNode_v2(
        state, node: *mut usize, graph: usize, after: *const usize, count: usize,
        what: *const KernelNode
    ) {
        let what = &view(what, 1)[0];
        state.check("module", what.function)?;
        let launch = state::Launch {
            function: what.function,
            grid: what.grid,
            threads: what.block[0],
            shared: what.shared,
            values: values(state, what.function, what.values).ok_or(NOT_FOUND)?,
        };
        let added = state.add_node(graph, StreamOp::Launch(launch), view(after, count))?;
        put(node, added);
        Ok(format!("{added} after {:?}", view(after, count)))
    }
    cuGraphAddMemsetNode(
        state, node: *mut usize, graph: usize, after: *const usize, count: usize,
        what: *const MemsetNode, context: usize
    ) {
        state.check("context", context)?;
        let what = &view(what, 1)[0];
        if what.element != 1 || what.height != 1 {
            return Err(INVALID_VALUE);
        }
        let step = StreamOp::Fill { to: what.to, value: what.value as u8, bytes: what.width };
        let added = state.add_node(graph, step, view(after, count))?;
        put(node, added);
        Ok(format!("{added} after {:?}", view(after, count)))
    }
    cuGraphInstantiateWithFlags(state, exec: *mut usize, graph: usize, flags: u64) {
        state.check("graph", graph)?;
        let nodes = state.graphs.get(&graph).cloned().ok_or(INVALID_VALUE)?;
        let made = state.make("exec");
        state.execs.insert(made, nodes);
        put(exec, made);
        Ok(flags.to_string())
    }
    cuGraphUpload(state, exec: usize, stream: usize) {
        state.check("exec", exec)?;
        state.check("stream", stream)?;
        Ok(String::new())
    }
    cuGraphLaunch(state, exec: usize, stream: usize) {
        state.check("exec", exec)?;
        state.enqueue(stream, StreamOp::Graph(exec))?;
        Ok(String::new())
    }
    cuGraphExecDestroy(state, exec: usize) {
        state.end("exec", exec)?;
        Ok(String::new())
    }
}

#[cfg(edges)]
exports! {
    cuGraphAddDependencies_v2(
        state, graph: usize, from: *const usize, to: *const usize, data: *const [u8; 8],
        count: usize
    ) {
        let mut words = String::new();
        let ends = view(from, count).iter().zip(view(to, count));
        for ((&earlier, &later), data) in ends.zip(view(data, count)) {
            state.add_edge(graph, earlier, later, data)?;
            words += &format!("{earlier} to {later} {data:?}");
        }
        Ok(words)
    }
}

/// `CUDA_KERNEL_NODE_PARAMS_v2`.
#[repr(C)]
pub struct KernelNode {
    function: usize,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    values: *mut *mut c_void,
    extra: *mut *mut c_void,
    kernel: usize,
    context: usize,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[repr(C)]
pub struct MemsetNode {
    to: u64,
    pitch: usize,
    value: u32,
    element: u32,
    width: usize,
    height: usize,
}
