//! Raw outputs over HTTP and gRPC against the library, with real weights and every kind of head.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use axum::body::Body;
use onelook::types::Tensor;
use onelook::{LoadOptions, Model};
use serde_json::{Value, json};
use support::{config, serve};
use test_support::data;

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

#[tokio::test]
async fn output0_of_every_form_of_model_is_the_librarys_to_the_bit() {
    let Some(data) = data() else { return };
    let models = [
        ("pt", "weights/yolo11n-recon.pt"),
        ("two-heads", "weights/yolo26n.pt"),
        ("fixed", "onnx/yolo11n-recon.onnx"),
    ];
    let models = models.map(|(name, path)| (name, data.join(path)));
    let server = serve(config(&models)).await;
    for (name, path) in models {
        let model = Model::load(&path, &LoadOptions::default()).unwrap();
        let [height, width] = model.metadata().image_size;
        let size = match model.metadata().fixed_size {
            true => [height, width],
            false => [192, 320],
        };
        let input = Tensor::from_fn([2, 3, size[0], size[1]], |index| {
            ((index * 7919) % 256) as f32 / 255.0
        });
        let expected = model.output0(&input).unwrap();

        let shape = server.get(&format!("/v2/models/{name}")).await.json();
        let shape: Vec<i64> = serde_json::from_value(shape["outputs"][0]["shape"].clone()).unwrap();
        assert_eq!(shape.len(), expected.shape().len(), "{name}");
        let fits = |(said, real): (&i64, &usize)| *said == -1 || *said == *real as i64;
        assert!(
            shape.iter().zip(&expected.shape()[..]).all(fits),
            "{name}: {shape:?}"
        );

        let values = bytes(input.data());
        let tensor = json!({"name": "images", "datatype": "FP32", "shape": input.shape()[..],
            "parameters": {"binary_data_size": values.len()}});
        let head = json!({"inputs": [tensor], "parameters": {"binary_data_output": true}});
        let mut body = head.to_string().into_bytes();
        let length = body.len();
        body.extend(values);
        let path = format!("/v2/models/{name}/infer");
        let mut request = server.request("POST", &path, Body::from(body));
        let length = length.into();
        request
            .headers_mut()
            .insert("inference-header-content-length", length);
        let answer = server.send(request).await;
        assert!(answer.status.is_success(), "{name}: {:?}", answer.json());
        let length: usize = answer
            .header("inference-header-content-length")
            .parse()
            .unwrap();
        let head: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
        assert_eq!(
            head["outputs"][0]["shape"],
            json!(expected.shape()[..]),
            "{name}"
        );
        assert!(
            answer.body[length..] == bytes(expected.data()),
            "{name} differs"
        );
    }
}
