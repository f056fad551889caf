//! ONNX models, as Ultralytics exports them: bytes in, graph and metadata out.
//!
//! Operators that we lack are listed all at once. Shapes are inferred while reading, because some
//! operators only make sense with them; a symbolic batch counts as 1 and symbolic sides as the
//! training size. Then `dynamic` and `batch` make the graph hold for other sizes and batches.

mod batch;
mod call;
mod constant;
mod dynamic;
mod importer;
mod literal;
mod metadata;
mod node;
mod operators;
mod order;
mod proto;
mod tail;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashSet;

use onelook_types::Shape;
use prost::Message;

use self::constant::ConstantReader;
use self::importer::{Constants, Importer};
use self::metadata::{Image, Properties};
use super::{Limits, ModelFile, ReadError, ReadOptions};

/// Operator sets whose meaning we know.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<ModelFile, ReadError> {
    let limits = &options.limits;
    wire::check_field_count(bytes, limits)?;
    let model = proto::Model::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let opset = opset(&model)?;
    let proto::Model {
        graph,
        metadata_props,
        ..
    } = model;
    let mut file = graph.ok_or_else(|| damaged("it holds no graph".to_owned()))?;
    check_counts(&file, limits)?;
    let properties = Properties::new(&metadata_props, limits)?;
    properties.check_task()?;
    let (name, mut image, shape) = image_input(&file, &properties)?;
    order::sort(&mut file.node);
    let constants = constants(&mut file, limits)?;
    let [output] = &file.output[..] else {
        let reason = format!(
            "it has {} outputs; a detection model has one",
            file.output.len()
        );
        return Err(ReadError::Unsupported { reason });
    };
    let import = |shape: &Shape| {
        let mut importer = Importer::new(limits, opset, image.is_dynamic());
        importer.begin(&constants, &name, shape.clone())?;
        file.node
            .iter()
            .try_for_each(|node| node::import(&mut importer, node))?;
        importer.finish(output, shape[0])
    };
    let (mut graph, head) = import(&shape)?;
    if image.is_dynamic() {
        let other = image.another_size(&shape, properties.stride()?);
        let holds = match (other != shape).then(|| import(&other)) {
            None => true,
            Some(Ok((twin, _))) => dynamic::reconcile(&mut graph, &twin, [&shape, &other])?,
            Some(Err(_)) => false,
        };
        if holds {
            dynamic::settle(&mut graph, [&shape, &other])?;
        } else {
            let [height, width] = image.size.map(|side| side as i64);
            batch::admit_only(&mut graph, "fixed_size", [0, 3, height, width]);
            image.sides = image.size.map(Some);
        }
    }
    batch::free(&mut graph, &shape, image.sides.iter().all(Option::is_some))?;
    let metadata = properties.metadata(image, &head)?;
    Ok(ModelFile { graph, metadata })
}

/// The constants of the file by name; each message is dropped as soon as it is converted.
fn constants(file: &mut proto::Graph, limits: &Limits) -> Result<Constants, ReadError> {
    let mut reader = ConstantReader::new(limits);
    let mut constants = Constants::new();
    for tensor in std::mem::take(&mut file.initializer) {
        let data = reader.read(&tensor)?;
        if constants.insert(tensor.name.clone(), data).is_some() {
            return Err(damaged(format!("'{}' is written twice", tensor.name)));
        }
    }
    Ok(constants)
}

fn opset(model: &proto::Model) -> Result<i64, ReadError> {
    if model.ir_version <= 0 && model.opset_import.is_empty() {
        return Err(damaged(
            "it names neither version nor operator set".to_owned(),
        ));
    }
    let opset = model
        .opset_import
        .iter()
        .find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"))
        .map_or(1, |set| set.version);
    match OPSETS.contains(&opset) {
        true => Ok(opset),
        false => Err(ReadError::Unsupported {
            reason: format!(
                "its ONNX operator set is {opset}; export with opset 12 to {}",
                OPSETS.end()
            ),
        }),
    }
}

fn check_counts(file: &proto::Graph, limits: &Limits) -> Result<(), ReadError> {
    for (what, count) in [
        ("the number of nodes", file.node.len()),
        ("the number of constants", file.initializer.len()),
    ] {
        if count > limits.nodes {
            return Err(ReadError::Limit {
                what: what.to_owned(),
                actual: count as u64,
                limit: limits.nodes as u64,
            });
        }
    }
    Ok(())
}

/// Name and shape of the only input that is no constant.
fn image_input(
    file: &proto::Graph,
    properties: &Properties,
) -> Result<(String, Image, Shape), ReadError> {
    let constants: HashSet<&str> = file
        .initializer
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let inputs: Vec<&proto::ValueInfo> = file
        .input
        .iter()
        .filter(|input| !constants.contains(input.name.as_str()))
        .collect();
    let [input] = inputs[..] else {
        let reason = format!("it has {} inputs; a detection model has one", inputs.len());
        return Err(ReadError::Unsupported { reason });
    };
    let tensor = input
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref());
    let dimensions: Vec<Option<usize>> = tensor
        .and_then(|tensor| tensor.shape.as_ref())
        .map(|shape| shape.dim.iter().map(extent).collect())
        .unwrap_or_default();
    let is_float = tensor.is_some_and(|tensor| matches!(tensor.elem_type, 1 | 10));
    let [batch, Some(3), height, width] = dimensions[..] else {
        return Err(wrong_input(&input.name));
    };
    let largest = [batch, height, width].into_iter().flatten().max();
    if !is_float || largest.is_some_and(|extent| extent > 1 << 16) {
        return Err(wrong_input(&input.name));
    }
    let trained = properties.image_size()?.unwrap_or([640, 640]);
    let size = [height.unwrap_or(trained[0]), width.unwrap_or(trained[1])];
    let image = Image {
        batch,
        sides: [height, width],
        size,
    };
    let shape = Shape::from([batch.unwrap_or(1), 3, size[0], size[1]]);
    Ok((input.name.clone(), image, shape))
}

fn extent(dimension: &proto::Dimension) -> Option<usize> {
    let value = dimension.dim_value?;
    usize::try_from(value).ok().filter(|&extent| extent > 0)
}

fn wrong_input(name: &str) -> ReadError {
    ReadError::Unsupported {
        reason: format!("its input '{name}' is no batch x 3 x height x width tensor of floats"),
    }
}

fn damaged(reason: String) -> ReadError {
    ReadError::Damaged {
        format: "onnx",
        reason,
    }
}
