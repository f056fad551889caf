//! Rows as Apache Parquet, and several such files as one.
//!
//! A row is an image, its objects are a list in it, as tables of pandas, DuckDB and Spark read it. Definition
//! and repetition levels as the format's documents on nested encoding define them:
//! <https://parquet.apache.org/docs/file-format/nestedencoding/>.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use onelook::record::ObjectRecord;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

use super::row::{ImageRow, RowMetadata};

const SCHEMA: &str = "
message predictions {
    required int64 index;
    required binary source (STRING);
    optional int32 width;
    optional int32 height;
    optional binary error (STRING);
    required group detections (LIST) {
        repeated group list {
            required group element {
                required int32 class;
                required binary name (STRING);
                required float confidence;
                required float x1;
                required float y1;
                required float x2;
                required float y2;
                optional binary segments (STRING);
                optional binary keypoints (STRING);
            }
        }
    }
}";

/// These rows as a whole file.
pub fn encode(rows: &[ImageRow], metadata: &RowMetadata) -> Result<Vec<u8>, ParquetError> {
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema(), properties(Some(metadata)))?;
    let mut group = writer.next_row_group()?;
    let images = Images(rows);
    images.required::<Int64Type>(&mut group, |row| row.index as i64)?;
    images.required::<ByteArrayType>(&mut group, |row| text(&row.source))?;
    images.optional::<Int32Type>(&mut group, |row| row.width.map(|it| it as i32))?;
    images.optional::<Int32Type>(&mut group, |row| row.height.map(|it| it as i32))?;
    images.optional::<ByteArrayType>(&mut group, |row| row.error.as_deref().map(text))?;
    images.each::<Int32Type>(&mut group, |object| Some(object.class as i32))?;
    images.each::<ByteArrayType>(&mut group, |object| Some(text(&object.name)))?;
    images.each::<FloatType>(&mut group, |object| Some(object.confidence))?;
    images.each::<FloatType>(&mut group, |object| Some(object.bbox.x1))?;
    images.each::<FloatType>(&mut group, |object| Some(object.bbox.y1))?;
    images.each::<FloatType>(&mut group, |object| Some(object.bbox.x2))?;
    images.each::<FloatType>(&mut group, |object| Some(object.bbox.y2))?;
    images.each_or_none(&mut group, |object| object.segments.as_ref().map(json))?;
    images.each_or_none(&mut group, |object| object.keypoints.as_ref().map(json))?;
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

/// Writes the row groups of these files, as they are, into one file.
pub fn concatenate(files: &[PathBuf], output: impl Write + Send) -> Result<(), ParquetError> {
    let mut writer: Option<SerializedFileWriter<_>> = None;
    let mut output = Some(output);
    for path in files {
        let file = File::open(path)?;
        let reader = SerializedFileReader::new(file.try_clone()?)?;
        let metadata = reader.metadata();
        let kept = metadata.file_metadata().key_value_metadata();
        let writer = match (&mut writer, output.take()) {
            (Some(writer), _) => writer,
            (none, Some(output)) => {
                let mut properties = WriterProperties::builder();
                properties = properties.set_key_value_metadata(kept.cloned());
                let properties = Arc::new(properties.build());
                none.insert(SerializedFileWriter::new(output, schema(), properties)?)
            }
            (None, None) => unreachable!("the first file makes the writer"),
        };
        for rows in metadata.row_groups() {
            let mut group = writer.next_row_group()?;
            for column in rows.columns() {
                let column = ColumnCloseResult {
                    bytes_written: column.compressed_size() as u64,
                    rows_written: rows.num_rows() as u64,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                group.append_column(&file, column)?;
            }
            group.close()?;
        }
    }
    match writer {
        Some(writer) => writer.close().map(|_| ()),
        None => Ok(()),
    }
}

fn schema() -> Arc<Type> {
    Arc::new(parse_message_type(SCHEMA).expect("the schema is fixed and valid"))
}

fn properties(metadata: Option<&RowMetadata>) -> Arc<WriterProperties> {
    let entries = metadata.map(|metadata| {
        let entries = metadata.0.iter();
        let entry = |(key, value): &(&str, String)| KeyValue::new((*key).to_owned(), value.clone());
        entries.map(entry).collect::<Vec<_>>()
    });
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    Arc::new(properties.set_key_value_metadata(entries).build())
}

fn text(text: &str) -> ByteArray {
    text.as_bytes().to_vec().into()
}

fn json(value: &impl serde::Serialize) -> ByteArray {
    let text = serde_json::to_string(value);
    self::text(&text.expect("lists of numbers are JSON"))
}

type Group<'a, W> = SerializedRowGroupWriter<'a, W>;

/// Rows by their columns. Columns are written in the schema's order.
struct Images<'a>(&'a [ImageRow]);

impl Images<'_> {
    fn required<T: DataType>(
        &self,
        group: &mut Group<'_, impl Write + Send>,
        value: impl Fn(&ImageRow) -> T::T,
    ) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.0.iter().map(value).collect();
        write::<T>(group, &values, None, None)
    }

    fn optional<T: DataType>(
        &self,
        group: &mut Group<'_, impl Write + Send>,
        value: impl Fn(&ImageRow) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let cells: Vec<Option<T::T>> = self.0.iter().map(value).collect();
        let levels: Vec<i16> = cells.iter().map(|it| i16::from(it.is_some())).collect();
        let values: Vec<T::T> = cells.into_iter().flatten().collect();
        write::<T>(group, &values, Some(&levels), None)
    }

    /// A required column of objects.
    fn each<T: DataType>(
        &self,
        group: &mut Group<'_, impl Write + Send>,
        value: impl Fn(&ObjectRecord) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        self.objects::<T>(group, value, 1)
    }

    /// An optional column of objects.
    fn each_or_none(
        &self,
        group: &mut Group<'_, impl Write + Send>,
        value: impl Fn(&ObjectRecord) -> Option<ByteArray>,
    ) -> Result<(), ParquetError> {
        self.objects::<ByteArrayType>(group, value, 2)
    }

    /// Definition level 0 is an image without objects, `defined` an object with this value, one less an object
    /// without it. Repetition level 1 is another object of the same image.
    fn objects<T: DataType>(
        &self,
        group: &mut Group<'_, impl Write + Send>,
        value: impl Fn(&ObjectRecord) -> Option<T::T>,
        defined: i16,
    ) -> Result<(), ParquetError> {
        let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.0 {
            if row.detections.is_empty() {
                definitions.push(0);
                repetitions.push(0);
            }
            for (at, object) in row.detections.iter().enumerate() {
                let value = value(object);
                definitions.push(defined - i16::from(value.is_none()));
                repetitions.push(i16::from(at > 0));
                values.extend(value);
            }
        }
        write::<T>(group, &values, Some(&definitions), Some(&repetitions))
    }
}

fn write<T: DataType>(
    group: &mut Group<'_, impl Write + Send>,
    values: &[T::T],
    definitions: Option<&[i16]>,
    repetitions: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.expect("the schema has this column");
    let typed = column.typed::<T>();
    typed.write_batch(values, definitions, repetitions)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use onelook::record::{BoxRecord, KeypointsRecord};
    use parquet::file::reader::ChunkReader;
    use serde_json::json;

    use super::*;

    fn rows(first: u64, objects: &[usize]) -> Vec<ImageRow> {
        let object = |class| ObjectRecord {
            name: format!("class {class}"),
            class,
            confidence: 0.5,
            bbox: BoxRecord {
                x1: 1.5,
                y1: 2.0,
                x2: 3.0,
                y2: 4.0,
            },
            track_id: None,
            segments: None,
            keypoints: (class == 1).then(|| KeypointsRecord {
                x: vec![1.0],
                y: vec![2.0],
                visible: vec![],
            }),
        };
        let row = |(at, &count): (usize, &usize)| ImageRow {
            index: first + at as u64,
            source: format!("{at}.jpg"),
            width: (count > 0).then_some(640),
            height: (count > 0).then_some(480),
            error: (count == 0).then(|| "missing".to_owned()),
            detections: (0..count).map(object).collect(),
        };
        objects.iter().enumerate().map(row).collect()
    }

    fn read(bytes: impl ChunkReader + 'static) -> Vec<serde_json::Value> {
        let reader = SerializedFileReader::new(bytes).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().to_json_value()).collect()
    }

    #[test]
    fn rows_come_back_and_files_are_put_together() {
        let folder = std::env::temp_dir().join(format!("onelook-parquet-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let metadata = RowMetadata(vec![("onelook.model", "m".to_owned())]);
        let parts = [rows(0, &[2, 0, 1]), rows(3, &[0, 0]), rows(5, &[3])];
        let paths: Vec<PathBuf> = (0..3).map(|it| folder.join(format!("{it}"))).collect();
        for (part, path) in parts.iter().zip(&paths) {
            std::fs::write(path, encode(part, &metadata).unwrap()).unwrap();
        }
        let one = folder.join("one.parquet");
        concatenate(&paths, File::create(&one).unwrap()).unwrap();
        let read = read(File::open(&one).unwrap());
        assert_eq!(read.len(), 6);
        for (row, written) in read.iter().zip(parts.iter().flatten()) {
            assert_eq!(row["index"], written.index);
            assert_eq!(row["source"], *written.source);
            assert_eq!(row["width"], json!(written.width));
            assert_eq!(row["error"], json!(written.error));
            let objects = row["detections"].as_array().unwrap();
            assert_eq!(objects.len(), written.detections.len());
            for (object, written) in objects.iter().zip(&written.detections) {
                assert_eq!(object["name"], *written.name);
                assert_eq!(object["x1"], 1.5);
                assert_eq!(object["segments"], json!(null));
                assert_eq!(object["keypoints"].is_null(), written.keypoints.is_none());
            }
        }
        let reader = SerializedFileReader::new(File::open(&one).unwrap()).unwrap();
        let kept = reader.metadata().file_metadata().key_value_metadata();
        assert!(kept.unwrap().iter().any(|it| it.key == "onelook.model"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
