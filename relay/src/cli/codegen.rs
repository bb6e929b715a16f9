//! `pg-live codegen`: `_generated` as the npm tool writes it, and beside it the types of SQL tables and functions.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::database::resolve;
use super::exit::Failure;
use super::sql_functions::{self, SqlFunction};
use super::tables::{self, Column, Table};
use super::terminal::{note, print_line};
use crate::deploy;

/// What stands at the top of the file.
const HEAD: &str = "\
/* eslint-disable */
/**
 * The tables and views of the database, as the npm package `pg` gives and takes their rows, and the SQL functions that
 * clients query.
 *
 * Written by `pg-live codegen`; changes are overwritten.
 * @module
 */

import type { FunctionReference } from \"convex/server\";

";

#[derive(clap::Args, Debug)]
pub(super) struct CodegenArgs {
    /// Folder of the app: the one that holds package.json and convex/
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// Database whose tables are to get types; without one only the app's own types are written
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,
    /// Leave the database alone, even if it is known
    #[arg(long)]
    no_sql: bool,
}

pub(super) async fn run(args: CodegenArgs, json: bool) -> Result<(), Failure> {
    let app = deploy::App::open(&args.app_dir)?;
    let mut changed = deploy::write_generated(&app)?;
    let folder = &app.functions_dir;
    let url = resolve(args.url.as_deref(), &app.dir)
        .ok()
        .filter(|_| !args.no_sql);
    let mut found = None;
    if let Some(url) = url {
        let client = deploy::connect_anywhere(&url).await?;
        let all = tables::load(&client).await?;
        let functions = sql_functions::load(&client).await?;
        changed += usize::from(deploy::write_if_changed(
            &app.functions_dir.join("sql.d.ts"),
            &types(&all, &functions),
        )?);
        found = Some((all.len(), functions.len()));
    } else if !args.no_sql && !json {
        note("no types of SQL tables: give --url, set DATABASE_URL or start `pg-live dev` first");
    }
    if json {
        print_line(&json_of(changed, found));
    } else {
        let tables = found.map_or(String::new(), |(tables, functions)| {
            format!(", {tables} tables and views and {functions} functions in sql.d.ts")
        });
        print_line(&format!(
            "{changed} files changed in {}{tables}",
            folder.display()
        ));
    }
    Ok(())
}

fn json_of(changed: usize, found: Option<(usize, usize)>) -> String {
    let (tables, functions) = found.unzip();
    serde_json::json!({"changed": changed, "tables": tables, "functions": functions}).to_string()
}

/// The text of `sql.d.ts`.
fn types(tables: &[Table], functions: &[SqlFunction]) -> String {
    let mut text = HEAD.to_owned();
    let mut names = (String::new(), String::new());
    for table in tables {
        let name = qualified(table);
        let _ = writeln!(names.0, "  {}: {{", string(&name));
        for column in &table.columns {
            let null = if column.not_null { "" } else { " | null" };
            let _ = writeln!(
                names.0,
                "    {}: {}{null};",
                string(&column.name),
                type_of(column)
            );
        }
        names.0.push_str("  };\n");
        if !table.writable {
            continue;
        }
        let _ = writeln!(names.1, "  {}: {{", string(&name));
        for column in table.columns.iter().filter(|column| !column.generated) {
            let optional = if column.has_default || !column.not_null {
                "?"
            } else {
                ""
            };
            let null = if column.not_null { "" } else { " | null" };
            let _ = writeln!(
                names.1,
                "    {}{optional}: {}{null};",
                string(&column.name),
                type_of(column)
            );
        }
        names.1.push_str("  };\n");
    }
    let _ = write!(
        text,
        "/** A row of a table or view, by its name; outside of schema `public` with the schema. */\n\
         export interface Rows {{\n{}}}\n\n\
         /** What an INSERT into a table must and may give. */\n\
         export interface Inserts {{\n{}}}\n\n\
         /** A row of one table: `Row<\"orders\">`. */\n\
         export type Row<Name extends keyof Rows> = Rows[Name];\n\
         /** The values of an INSERT: `Insert<\"orders\">`. */\n\
         export type Insert<Name extends keyof Inserts> = Inserts[Name];\n\n\
         /** The SQL functions that clients query: `(anyApi as unknown as Api).sql.api.orders`. */\n{}",
        names.0,
        names.1,
        sql_functions::api(functions)
    );
    text
}

fn qualified(table: &Table) -> String {
    if table.schema == "public" {
        table.name.clone()
    } else {
        format!("{}.{}", table.schema, table.name)
    }
}

/// A TypeScript string; JSON's are the same.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What the package `pg` makes of a type by itself.
fn type_of(column: &Column) -> String {
    let single = match column.of.as_str() {
        _ if !column.labels.is_empty() => {
            let labels: Vec<String> = column.labels.iter().map(|label| string(label)).collect();
            let union = labels.join(" | ");
            if column.array {
                format!("({union})")
            } else {
                union
            }
        }
        "bool" => "boolean".to_owned(),
        "int2" | "int4" | "oid" | "float4" | "float8" => "number".to_owned(),
        "date" | "timestamp" | "timestamptz" => "Date".to_owned(),
        "bytea" => "Uint8Array".to_owned(),
        "json" | "jsonb" => "unknown".to_owned(),
        // Numbers that JavaScript's cannot hold exactly, and all other types, come as text.
        _ => "string".to_owned(),
    };
    if column.array {
        format!("{single}[]")
    } else {
        single
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, of: &str) -> Column {
        Column {
            name: name.to_owned(),
            of: of.to_owned(),
            array: false,
            labels: Vec::new(),
            not_null: true,
            has_default: false,
            generated: false,
            key: None,
        }
    }

    #[test]
    fn rows_and_inserts() {
        let table = Table {
            schema: "public".into(),
            name: "orders".into(),
            writable: true,
            columns: vec![
                Column {
                    generated: true,
                    has_default: true,
                    ..column("id", "int8")
                },
                Column {
                    not_null: false,
                    ..column("note", "text")
                },
                Column {
                    labels: vec!["a".into(), "b".into()],
                    array: true,
                    ..column("state", "state")
                },
            ],
        };
        let text = types(&[table], &[]);
        assert!(text.contains("    \"id\": string;\n    \"note\": string | null;\n    \"state\": (\"a\" | \"b\")[];"), "{text}");
        assert!(
            text.contains("\"orders\": {\n    \"note\"?: string | null;\n"),
            "{text}"
        );
    }
}
