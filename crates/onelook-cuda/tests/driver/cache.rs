//! Machine code between runs: kept, found, rebuilt when damaged, shared by processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use onelook_cuda::driver::{Context, CubinCache, Driver, Function};
use onelook_cuda::engine::{Cuda, CudaOptions};

use super::fake::{Fake, H100};
use super::{context, copy_kernel};

const FOLDER: &str = "ONELOOK_TEST_SHARED_CACHE";
const LIBRARY: &str = "ONELOOK_TEST_FAKE_DRIVER";
const KERNELS: u32 = 20;

fn load(fake: &Fake, cache: &CubinCache) {
    let kernel = copy_kernel(64);
    let ptx = onelook_ptx::emit(&kernel).unwrap();
    Function::load(&context(fake, None), &kernel, &ptx, Some(cache)).unwrap();
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_kernel_is_compiled_once_for_a_gpu_and_a_driver() {
    let [one, other_gpu, other_driver] = [
        &[H100][..],
        &["device NVIDIA H200|9.0|150000000000"],
        &["version 13000", H100],
    ]
    .map(Fake::new);
    let cache = CubinCache::new(one.folder().join("cubins"));
    load(&one, &cache);
    load(&one, &cache);
    assert_eq!(one.count("cuLinkCreate_v2"), 1);
    load(&other_gpu, &cache);
    load(&other_driver, &cache);
    assert_eq!(other_gpu.count("cuLinkCreate_v2"), 1);
    assert_eq!(other_driver.count("cuLinkCreate_v2"), 1);
    assert_eq!(entries(&one.folder().join("cubins")).len(), 3);
    assert_eq!(cache.problem(), None);
}

#[test]
fn a_damaged_entry_is_rebuilt() {
    let fake = Fake::new(&[H100]);
    let folder = fake.folder().join("cubins");
    let cache = CubinCache::new(&folder);
    load(&fake, &cache);
    let entry = entries(&folder).remove(0);
    let whole = fs::read(&entry).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (number, damaged) in [&whole[..40], &flipped, b"", &[0; 200]].iter().enumerate() {
        fs::write(&entry, damaged).unwrap();
        load(&fake, &cache);
        assert_eq!(fake.count("cuLinkCreate_v2"), number + 2);
        assert_eq!(fs::read(&entry).unwrap(), whole);
    }
}

#[test]
fn an_entry_that_the_driver_refuses_is_rebuilt() {
    let fake = Fake::new(&[H100, "fail cuModuleLoadDataEx 2 200"]);
    let cache = CubinCache::new(fake.folder().join("cubins"));
    load(&fake, &cache);
    load(&fake, &cache);
    assert_eq!(fake.count("cuLinkCreate_v2"), 2);
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let fake = Fake::new(&[H100]);
    let file = fake.folder().join("file");
    fs::write(&file, "no folder").unwrap();
    let cache = CubinCache::new(file.join("cubins"));
    load(&fake, &cache);
    assert!(cache.problem().is_some());
}

#[test]
fn a_cache_that_cannot_be_written_is_known_before_anything_is_compiled() {
    let fake = Fake::new(&[H100]);
    let file = fake.folder().join("file");
    fs::write(&file, "no folder").unwrap();
    let driver = Driver::open_file(&fake.path()).unwrap();
    let problem = |folder: PathBuf| {
        let options = CudaOptions {
            cache: Some(folder),
            ..CudaOptions::default()
        };
        let cuda = Cuda::open(&driver, 0, &options).unwrap();
        cuda.cache_problem().map(str::to_owned)
    };
    let words = problem(file.join("cubins")).unwrap();
    assert!(
        words.contains("cannot be kept in") && words.contains("each start"),
        "{words}"
    );
    let folder = fake.folder().join("cubins");
    assert_eq!(problem(folder.clone()), None);
    assert_eq!(
        entries(&folder),
        [""; 0].map(PathBuf::from),
        "nothing is left"
    );
}

#[test]
fn processes_share_a_cache_at_the_same_time() {
    let fake = Fake::new(&[H100]);
    let folder = fake.folder().join("cubins");
    let child = || {
        let words = [
            "--exact",
            "cache::a_process_with_the_shared_cache",
            "--ignored",
        ];
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(words)
            .env(FOLDER, &folder)
            .env(LIBRARY, fake.path());
        command.spawn().unwrap()
    };
    let children = [child(), child(), child()];
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let names = entries(&folder);
    assert_eq!(names.len(), KERNELS as usize, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.extension().is_some_and(|kind| kind == "cubin"))
    );
    let links = fake.count("cuLinkCreate_v2");
    assert!(links >= KERNELS as usize);
    let kernel = copy_kernel(32);
    let ptx = onelook_ptx::emit(&kernel).unwrap();
    let cache = CubinCache::new(&folder);
    Function::load(&context(&fake, None), &kernel, &ptx, Some(&cache)).unwrap();
    assert_eq!(
        fake.count("cuLinkCreate_v2"),
        links,
        "all entries are whole"
    );
}

#[test]
#[ignore = "another test runs it, in processes of their own"]
fn a_process_with_the_shared_cache() {
    let (Some(folder), Some(library)) = (env::var_os(FOLDER), env::var_os(LIBRARY)) else {
        eprintln!("SKIPPED: only processes_share_a_cache_at_the_same_time runs this");
        return;
    };
    let driver = Driver::open_file(Path::new(&library)).unwrap();
    let context = Context::open(&driver, 0, None).unwrap();
    let cache = CubinCache::new(folder);
    for number in 1..=KERNELS {
        let kernel = copy_kernel(32 * number);
        let ptx = onelook_ptx::emit(&kernel).unwrap();
        Function::load(&context, &kernel, &ptx, Some(&cache)).unwrap();
    }
    assert_eq!(cache.problem(), None);
}
