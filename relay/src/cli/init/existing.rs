//! A project over tables that exist: a table of documents for each, kept up to date by a trigger.
//!
//! Functions see tables of documents only. So each table gets one beside it, written in the transactions that write
//! the table itself.

use std::fmt::Write as _;

use super::File;
use crate::cli::exit::Failure;
use crate::cli::tables::{Column, Table};

/// Fields of a document.
const MAX_FIELDS: usize = 250;

/// The files of a project over the tables named.
pub(super) fn files(name: &str, all: &[Table], wanted: &[String]) -> Result<Vec<File>, Failure> {
    let tables = choose(all, wanted)?;
    let mut schema = String::new();
    let mut sql = SQL_HEAD.to_owned();
    let mut files = Vec::new();
    for table in &tables {
        let mirror = Mirror::of(table)?;
        schema.push_str(&mirror.schema());
        sql.push_str(&mirror.sql());
        files.push(file(
            &format!("convex/{}.ts", mirror.module),
            mirror.functions(),
        ));
    }
    sql.push_str("COMMIT;\n");
    let module = &Mirror::of(tables[0])?.module;
    files.push(file(
        "convex/schema.ts",
        format!(
            "import {{ defineSchema, defineTable }} from \"convex/server\";\nimport {{ v }} from \"convex/values\";\n\n\
             export default defineSchema({{\n{schema}}});\n"
        ),
    ));
    files.push(file("sql/live.sql", sql));
    let fixed = [
        (
            "convex/tsconfig.json",
            include_str!("../../../../examples/chat/convex/tsconfig.json"),
        ),
        (".gitignore", "node_modules\n.env.local\n.pg-live\n"),
        ("watch.mjs", include_str!("existing_watch.mjs")),
        ("README.md", include_str!("existing.md")),
        ("package.json", include_str!("existing_package.json")),
    ];
    for (path, text) in fixed {
        files.push(file(
            path,
            text.replace("@MODULE@", module).replace("@NAME@", name),
        ));
    }
    Ok(files)
}

fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        text,
    }
}

/// The tables that were named, by name or schema and name.
fn choose<'t>(all: &'t [Table], wanted: &[String]) -> Result<Vec<&'t Table>, Failure> {
    let known = || {
        let names = all.iter().filter(|table| table.writable);
        let names: Vec<String> = names
            .map(|table| format!("{}.{}", table.schema, table.name))
            .collect();
        names.join(", ")
    };
    if wanted.is_empty() {
        return Err(Failure::new(format!(
            "--table is missing: name a table. The database has {}",
            known()
        )));
    }
    let mut chosen = Vec::new();
    for name in wanted {
        let (schema, table) = name.split_once('.').unwrap_or(("public", name));
        let found = all
            .iter()
            .find(|known| known.schema == schema && known.name == table && known.writable);
        chosen.push(found.ok_or_else(|| {
            Failure::new(format!(
                "there is no table {name} that this role may read. The database has {}",
                known()
            ))
        })?);
    }
    Ok(chosen)
}

/// A table with the documents that follow it.
struct Mirror<'t> {
    table: &'t Table,
    module: String,
    documents: String,
    fields: Vec<&'t Column>,
    left_out: Vec<&'t str>,
    key: Vec<&'t Column>,
}

impl<'t> Mirror<'t> {
    fn of(table: &'t Table) -> Result<Self, Failure> {
        let module: String = table
            .name
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '_'
                }
            })
            .collect();
        let module = module
            .trim_start_matches(|first: char| !first.is_ascii_alphabetic())
            .to_owned();
        let module = if module.is_empty() {
            "rows".to_owned()
        } else {
            module
        };
        let (fields, left_out): (Vec<&Column>, Vec<&Column>) = table
            .columns
            .iter()
            .partition(|column| is_field_name(&column.name));
        let mut left_out: Vec<&str> = left_out.iter().map(|column| column.name.as_str()).collect();
        left_out.extend(
            fields
                .iter()
                .skip(MAX_FIELDS)
                .map(|column| column.name.as_str()),
        );
        let fields: Vec<&Column> = fields.into_iter().take(MAX_FIELDS).collect();
        let mut key: Vec<&Column> = fields
            .iter()
            .copied()
            .filter(|column| column.key.is_some())
            .collect();
        key.sort_by_key(|column| column.key);
        let whole = table
            .columns
            .iter()
            .filter(|column| column.key.is_some())
            .count();
        if key.is_empty() || key.len() < whole {
            return Err(Failure::new(format!(
                "table {}.{} has no primary key of columns with plain names: a row could not be found again. Add one",
                table.schema, table.name
            )));
        }
        Ok(Self {
            documents: format!("{module}_live"),
            table,
            module,
            fields,
            left_out,
            key,
        })
    }

    fn schema(&self) -> String {
        let mut text = format!(
            "  /** Follows table {}.{}; see sql/live.sql. */\n",
            self.table.schema, self.table.name
        );
        let _ = writeln!(text, "  {}: defineTable({{", self.documents);
        for column in &self.fields {
            let _ = writeln!(text, "    {}: {},", column.name, validator(column));
        }
        let names: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        let _ = writeln!(text, "  }}).index(\"by_key\", [{}]),", names.join(", "));
        text
    }

    fn functions(&self) -> String {
        let arguments: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("{}: {}", column.name, base_validator(column)))
            .collect();
        let equal: String = self
            .key
            .iter()
            .map(|column| format!(".eq(\"{0}\", key.{0})", column.name))
            .collect();
        let documents = &self.documents;
        format!(
            "import {{ query }} from \"./_generated/server\";\nimport {{ v }} from \"convex/values\";\n\n\
             /** The rows that came last. */\n\
             export const recent = query({{\n  args: {{ limit: v.optional(v.number()) }},\n  \
             handler: (ctx, {{ limit }}) => ctx.db.query(\"{documents}\").order(\"desc\").take(Math.min(limit ?? 100, 1000)),\n}});\n\n\
             /** The row with this key, or null. */\n\
             export const get = query({{\n  args: {{ {} }},\n  \
             handler: (ctx, key) => ctx.db.query(\"{documents}\").withIndex(\"by_key\", (q) => q{equal}).unique(),\n}});\n",
            arguments.join(", ")
        )
    }

    fn sql(&self) -> String {
        let (schema, name) = (quoted(&self.table.schema), quoted(&self.table.name));
        let columns: Vec<String> = self
            .fields
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        let values = |row: &str| -> Vec<String> {
            self.fields
                .iter()
                .map(|column| value(column, row))
                .collect()
        };
        let sets: Vec<String> = columns
            .iter()
            .zip(values("new"))
            .map(|(to, from)| format!("{to} = {from}"))
            .collect();
        let same: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("d.{} = {}", quoted(&column.name), value(column, "old")))
            .collect();
        let keys: Vec<String> = self.key.iter().map(|column| quoted(&column.name)).collect();
        let mut text = String::new();
        if !self.left_out.is_empty() {
            let _ = writeln!(
                text,
                "-- Left out, a field cannot have the name: {}.",
                self.left_out.join(", ").replace('\n', " ")
            );
        }
        text.push_str(
            &include_str!("existing.sql")
                .replace("@TABLE@", &format!("{schema}.{name}"))
                .replace(
                    "@DOCUMENTS@",
                    &format!("public.{}", quoted(&self.documents)),
                )
                .replace(
                    "@FUNCTION@",
                    &format!("public.{}", quoted(&format!("{}_follow", self.documents))),
                )
                .replace("@KEY_INDEX@", &quoted(&format!("{}_key", self.documents)))
                .replace("@KEYS@", &keys.join(", "))
                .replace("@COLUMNS@", &columns.join(", "))
                .replace("@SETS@", &sets.join(", "))
                .replace("@NEW@", &values("new").join(", "))
                .replace("@ROW@", &values("r").join(", "))
                .replace("@SAME@", &same.join(" AND ")),
        );
        text
    }
}

/// What stands at the head of the script.
const SQL_HEAD: &str = "\
-- Keeps tables of documents up to date with tables of yours: run it as a superuser, after the deploy that made the
-- tables of documents, and again after each change of convex/schema.ts. Writers of the tables wait until it is done.
\\set ON_ERROR_STOP on
BEGIN;
";

fn is_field_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn validator(column: &Column) -> String {
    let base = base_validator(column);
    if column.not_null {
        base.to_owned()
    } else {
        format!("v.optional({base})")
    }
}

fn base_validator(column: &Column) -> &'static str {
    match (column.array, column.of.as_str()) {
        (false, "bool") => "v.boolean()",
        (false, "int2" | "int4" | "oid" | "float4" | "float8" | "timestamp" | "timestamptz") => {
            "v.number()"
        }
        (false, "int8") => "v.int64()",
        (false, "bytea") => "v.bytes()",
        // Exact as text, whatever it is.
        _ => "v.string()",
    }
}

/// The SQL that gives a field its value.
fn value(column: &Column, row: &str) -> String {
    let name = quoted(&column.name);
    match (column.array, column.of.as_str()) {
        (false, "bool" | "int8" | "bytea") => format!("{row}.{name}"),
        (false, "int2" | "int4" | "oid" | "float4" | "float8") => format!("{row}.{name}::float8"),
        // Milliseconds since 1970, as JavaScript counts.
        (false, "timestamp" | "timestamptz") => {
            format!("(extract(epoch FROM {row}.{name}) * 1000)::float8")
        }
        _ => format!("{row}.{name}::text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, of: &str, key: Option<i32>) -> Column {
        Column {
            name: name.into(),
            of: of.into(),
            array: false,
            labels: Vec::new(),
            not_null: key.is_some(),
            has_default: false,
            generated: false,
            key,
        }
    }

    #[test]
    fn a_table_becomes_schema_functions_and_trigger() {
        let table = Table {
            schema: "shop".into(),
            name: "orders".into(),
            writable: true,
            columns: vec![
                column("id", "int8", Some(1)),
                column("placed", "timestamptz", None),
                column("odd name", "text", None),
            ],
        };
        let files = files("x", &[table], &["shop.orders".into()]).unwrap();
        let text = |path: &str| {
            files
                .iter()
                .find(|file| file.path == path)
                .unwrap()
                .text
                .clone()
        };
        assert!(text("convex/schema.ts").contains("placed: v.optional(v.number()),"));
        assert!(text("convex/orders.ts").contains("args: { id: v.int64() }"));
        let sql = text("sql/live.sql");
        assert!(sql.contains("LOCK TABLE \"shop\".\"orders\""), "{sql}");
        assert!(sql.contains("-- Left out, a field cannot have the name: odd name."));
        assert!(!sql.contains('@'), "{sql}");
    }

    #[test]
    fn a_table_without_a_key_is_refused() {
        let table = Table {
            schema: "public".into(),
            name: "lines".into(),
            writable: true,
            columns: vec![column("text", "text", None)],
        };
        assert!(files("x", &[table], &["lines".into()]).is_err());
    }
}
