//! Each way in which a GPU cannot be had, and what the user is told.

use std::fs;
use std::path::Path;

use onelook_cuda::driver::{Context, CudaError, Driver, DriverVersion, Function};

use super::fake::{Fake, H100};
use super::{context, copy_kernel};

fn refusal(fake: &Fake) -> CudaError {
    let driver = match Driver::open_file(&fake.path()) {
        Ok(driver) => driver,
        Err(error) => return error,
    };
    match Context::open(&driver, 0, None) {
        Ok(_) => panic!("the GPU was opened"),
        Err(error) => error,
    }
}

#[test]
fn a_machine_without_a_driver_is_told_what_to_install() {
    let error = Driver::open_file(Path::new("/nonexistent/libcuda.so.1"))
        .err()
        .unwrap();
    assert!(matches!(error, CudaError::NoDriver { .. }));
    let text = error.to_string();
    for words in [
        "no NVIDIA driver",
        "/nonexistent/libcuda.so.1",
        "--gpus all",
        "--device cpu",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_file_that_is_no_driver_is_not_taken_for_one() {
    let fake = Fake::new(&[H100]);
    let text = fake.folder().join("text.so");
    fs::write(&text, "no library").unwrap();
    let error = Driver::open_file(&text).err().unwrap();
    assert!(matches!(error, CudaError::NoDriver { .. }), "{error}");
}

#[test]
fn an_old_driver_is_told_what_it_has_and_what_is_needed() {
    let fake = Fake::new(&["version 11080", H100]);
    let error = refusal(&fake);
    let expected = CudaError::DriverTooOld {
        found: DriverVersion(11_080),
        needed: DriverVersion(12_000),
    };
    assert_eq!(error, expected);
    assert!(
        error
            .to_string()
            .contains("CUDA 11.8, CUDA 12.0 is needed; install driver 525")
    );
    assert_eq!(fake.count("cuInit"), 0, "an old driver is left alone");
}

#[test]
fn a_driver_without_a_function_is_named_with_it() {
    let error = refusal(&Fake::bare(&[H100]));
    assert!(
        matches!(error, CudaError::DriverIncomplete { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("has no cuGetErrorName"),
        "{error}"
    );
}

#[test]
fn no_gpu_is_told_whether_cu_init_or_the_count_says_so() {
    for script in [&["fail cuInit 1 100", H100][..], &[]] {
        let error = refusal(&Fake::new(script));
        assert_eq!(error, CudaError::NoDevice);
        assert!(error.to_string().contains("CUDA_VISIBLE_DEVICES"));
    }
}

#[test]
fn a_number_that_no_gpu_has_is_told_with_the_count() {
    let fake = Fake::new(&[H100, "device NVIDIA L4|8.9|24000000000"]);
    let driver = Driver::open_file(&fake.path()).unwrap();
    let error = Context::open(&driver, 2, None).err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no GPU 2: there are 2, numbered from 0"
    );
    let names: Vec<String> = driver
        .devices()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        ["cuda:0 (NVIDIA H100 80GB HBM3)", "cuda:1 (NVIDIA L4)"]
    );
}

#[test]
fn a_gpu_older_than_turing_is_refused_by_name() {
    let fake = Fake::new(&["device Tesla V100|7.0|16000000000"]);
    let error = refusal(&fake);
    assert!(matches!(error, CudaError::UnsupportedArchitecture { .. }));
    assert!(
        error
            .to_string()
            .contains("Tesla V100 has compute capability 7.0, at least 7.5")
    );
    assert_eq!(fake.count("cuDevicePrimaryCtxRetain"), 0);
}

#[test]
fn any_other_failure_has_the_call_its_code_and_an_advice() {
    let error = refusal(&Fake::new(&[H100, "fail cuInit 1 803"]));
    assert_eq!(
        error.to_string(),
        "cuInit failed: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): words for it; the driver was \
         updated and its kernel module was not: restart the machine"
    );
}

#[test]
fn a_kernel_that_the_driver_refuses_comes_with_the_compilers_words() {
    let script = [
        H100,
        "jit_log ptxas application ptx input, line 9; error: unknown thing",
        "fail cuLinkAddData_v2 * 218",
        "fail cuModuleLoadDataEx * 218",
    ];
    let fake = Fake::new(&script);
    let kernel = copy_kernel(64);
    let ptx = onelook_ptx::emit(&kernel).unwrap();
    let error = Function::load(&context(&fake, None), &kernel, &ptx, None)
        .err()
        .unwrap();
    let CudaError::Jit {
        kernel,
        reason,
        log,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(kernel, "copy");
    assert_eq!(reason, "CUDA_ERROR_INVALID_PTX (218): words for it");
    assert!(log.contains("line 9; error: unknown thing"), "{log}");
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn a_linker_that_refuses_leaves_the_plain_loader() {
    let fake = Fake::new(&[H100, "fail cuLinkComplete * 218"]);
    let kernel = copy_kernel(64);
    let ptx = onelook_ptx::emit(&kernel).unwrap();
    let context = context(&fake, None);
    assert!(Function::load(&context, &kernel, &ptx, None).is_ok());
}

#[test]
fn a_missing_or_old_compiler_of_the_driver_is_told_as_such() {
    let kernel = copy_kernel(64);
    let ptx = onelook_ptx::emit(&kernel).unwrap();
    let failing = |code: i32| {
        let links = format!("fail cuLinkAddData_v2 * {code}");
        let loads = format!("fail cuModuleLoadDataEx * {code}");
        let fake = Fake::new(&[H100, &links, &loads]);
        Function::load(&context(&fake, None), &kernel, &ptx, None)
            .err()
            .unwrap()
    };
    assert!(
        failing(221)
            .to_string()
            .contains("libnvidia-ptxjitcompiler is not installed")
    );
    assert!(failing(223).to_string().contains("CUDA_DISABLE_PTX_JIT"));
    assert!(matches!(failing(222), CudaError::DriverTooOld { .. }));
}

#[test]
fn a_kernel_for_another_gpu_is_refused_before_the_driver_sees_it() {
    let fake = Fake::new(&["device Tesla T4|7.5|16000000000"]);
    let error = Function::load(&context(&fake, None), &copy_kernel(64), "", None)
        .err()
        .unwrap();
    assert!(error.to_string().contains("generated for sm_80"), "{error}");
    assert_eq!(fake.count("cuLinkCreate_v2"), 0);
}
