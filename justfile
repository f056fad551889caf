# The table of contents of `cargo xtask`, where the logic is. `just` alone lists it.

_default:
    @just --list --unsorted

# Formatting, lints, documentation, unit tests: before each commit
check:
    cargo xtask check

# All tests
test *ARGS:
    cargo xtask test {{ARGS}}

# What CI runs
ci:
    cargo xtask ci

# Licences and sources of every dependency
deny:
    cargo xtask deny

# The portable kernels in the interpreter of Rust
miri *ARGS:
    cargo xtask miri {{ARGS}}

# The thread pool in every order of its threads' steps
loom *ARGS:
    cargo xtask loom {{ARGS}}

# The CPU engine's tests under AddressSanitizer
asan *ARGS:
    cargo xtask asan {{ARGS}}

# The CPU engine's tests under ThreadSanitizer
tsan *ARGS:
    cargo xtask tsan {{ARGS}}

# Every fuzz target for so many seconds (--asan: under AddressSanitizer)
fuzz SECONDS="60" *ARGS:
    cargo xtask fuzz {{SECONDS}} {{ARGS}}

# Every CUDA kernel through ptxas (--quick: of the small networks)
ptx *ARGS:
    cargo xtask ptx {{ARGS}}

# The sample model, from the registry
model NAME="yolo26n":
    cargo xtask model {{NAME}}

# The forward pass against OpenVINO, ONNX Runtime, ncnn, PyTorch, rten and tract
peers *ARGS:
    cargo xtask peers {{ARGS}}

# Process start to first box against a short onnxruntime script
cold-start *ARGS:
    cargo xtask cold-start {{ARGS}}

# CPU seconds of a cold release build, size of the binary
size:
    cargo xtask size

# Writes docs/cli.md from the binary's own help (--check: only compares)
docs *ARGS:
    cargo xtask docs {{ARGS}}

# The server's .proto files as Rust (--check: only compares)
proto *ARGS:
    cargo xtask proto {{ARGS}}

# Types and tests of the Python package
python *ARGS:
    cargo xtask python {{ARGS}}

# The Python package with the binary in it, in target/wheels
wheel:
    cargo xtask wheel

# Images of containers, built and tried (--development: of what tests have built)
containers *ARGS:
    cargo xtask containers {{ARGS}}

# Tarball, Debian package, installer and their sums, in target/dist
package *ARGS:
    cargo xtask package {{ARGS}}

# Executes the notebooks of both languages
notebooks *ARGS:
    cargo xtask notebooks {{ARGS}}

# The documentation site, and every command on it
site *ARGS:
    cargo xtask site {{ARGS}}
