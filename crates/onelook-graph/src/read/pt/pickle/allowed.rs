//! The classes that may stand in a checkpoint. Each becomes an inert record; none is ever loaded.

use super::Name;
use crate::read::ReadError;

/// Modules whose classes are all allowed, with those of their submodules.
const CLASSES_OF: &[&str] = &[
    "torch.nn.modules",
    "torch.optim",
    "ultralytics.nn.modules",
    "ultralytics.nn.tasks",
    "ultralytics.utils.loss",
    "ultralytics.utils.tal",
    "ultralytics.yolo.utils.loss",
    "ultralytics.yolo.utils.tal",
];

/// Other names, by module.
const NAMES: &[(&str, &[&str])] = &[
    (
        "collections",
        &["Counter", "OrderedDict", "defaultdict", "deque"],
    ),
    ("__builtin__", BUILTINS),
    ("builtins", BUILTINS),
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    ("copy_reg", &["_reconstructor"]),
    ("copyreg", &["_reconstructor"]),
    ("datetime", &["date", "datetime", "timedelta", "timezone"]),
    ("numpy", &["dtype", "ndarray"]),
    ("numpy.core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy._core.multiarray", &["_reconstruct", "scalar"]),
    (
        "numpy.dtypes",
        &["Float32DType", "Float64DType", "Int32DType", "Int64DType"],
    ),
    ("pathlib", PATHS),
    ("pathlib._local", PATHS),
    ("torch", TORCH),
    ("torch._tensor", &["_rebuild_from_type_v2"]),
    (
        "torch._utils",
        &[
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
        ],
    ),
    ("torch.nn.parameter", &["Buffer", "Parameter"]),
    ("torch.storage", &["TypedStorage", "UntypedStorage"]),
    ("types", &["SimpleNamespace"]),
    ("ultralytics.utils", &["IterableSimpleNamespace"]),
    ("ultralytics.yolo.utils", &["IterableSimpleNamespace"]),
];

const BUILTINS: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
];

const PATHS: &[&str] = &[
    "Path",
    "PosixPath",
    "PurePath",
    "PurePosixPath",
    "PureWindowsPath",
    "WindowsPath",
];

const TORCH: &[&str] = &[
    "BFloat16Storage",
    "BoolStorage",
    "ByteStorage",
    "CharStorage",
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "IntStorage",
    "LongStorage",
    "ShortStorage",
    "Size",
    "Tensor",
    "bfloat16",
    "bool",
    "device",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "long",
    "uint8",
];

/// Packages of other projects whose checkpoints people have, with what such a file is and what to do
/// instead. They are refused like all other names, in words that fit.
const FOREIGN: &[(&[&str], &str, &str)] = &[
    (
        &["models", "utils", "yolov5", "yolov7", "yolov9"],
        "a checkpoint of the YOLOv5 repository, or of one built upon it (YOLOv7, YOLOv9)",
        "onelook reads checkpoints of the ultralytics package, such as yolov8n.pt, yolo11n.pt or \
         yolo26n.pt, and models trained from them",
    ),
    (
        &["torchvision"],
        "a classifier, or another model that was saved with objects of torchvision",
        "onelook reads detection models of the ultralytics package, such as yolo11n.pt",
    ),
    (
        &[
            "detectron2",
            "effdet",
            "fastai",
            "lightning",
            "mmcv",
            "mmdet",
            "mmengine",
            "mmyolo",
            "pytorch_lightning",
            "rfdetr",
            "segmentation_models_pytorch",
            "super_gradients",
            "timm",
            "transformers",
            "yolov6",
            "yolox",
        ],
        "a checkpoint of another project",
        "onelook reads detection models of the ultralytics package, such as yolo11n.pt",
    ),
    (
        &["__main__"],
        "a checkpoint whose classes were defined in the program that saved it",
        "save it again from a program that imports the ultralytics package",
    ),
];

/// Refuses a name that is not on the list.
pub(super) fn check<'a>(module: &'a str, name: &'a str) -> Result<Name<'a>, ReadError> {
    let listed = NAMES
        .iter()
        .any(|(listed, names)| *listed == module && names.contains(&name));
    if listed || (is_class(name) && CLASSES_OF.iter().any(|parent| is_within(module, parent))) {
        return Ok(Name { module, name });
    }
    let name = Name { module, name };
    Err(foreign(name).unwrap_or_else(|| forbidden(name)))
}

/// What a checkpoint is that names a class of another project.
fn foreign(name: Name<'_>) -> Option<ReadError> {
    let package = name.module.split('.').next().unwrap_or_default();
    let is_listed = |(packages, ..): &&(&[&str], _, _)| packages.contains(&package);
    let (_, what, instead) = FOREIGN.iter().find(is_listed)?;
    let class = printable(&format!("{}.{}", name.module, name.name));
    Some(ReadError::Unsupported {
        reason: format!(
            "it is {what}: it needs '{class}', code that is not in the file; {instead}"
        ),
    })
}

pub(super) fn forbidden(name: Name<'_>) -> ReadError {
    let Name { module, name } = name;
    ReadError::Forbidden {
        name: printable(&format!("{module}.{name}")),
    }
}

/// Whether this is `getattr`, by which Python writes that an object's method was replaced by
/// another. Networks that were fused before they were saved have that on every convolution.
pub(super) fn is_getattr(name: Name<'_>) -> bool {
    name.name == "getattr" && matches!(name.module, "builtins" | "__builtin__")
}

/// The methods that `getattr` may name: those that Ultralytics exchanges.
pub(super) fn is_exchanged_method(method: &str) -> bool {
    matches!(method, "forward" | "forward_fuse" | "forward_split")
}

/// A plain identifier with a capital: neither a function nor a path to something else.
fn is_class(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && is_identifier(name)
}

fn is_identifier(word: &str) -> bool {
    let mut characters = word.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first == '_' || first.is_ascii_alphabetic());
    starts && characters.all(|next| next == '_' || next.is_ascii_alphanumeric())
}

fn is_within(module: &str, parent: &str) -> bool {
    match module.strip_prefix(parent) {
        Some("") => true,
        Some(rest) => rest.starts_with('.') && rest[1..].split('.').all(is_identifier),
        None => false,
    }
}

/// Names come from the file: control characters stay out of terminals, and long ones are cut.
fn printable(name: &str) -> String {
    name.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_off_the_list_are_refused_by_name() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("__builtin__", "getattr"),
            ("ultralytics.nn.tasks", "torch_safe_load"),
            ("ultralytics.nn.tasks", "os.system"),
            ("ultralytics.nn.tasksX", "Model"),
            ("ultralytics.nn.modules.", "Conv"),
            ("ultralytics.nn.modules..conv", "Conv"),
            ("torch.nn.modules.module", "Module.__reduce__"),
            ("", ""),
        ] {
            let error = check(module, name).unwrap_err();
            let name = format!("{module}.{name}");
            assert_eq!(error, ReadError::Forbidden { name });
        }
    }

    #[test]
    fn classes_of_models_are_records() {
        for (module, name) in [
            ("ultralytics.nn.modules", "C2f"),
            ("ultralytics.nn.modules.block", "C3k2"),
            ("torch.nn.modules.conv", "Conv2d"),
            ("torch._utils", "_rebuild_tensor_v2"),
        ] {
            assert!(check(module, name).is_ok());
        }
    }
}
