//! The state of the fake driver: live handles and memory, the contents of streams, the log of
//! calls.
//!
//! Operations in a stream are executed only when something waits for them, and the nodes of a graph
//! in the latest order that its edges allow: a missing wait or a missing edge gives wrong results.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, ptr};

use crate::entry::Entry;
use crate::hook;
use crate::launched::LaunchArg;
use crate::location::library_folder;
use crate::script::{Device, Script};

/// What a call did, for the log, or the error's number.
pub type Outcome = Result<String, i32>;

const INVALID_VALUE: i32 = 1;
const OUT_OF_MEMORY: i32 = 2;
const INVALID_DEVICE: i32 = 101;
const INVALID_CONTEXT: i32 = 201;
const INVALID_PTX: i32 = 218;
const INVALID_HANDLE: i32 = 400;
const NOT_READY: i32 = 600;
const ILLEGAL_ADDRESS: i32 = 700;
const TIMEOUT: i32 = 702;

/// After so long, what a call waits for will not come.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// A function has been called.
static CALLED: Condvar = Condvar::new();

/// Calls that need no current context.
const FREE: [&str; 14] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetUuid_v2",
    "cuDeviceGetPCIBusId",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
];

thread_local! {
    /// Contexts that are pushed on this thread.
    static PUSHED: Cell<usize> = const { Cell::new(0) };
}

pub fn push() {
    PUSHED.set(PUSHED.get() + 1);
}

pub fn pop() -> Result<(), i32> {
    PUSHED.set(PUSHED.get().checked_sub(1).ok_or(INVALID_CONTEXT)?);
    Ok(())
}

/// A kernel with all that it was given.
#[derive(Clone)]
pub struct Launch {
    pub function: usize,
    pub grid: [u32; 3],
    pub threads: u32,
    pub shared: u32,
    pub values: Vec<Vec<u8>>,
}

/// Work in a stream or a graph.
#[derive(Clone)]
pub enum StreamOp {
    Upload { to: u64, from: u64, bytes: usize },
    Download { to: u64, from: u64, bytes: usize },
    Fill { to: u64, value: u8, bytes: usize },
    Launch(Launch),
    Graph(usize),
    Mark(usize),
}

/// A step of a graph and the numbers of those that it waits for.
#[derive(Clone)]
pub struct Node {
    step: StreamOp,
    number: usize,
    after: Vec<usize>,
}

struct Memory {
    number: usize,
    bytes: usize,
    host: bool,
}

#[derive(Default)]
pub struct DriverState {
    pub script: Script,
    pub current: usize,
    pub used: usize,
    pub modules: HashMap<usize, Entry>,
    pub functions: HashMap<usize, Entry>,
    pub links: HashMap<usize, String>,
    pub graphs: HashMap<usize, Vec<Node>>,
    pub execs: HashMap<usize, Vec<Node>>,
    live: BTreeMap<usize, &'static str>,
    next: usize,
    memory: BTreeMap<u64, Memory>,
    buffers: usize,
    streams: BTreeMap<usize, VecDeque<StreamOp>>,
    /// Bytes on their way to the device: no stream waits for them.
    staged: Vec<(u64, Vec<u8>)>,
    marks: HashMap<usize, u64>,
    /// Microseconds that launches have taken.
    clock: u64,
    counts: HashMap<&'static str, usize>,
    log: Option<File>,
}

static STATE: LazyLock<Mutex<DriverState>> =
    LazyLock::new(|| Mutex::new(DriverState::open(&library_folder())));

/// Answers a call: as the script says, or by `what` it does. Writes it down.
pub fn call(name: &'static str, what: impl FnOnce(&mut DriverState) -> Outcome) -> i32 {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let count = state.counts.entry(name).or_insert(0);
    *count += 1;
    let nth = *count;
    CALLED.notify_all();
    let mut held = Ok(());
    if let Some(hold) = state.script.hold(name, nth) {
        state.write(&format!("waiting {name}"));
        let few = |state: &mut DriverState| {
            let count = state.counts.get(hold.other.as_str());
            count.is_none_or(|&count| count < hold.count)
        };
        let waited = CALLED.wait_timeout_while(state, LONGEST_HOLD, few);
        let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state = woken;
        if timeout.timed_out() {
            held = Err(TIMEOUT);
        }
    }
    let outcome = match state.script.failure(name, nth).map_or(held, Err) {
        Err(code) => Err(code),
        Ok(()) if PUSHED.get() == 0 && !FREE.contains(&name) => Err(INVALID_CONTEXT),
        Ok(()) => what(&mut state),
    };
    match outcome {
        Ok(details) => {
            state.write(&format!("{name} {details}"));
            0
        }
        Err(code) => {
            state.write(&format!("{name} failed {code}"));
            code
        }
    }
}

impl DriverState {
    fn open(folder: &Path) -> Self {
        let script = fs::read_to_string(folder.join("script")).expect("a script lies beside");
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("calls"));
        Self {
            script: Script::parse(&script),
            log: log.ok(),
            next: 1,
            ..Self::default()
        }
    }

    fn write(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            let _ = log.write_all(format!("{}\n", line.trim_end()).as_bytes());
        }
    }

    pub fn device(&self, device: i32) -> Result<&Device, i32> {
        let device = usize::try_from(device).map_err(|_| INVALID_DEVICE)?;
        self.script.devices.get(device).ok_or(INVALID_DEVICE)
    }

    /// A new thing of this kind.
    pub fn make(&mut self, kind: &'static str) -> usize {
        let number = self.next;
        self.next += 1;
        self.live.insert(number, kind);
        self.write(&format!("+{kind} {number}"));
        number
    }

    pub fn check(&self, kind: &str, number: usize) -> Result<(), i32> {
        match self.live.get(&number) {
            Some(found) if *found == kind => Ok(()),
            _ => Err(INVALID_HANDLE),
        }
    }

    pub fn any(&self, kind: &str) -> Option<usize> {
        let mut found = self.live.iter().filter(|(_, what)| **what == kind);
        found.next().map(|(number, _)| *number)
    }

    pub fn end(&mut self, kind: &str, number: usize) -> Result<(), i32> {
        self.check(kind, number)?;
        self.live.remove(&number);
        self.write(&format!("-{kind} {number}"));
        Ok(())
    }

    pub fn load(&mut self, image: &str) -> Result<usize, i32> {
        let entry = Entry::parse(image).ok_or(INVALID_PTX)?;
        let module = self.make("module");
        self.modules.insert(module, entry);
        Ok(module)
    }

    pub fn allocate(&mut self, bytes: usize) -> Result<u64, i32> {
        let all = self.device(self.current as i32)?.memory;
        if bytes > all - self.used {
            return Err(OUT_OF_MEMORY);
        }
        self.used += bytes;
        Ok(self.map(bytes, false))
    }

    pub fn allocate_host(&mut self, bytes: usize) -> u64 {
        self.map(bytes, true)
    }

    fn map(&mut self, bytes: usize, host: bool) -> u64 {
        // SAFETY: `layout` rounds the size up to at least one byte.
        let address = unsafe { alloc(layout(bytes)) };
        assert!(!address.is_null(), "the host has no memory left");
        // SAFETY: `alloc` just returned so many bytes, checked not to be null.
        unsafe { address.write_bytes(0xa5, bytes) };
        self.buffers += 1;
        let number = self.buffers;
        self.memory.insert(
            address as u64,
            Memory {
                number,
                bytes,
                host,
            },
        );
        self.write(&format!("+memory {number}"));
        address as u64
    }

    pub fn free(&mut self, address: u64) -> Result<(), i32> {
        self.used -= self.unmap(address, false)?;
        Ok(())
    }

    pub fn free_host(&mut self, address: u64) -> Result<(), i32> {
        self.unmap(address, true).map(|_| ())
    }

    fn unmap(&mut self, address: u64, host: bool) -> Result<usize, i32> {
        let found = self
            .memory
            .get(&address)
            .filter(|memory| memory.host == host);
        let (number, bytes) = found.map(|m| (m.number, m.bytes)).ok_or(INVALID_HANDLE)?;
        self.memory.remove(&address);
        // SAFETY: map took it with this layout, and it was in the table, so it was not freed.
        unsafe { dealloc(address as *mut u8, layout(bytes)) };
        self.write(&format!("-memory {number}"));
        Ok(bytes)
    }

    /// The memory that an address lies in, as `#number+offset`.
    pub fn place(&self, address: u64) -> String {
        match self.memory.range(..=address).next_back() {
            Some((start, memory)) if address <= start + memory.bytes as u64 => {
                format!("#{}+{}", memory.number, address - start)
            }
            _ => "nowhere".to_owned(),
        }
    }

    /// The device's memory that an address lies in or ends: its start and its bytes.
    fn around(&self, address: u64) -> Result<(u64, usize), i32> {
        match self.memory.range(..=address).next_back() {
            Some((&start, memory)) if !memory.host => Ok((start, memory.bytes)),
            _ => Err(ILLEGAL_ADDRESS),
        }
    }

    /// Whether so many bytes lie in memory of the device.
    fn inside(&self, address: u64, bytes: usize) -> Result<(), i32> {
        let (start, all) = self.around(address)?;
        let fits = address + bytes as u64 <= start + all as u64;
        fits.then_some(()).ok_or(ILLEGAL_ADDRESS)
    }

    pub fn copy(
        &mut self,
        to: u64,
        from: u64,
        bytes: usize,
        to_device: bool,
        from_device: bool,
    ) -> Result<(), i32> {
        if to_device {
            self.inside(to, bytes)?;
        }
        if from_device {
            self.inside(from, bytes)?;
        }
        // SAFETY: a device address was checked by `inside`; a host address is that of a slice or a
        // pinned buffer which `onelook_cuda::driver` keeps alive until it has synchronised.
        unsafe { ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    pub fn fill(&mut self, to: u64, value: u8, bytes: usize) -> Result<(), i32> {
        self.inside(to, bytes)?;
        // SAFETY: so many bytes lie there, as was checked.
        unsafe { (to as *mut u8).write_bytes(value, bytes) };
        Ok(())
    }

    pub fn enqueue(&mut self, stream: usize, step: StreamOp) -> Result<(), i32> {
        self.check("stream", stream)?;
        self.streams.entry(stream).or_default().push_back(step);
        Ok(())
    }

    /// Takes bytes that arrive when the whole context is waited for.
    pub fn stage(&mut self, to: u64, bytes: &[u8]) -> Result<(), i32> {
        self.inside(to, bytes.len())?;
        self.staged.push((to, bytes.to_vec()));
        Ok(())
    }

    pub fn finish_all(&mut self) -> Result<(), i32> {
        for (to, bytes) in std::mem::take(&mut self.staged) {
            self.copy(to, bytes.as_ptr() as u64, bytes.len(), true, false)?;
        }
        let streams: Vec<usize> = self.streams.keys().copied().collect();
        streams
            .into_iter()
            .try_for_each(|stream| self.finish(stream))
    }

    pub fn finish(&mut self, stream: usize) -> Result<(), i32> {
        self.check("stream", stream)?;
        let steps = self.streams.remove(&stream).unwrap_or_default();
        steps.into_iter().try_for_each(|step| self.perform(&step))
    }

    fn perform(&mut self, step: &StreamOp) -> Result<(), i32> {
        match step {
            StreamOp::Upload { to, from, bytes } => self.copy(*to, *from, *bytes, true, false),
            StreamOp::Download { to, from, bytes } => self.copy(*to, *from, *bytes, false, true),
            StreamOp::Fill { to, value, bytes } => self.fill(*to, *value, *bytes),
            StreamOp::Launch(launch) => self.launch(launch),
            StreamOp::Graph(exec) => self.graph(*exec),
            StreamOp::Mark(event) => {
                self.marks.insert(*event, self.clock);
                Ok(())
            }
        }
    }

    /// Writes a launch down; without a hook `copy(from, to, bytes)` is the one kernel that is
    /// really run.
    fn launch(&mut self, launch: &Launch) -> Result<(), i32> {
        self.clock += 10;
        self.check("module", launch.function)?;
        let Entry { name, text, .. } = self.functions[&launch.function].clone();
        let given = launch.values.iter().map(|value| self.given(value));
        let given: Vec<LaunchArg> = given.collect::<Result<_, i32>>()?;
        let word = |given: &LaunchArg| match given.bytes {
            0 => given.value.to_string(),
            _ => self.place(given.value),
        };
        let values: Vec<String> = given.iter().map(word).collect();
        let [x, y, z] = launch.grid;
        let (threads, shared, values) = (launch.threads, launch.shared, values.join(" "));
        self.write(&format!(
            "run {name} {x},{y},{z} x {threads} shared {shared}: {values}"
        ));
        if hook::hand_over(&text, launch.grid, &given) {
            return Ok(());
        }
        if let ("copy", [from, to, bytes]) = (&name[..], &given[..]) {
            self.copy(to.value, from.value, bytes.value as usize, true, true)?;
        }
        Ok(())
    }

    fn given(&self, value: &[u8]) -> Result<LaunchArg, i32> {
        let given = |value, memory, bytes| LaunchArg {
            value,
            memory,
            bytes,
        };
        if let Ok(word) = <[u8; 4]>::try_from(value) {
            return Ok(given(u32::from_le_bytes(word).into(), 0, 0));
        }
        let address = <[u8; 8]>::try_from(value).map_err(|_| INVALID_VALUE)?;
        let address = u64::from_le_bytes(address);
        let (memory, bytes) = self.around(address)?;
        Ok(given(address, memory, bytes as u64))
    }

    pub fn add_node(
        &mut self,
        graph: usize,
        step: StreamOp,
        after: &[usize],
    ) -> Result<usize, i32> {
        self.check("graph", graph)?;
        let number = self.next;
        self.next += 1;
        let nodes = self.graphs.get_mut(&graph).ok_or(INVALID_HANDLE)?;
        if after
            .iter()
            .any(|&earlier| nodes.iter().all(|node| node.number != earlier))
        {
            return Err(INVALID_HANDLE);
        }
        nodes.push(Node {
            step,
            number,
            after: after.to_vec(),
        });
        Ok(number)
    }

    /// Adds an edge by which the later launch starts early: port and kind are programmatic.
    pub fn add_edge(
        &mut self,
        graph: usize,
        earlier: usize,
        later: usize,
        data: &[u8; 8],
    ) -> Result<(), i32> {
        self.check("graph", graph)?;
        let nodes = self.graphs.get_mut(&graph).ok_or(INVALID_HANDLE)?;
        let position = |number| nodes.iter().position(|node: &Node| node.number == number);
        let (Some(from), Some(to)) = (position(earlier), position(later)) else {
            return Err(INVALID_HANDLE);
        };
        let launches = [from, to].map(|at| matches!(nodes[at].step, StreamOp::Launch(_)));
        let known = nodes[to].after.contains(&earlier);
        if launches != [true; 2] || known || *data != [1, 0, 1, 0, 0, 0, 0, 0] {
            return Err(INVALID_VALUE);
        }
        nodes[to].after.push(earlier);
        Ok(())
    }

    /// Of the steps that may go next, always the one that was added last.
    fn graph(&mut self, exec: usize) -> Result<(), i32> {
        self.check("exec", exec)?;
        let mut waiting = self.execs.get(&exec).cloned().ok_or(INVALID_HANDLE)?;
        while !waiting.is_empty() {
            let left: Vec<usize> = waiting.iter().map(|node| node.number).collect();
            let ready = |node: &Node| node.after.iter().all(|earlier| !left.contains(earlier));
            let next = waiting.iter().rposition(ready).ok_or(INVALID_HANDLE)?;
            let node = waiting.remove(next);
            self.perform(&node.step)?;
        }
        Ok(())
    }

    /// Milliseconds between two marks that have come.
    pub fn elapsed(&self, from: usize, to: usize) -> Result<f32, i32> {
        let mark = |event: usize| self.marks.get(&event).copied().ok_or(NOT_READY);
        Ok((mark(to)? - mark(from)?) as f32 / 1000.0)
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.max(1), 512).expect("sizes of tests are small")
}
