//! The body of an inference request over HTTP: JSON whose length the first two bytes tell, tensors
//! behind it. What is accepted accounts for every byte.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use onelook_fuzz::peak_bytes;
use onelook_server::open_inference::protocol::TensorData;
use onelook_server::parse_inference_request;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, body)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length));
    let body = Bytes::copy_from_slice(body);
    let peak = peak_bytes(|| drop(parse_inference_request(&body, None)));
    assert!(
        peak <= 4 * body.len() + (1 << 16),
        "{peak} for {}",
        body.len()
    );
    let Ok(asked) = parse_inference_request(&body, Some(length)) else {
        return;
    };
    let tensors = asked
        .request
        .inputs
        .iter()
        .map(|input| match &input.values {
            TensorData::Bytes(values) => values.len(),
            TensorData::Numbers(_) => 0,
        });
    if asked.request.unsupported.is_none() {
        assert_eq!(length + tensors.sum::<usize>(), body.len());
    }
});
