//! The files that documents come from: CSV, JSON, and zips of exports.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use zip::ZipArchive;

/// Documents of a batch, and bytes of them.
const BATCH_DOCUMENTS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// The forms of a file.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Format {
    /// A line of names, then a document a line.
    Csv,
    /// A document a line.
    JsonLines,
    /// One array.
    JsonArray,
    /// An export.
    Zip,
}

/// What is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// The table of the documents that follow, and the number that it had where it comes from.
    Table { name: String, number: Option<u32> },
    /// Some of its documents, JSON each.
    Documents(Vec<String>),
}

/// Takes what is read; false: no more of it.
type Take<'a> = &'a mut dyn FnMut(Batch) -> bool;

/// Reads a file to its end.
pub(super) fn read(
    mut file: impl Read + Seek,
    format: Format,
    table: Option<&str>,
    take: Take<'_>,
) -> Result<(), String> {
    file.rewind().map_err(|error| error.to_string())?;
    if format == Format::Zip {
        return read_zip(file, take);
    }
    let name = table.unwrap_or_default().to_owned();
    if !take(Batch::Table { name, number: None }) {
        return Ok(());
    }
    let reader = BufReader::new(file);
    match format {
        Format::Csv => read_csv(reader, take),
        Format::JsonArray => read_array(reader, take),
        Format::JsonLines | Format::Zip => read_lines(reader, take),
    }
}

/// Documents on their way.
#[derive(Default)]
struct Collected {
    documents: Vec<String>,
    bytes: usize,
}

impl Collected {
    fn add(&mut self, document: String, take: Take<'_>) -> bool {
        self.bytes += document.len();
        self.documents.push(document);
        if self.documents.len() < BATCH_DOCUMENTS && self.bytes < BATCH_BYTES {
            return true;
        }
        self.pass_on(take)
    }

    fn pass_on(&mut self, take: Take<'_>) -> bool {
        let full = std::mem::take(self);
        full.documents.is_empty() || take(Batch::Documents(full.documents))
    }
}

fn read_lines(reader: impl BufRead, take: Take<'_>) -> Result<(), String> {
    let mut collected = Collected::default();
    for (line, number) in reader.lines().zip(1..) {
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() && !collected.add(line.to_owned(), take) {
            return Ok(());
        }
    }
    collected.pass_on(take);
    Ok(())
}

fn read_array(reader: impl Read, take: Take<'_>) -> Result<(), String> {
    let documents: Vec<Box<RawValue>> = serde_json::from_reader(reader)
        .map_err(|error| format!("the file is not a JSON array: {error}"))?;
    let mut collected = Collected::default();
    for document in documents {
        if !collected.add(document.get().to_owned(), take) {
            return Ok(());
        }
    }
    collected.pass_on(take);
    Ok(())
}

fn read_csv(reader: impl Read, take: Take<'_>) -> Result<(), String> {
    let mut csv = csv::Reader::from_reader(reader);
    let names = csv.headers().map_err(|error| error.to_string())?.clone();
    let mut collected = Collected::default();
    for record in csv.records() {
        let record = record.map_err(|error| error.to_string())?;
        let fields = names.iter().zip(&record);
        let document: Map<String, Json> = fields
            .map(|(name, text)| (name.to_owned(), csv_value(text)))
            .collect();
        if !collected.add(Json::Object(document).to_string(), take) {
            return Ok(());
        }
    }
    collected.pass_on(take);
    Ok(())
}

/// What looks like a number is one; all else is a string.
fn csv_value(text: &str) -> Json {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number
        .and_then(serde_json::Number::from_f64)
        .map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

fn read_zip(file: impl Read + Seek, take: Take<'_>) -> Result<(), String> {
    let broken = |error: zip::result::ZipError| format!("the zip cannot be read: {error}");
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let names = zip.file_names().map(|name| name.map(Cow::into_owned));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(broken)?;
    let mut numbers = Vec::new();
    for name in &names {
        if table_of(name) == Some("_tables") {
            let file = BufReader::new(zip.by_name(name).map_err(broken)?);
            numbers = table_numbers(file)?;
        }
    }
    for name in &names {
        let Some(table) = table_of(name) else {
            continue;
        };
        if table == "_storage" {
            let mut text = String::new();
            let mut file = zip.by_name(name).map_err(broken)?;
            file.read_to_string(&mut text)
                .map_err(|error| error.to_string())?;
            if !text.trim().is_empty() {
                return Err(
                    "The export has files, and file storage is not available in pg_live yet \
                            (see LIMITATIONS.md): make it without --include-file-storage"
                        .to_owned(),
                );
            }
        }
        if table.starts_with('_') {
            continue;
        }
        let number = numbers.iter().find(|(known, _)| known == table);
        let batch = Batch::Table {
            name: table.to_owned(),
            number: number.map(|(_, number)| *number),
        };
        if !take(batch) {
            return Ok(());
        }
        let file = zip.by_name(name).map_err(broken)?;
        read_lines(BufReader::new(file), take)?;
    }
    if names.iter().any(|name| name.contains("_components/")) {
        return Err(
            "The export has documents of components, which are not available in pg_live yet \
                    (see LIMITATIONS.md)"
                .to_owned(),
        );
    }
    Ok(())
}

/// The table whose documents are in a file of an export.
fn table_of(name: &str) -> Option<&str> {
    let folder = name.strip_suffix("/documents.jsonl")?;
    let (above, table) = folder.rsplit_once('/').unwrap_or(("", folder));
    (!above.contains("_components")).then_some(table)
}

fn table_numbers(reader: impl BufRead) -> Result<Vec<(String, u32)>, String> {
    #[derive(Deserialize)]
    struct Line {
        name: String,
        id: f64,
    }
    let mut numbers = Vec::new();
    for line in reader.lines() {
        let line = line.map_err(|error| error.to_string())?;
        // What is not of this form says nothing of numbers.
        if let Ok(Line { name, id }) = serde_json::from_str(&line) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates; a number that is none finds no documents"
            )]
            numbers.push((name, id as u32));
        }
    }
    Ok(numbers)
}

/// Any bytes in every form.
pub(super) fn parse_anything(bytes: &[u8]) {
    for (format, table) in [
        (Format::Csv, Some("t")),
        (Format::JsonLines, Some("t")),
        (Format::JsonArray, Some("t")),
        (Format::Zip, None),
    ] {
        let _ = read(Cursor::new(bytes), format, table, &mut |_| true);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn all(text: &[u8], format: Format) -> Result<Vec<Batch>, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut batches = Vec::new();
        let table = (format != Format::Zip).then_some("t");
        read(file, format, table, &mut |batch| {
            batches.push(batch);
            true
        })?;
        Ok(batches)
    }

    fn documents(text: &str, format: Format) -> Vec<String> {
        let batches = all(text.as_bytes(), format).unwrap();
        let documents = batches.into_iter().filter_map(|batch| match batch {
            Batch::Documents(documents) => Some(documents),
            Batch::Table { .. } => None,
        });
        documents.flatten().collect()
    }

    #[test]
    fn each_form_gives_documents() {
        assert_eq!(
            documents("a,b\n1,x\n-2.5,\"1,2\"\n", Format::Csv),
            [r#"{"a":1.0,"b":"x"}"#, r#"{"a":-2.5,"b":"1,2"}"#]
        );
        assert_eq!(
            documents("\u{feff}{\"a\": 1}\n\n {\"a\": 2}", Format::JsonLines),
            [r#"{"a": 1}"#, r#"{"a": 2}"#]
        );
        assert_eq!(
            documents("[{\"a\":1},{}]", Format::JsonArray),
            [r#"{"a":1}"#, "{}"]
        );
        assert!(all(b"{}", Format::JsonArray).is_err());
        assert!(all(b"PK", Format::Zip).is_err());
    }

    #[test]
    fn many_documents_come_in_batches() {
        let batches = all("{}\n".repeat(1_200).as_bytes(), Format::JsonLines).unwrap();
        assert_eq!(batches.len(), 4);
    }

    #[test]
    fn tables_of_an_export() {
        assert_eq!(table_of("notes/documents.jsonl"), Some("notes"));
        assert_eq!(table_of("snapshot/notes/documents.jsonl"), Some("notes"));
        assert_eq!(table_of("_components/a/notes/documents.jsonl"), None);
        assert_eq!(table_of("notes/generated_schema.jsonl"), None);
        let numbers = table_numbers(&b"{\"name\":\"notes\",\"id\":10003}\n"[..]).unwrap();
        assert_eq!(numbers, [("notes".to_owned(), 10_003)]);
    }
}
