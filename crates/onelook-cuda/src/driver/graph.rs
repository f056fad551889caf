//! A graph of launches, built by hand: kernels and what each waits for in, one launch of them all
//! out.

use std::ptr;
use std::sync::Arc;

use super::abi::{
    ContextHandle, DEPENDENCY_PROGRAMMATIC, EdgeData, GraphExecHandle, GraphHandle, KernelHandle,
    KernelNode, MemsetNode, NodeHandle, PORT_PROGRAMMATIC, Status,
};
use super::function::pointers;
use super::{Context, CudaError, DeviceBuffer, Function, Stream, Value};

/// A graph that is being built.
pub struct Graph {
    context: Arc<Context>,
    handle: GraphHandle,
}

/// A step of a graph, for naming what waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(NodeHandle);

impl Graph {
    /// An empty graph.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        let _bound = context.bind()?;
        let mut handle = GraphHandle::default();
        // SAFETY: the pointer is to a live handle; there are no flags.
        let code = unsafe { (context.driver().table().cuGraphCreate)(&raw mut handle, 0) };
        context.driver().check("cuGraphCreate", code)?;
        Ok(Self {
            context: Arc::clone(context),
            handle,
        })
    }

    /// Adds that all bytes of the buffer become zero; `after` are of this graph.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that the buffer outlives every launch of what is instantiated
    /// from this graph, until the stream of the launch has been synchronised.
    pub unsafe fn add_clear(
        &mut self,
        buffer: &DeviceBuffer,
        after: &[Node],
    ) -> Result<Node, CudaError> {
        let what = MemsetNode {
            destination: buffer.address(),
            pitch: 0,
            value: 0,
            element_bytes: 1,
            width: buffer.bytes().max(1),
            height: 1,
        };
        let add = self.context.driver().table().cuGraphAddMemsetNode;
        let context = self.context.handle();
        self.add(
            "cuGraphAddMemsetNode",
            after,
            |node, graph, after, count| {
                // SAFETY: `node`, `after` and `what` are live values that the call copies, `after`
                // has `count` entries; `what` describes the whole buffer (`DeviceBuffer` has at
                // least one byte). That the buffer outlives the launches is this function's
                // contract.
                unsafe { add(node, graph, after, count, &raw const what, context) }
            },
        )
    }

    /// Adds a launch that starts when all of `after` have ended.
    ///
    /// # Errors
    /// The values do not fit the parameters, or the driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that each address among `values` points to memory of this GPU
    /// as large as what the kernel accesses there with this grid, and that the function and this
    /// memory outlive every launch of what is instantiated from this graph, until the stream of the
    /// launch has been synchronised.
    pub unsafe fn add_launch(
        &mut self,
        function: &Function,
        grid: [u32; 3],
        values: &[Value],
        after: &[Node],
    ) -> Result<Node, CudaError> {
        function.check_values(values)?;
        let mut arguments = pointers(values);
        let what = KernelNode {
            function: function.handle,
            grid,
            block: [function.threads(), 1, 1],
            shared_bytes: function.dynamic_shared_bytes(),
            arguments: arguments.as_mut_ptr(),
            extra: ptr::null_mut(),
            kernel: KernelHandle::default(),
            context: ContextHandle::default(),
        };
        let add = self.context.driver().table().cuGraphAddKernelNode_v2;
        self.add(
            "cuGraphAddKernelNode",
            after,
            |node, graph, after, count| {
                // SAFETY: `node`, `after`, `what` and the values are live and copied by the call,
                // `after` has `count` entries; `check_values` proved that the values fit the
                // parameters. That function and addresses stay valid is this function's contract.
                unsafe { add(node, graph, after, count, &raw const what) }
            },
        )
    }

    /// Adds a node behind `after` by the driver's function of this name; `add` gets a place for the
    /// node, the graph, and the nodes to wait for with their number.
    fn add(
        &mut self,
        function: &'static str,
        after: &[Node],
        add: impl FnOnce(*mut NodeHandle, GraphHandle, *const NodeHandle, usize) -> Status,
    ) -> Result<Node, CudaError> {
        let _bound = self.context.bind()?;
        let mut node = NodeHandle::default();
        let after: Vec<NodeHandle> = after.iter().map(|node| node.0).collect();
        let code = add(&raw mut node, self.handle, after.as_ptr(), after.len());
        self.context.driver().check(function, code)?;
        Ok(Node(node))
    }

    /// Whether the driver knows launches that start while the one before still runs.
    pub fn knows_dependents(&self) -> bool {
        let table = self.context.driver().table();
        table.cuGraphAddDependencies_v2.is_some()
    }

    /// Lets the launch `later` start while `earlier` still runs; it waits itself where it must
    /// (`griddepcontrol.wait`). False, with nothing done, where the driver cannot do that.
    ///
    /// # Errors
    /// The driver refuses: both must be launches without an edge between them.
    pub fn add_dependent(&mut self, earlier: Node, later: Node) -> Result<bool, CudaError> {
        let driver = self.context.driver();
        let Some(add) = driver.table().cuGraphAddDependencies_v2 else {
            return Ok(false);
        };
        let _bound = self.context.bind()?;
        let edge = EdgeData {
            from_port: PORT_PROGRAMMATIC,
            kind: DEPENDENCY_PROGRAMMATIC,
            ..EdgeData::default()
        };
        // SAFETY: the pointers are to one live value each, as the count says.
        let code = unsafe {
            add(
                self.handle,
                &raw const earlier.0,
                &raw const later.0,
                &raw const edge,
                1,
            )
        };
        driver.check("cuGraphAddDependencies", code)?;
        Ok(true)
    }

    /// Makes it ready to launch.
    ///
    /// # Errors
    /// It has a cycle, or the driver refuses.
    pub fn instantiate(&self) -> Result<GraphExec, CudaError> {
        let _bound = self.context.bind()?;
        let driver = self.context.driver();
        let mut handle = GraphExecHandle::default();
        let instantiate = driver.table().cuGraphInstantiateWithFlags;
        // SAFETY: the pointer is to a live handle and the graph is live; there are no flags.
        let code = unsafe { instantiate(&raw mut handle, self.handle, 0) };
        driver.check("cuGraphInstantiateWithFlags", code)?;
        Ok(GraphExec {
            context: Arc::clone(&self.context),
            handle,
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        // SAFETY: new created the handle, and nobody uses it after this.
        unsafe { (self.context.driver().table().cuGraphDestroy)(self.handle) };
    }
}

/// A graph that is ready to launch, again and again.
pub struct GraphExec {
    context: Arc<Context>,
    handle: GraphExecHandle,
}

impl GraphExec {
    /// Brings it to the GPU, so that the first launch is as quick as the next.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn upload(&self, stream: &Stream) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        let driver = self.context.driver();
        // SAFETY: both handles are live.
        let code = unsafe { (driver.table().cuGraphUpload)(self.handle, stream.handle) };
        driver.check("cuGraphUpload", code)
    }

    /// Puts all its steps into the stream. Launches of the same graph do not overlap.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// The caller guarantees that the functions and the memory that the graph's nodes name (see
    /// [`Graph`]) are alive, and that nothing else accesses that memory until the stream has been
    /// synchronised.
    pub unsafe fn launch(&self, stream: &Stream) -> Result<(), CudaError> {
        let _bound = self.context.bind()?;
        let driver = self.context.driver();
        // SAFETY: the handles belong to `self` and `stream`, which are borrowed, of one context.
        // That what the nodes access is alive and not shared is this function's contract.
        let code = unsafe { (driver.table().cuGraphLaunch)(self.handle, stream.handle) };
        driver.check("cuGraphLaunch", code)
    }
}

impl Drop for GraphExec {
    fn drop(&mut self) {
        let Ok(_bound) = self.context.bind() else {
            return;
        };
        // SAFETY: instantiate created the handle, and nobody uses it after this.
        unsafe { (self.context.driver().table().cuGraphExecDestroy)(self.handle) };
    }
}
