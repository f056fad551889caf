//! Buffers: limits, exhaustion, reuse, and that all of it goes back.

use onelook_cuda::driver::{CudaError, DeviceBuffer, PinnedBuffer};

use super::context;
use super::fake::{Fake, H100};

#[test]
fn bytes_go_to_the_gpu_and_come_back_and_never_past_the_end() {
    let fake = Fake::new(&[H100]);
    {
        let context = context(&fake, None);
        let mut buffer = DeviceBuffer::new(&context, 100, "a test").unwrap();
        buffer.fill(7).unwrap();
        buffer.write(10, &[1, 2, 3]).unwrap();
        let mut back = [0; 5];
        buffer.read(9, &mut back).unwrap();
        assert_eq!(back, [7, 1, 2, 3, 7]);
        assert!(matches!(
            buffer.write(98, &[0; 3]),
            Err(CudaError::Plan { .. })
        ));
        assert!(matches!(
            buffer.read(usize::MAX, &mut back),
            Err(CudaError::Plan { .. })
        ));
        let mut pinned = PinnedBuffer::new(&context, 16).unwrap();
        pinned.as_mut_slice()[15] = 1;
        assert_eq!(pinned.as_slice()[14..], [0, 1]);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn a_limit_is_kept_and_the_error_has_the_figures() {
    let fake = Fake::new(&[H100]);
    let context = context(&fake, Some(1 << 20));
    let first = DeviceBuffer::new(&context, 700 << 10, "values").unwrap();
    let error = DeviceBuffer::new(&context, 500 << 10, "values")
        .err()
        .unwrap();
    let CudaError::OutOfMemory(figures) = &error else {
        panic!("{error}");
    };
    assert_eq!(figures.wanted, 500 << 10);
    assert_eq!(figures.used, 700 << 10);
    assert_eq!(figures.limit, Some(1 << 20));
    assert_eq!(
        fake.count("cuMemAlloc_v2"),
        1,
        "the driver is not asked beyond the limit"
    );
    drop(first);
    assert!(
        DeviceBuffer::new(&context, 500 << 10, "values").is_ok(),
        "kept memory gives way"
    );
}

#[test]
fn a_full_gpu_is_an_error_with_the_figures() {
    let fake = Fake::new(&["device Tesla T4|7.5|1048576"]);
    let context = context(&fake, None);
    let _first = DeviceBuffer::new(&context, 1 << 19, "values").unwrap();
    let error = DeviceBuffer::new(&context, 1 << 20, "the weights")
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "cuda:0 (Tesla T4) has not enough memory for the weights: 1.0 MiB wanted, 524288 bytes in \
         use by onelook, 524288 bytes of 1.0 MiB free: end other programs on it, or use a smaller \
         batch, image size or model"
    );
    assert!(DeviceBuffer::new(&context, usize::MAX, "nonsense").is_err());
}

#[test]
fn memory_that_was_given_back_is_used_again_without_the_driver() {
    let fake = Fake::new(&[H100]);
    {
        let context = context(&fake, None);
        for _ in 0..10 {
            DeviceBuffer::new(&context, 5000, "values").unwrap();
        }
        assert_eq!(fake.count("cuMemAlloc_v2"), 1);
        assert_eq!(context.memory_taken(), 5120);
        context.trim();
        assert_eq!(context.memory_taken(), 0);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}
