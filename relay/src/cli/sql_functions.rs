//! SQL functions that clients query (`anyApi.sql.<schema>.<name>`), as types of TypeScript.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::codegen::string;
use crate::deploy::Error;

/// A function that clients may query.
#[derive(Debug)]
pub(super) struct SqlFunction {
    schema: String,
    name: String,
    /// Whether it gives any number of rows.
    is_set: bool,
    /// How many of its last arguments may be left out.
    defaults: usize,
    arguments: Vec<Value>,
    gives: Gives,
}

/// What each of its rows is.
#[derive(Debug)]
enum Gives {
    /// An object with these.
    Row(Vec<Value>),
    /// A value by itself.
    Single(Value),
    /// An object that only the call tells more of.
    Record,
}

/// An argument, a column or a value.
#[derive(Debug, Clone)]
struct Value {
    name: String,
    /// The type's name; of a domain, of what it is made of.
    of: String,
    array: bool,
    composite: bool,
    /// The values of an enum.
    labels: Vec<String>,
    not_null: bool,
}

/// All that clients may query: not those that are VOLATILE or VARIADIC.
const LOAD: &str = "\
WITH f AS (
    SELECT p.oid, n.nspname, p.proname, p.proretset, p.prorettype, r.typtype, r.typrelid, p.pronargdefaults,
        p.proargnames, p.proargmodes::text[] AS modes, coalesce(p.proallargtypes, p.proargtypes::oid[]) AS types
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_type AS r ON r.oid = p.prorettype
    WHERE n.nspname = ANY (pg_catalog.string_to_array(pg_catalog.replace(
            coalesce(pg_catalog.current_setting('pg_live.sql_schemas', true), 'api'), ' ', ''), ','))
        AND p.prokind = 'f' AND p.provariadic = 0 AND p.provolatile <> 'v'
), declared AS (
    SELECT f.oid, f.prorettype, a.* FROM f, ROWS FROM (pg_catalog.unnest(f.types), pg_catalog.unnest(f.proargnames),
        pg_catalog.unnest(f.modes)) WITH ORDINALITY AS a(of, name, mode, n)
), part AS (
    SELECT oid, 'argument' AS role, n, name, of, false AS not_null FROM declared WHERE coalesce(mode, 'i') IN ('i', 'b')
    UNION ALL SELECT oid, 'column', n, name, of, false FROM declared
        WHERE mode IN ('o', 'b', 't') AND prorettype = 'pg_catalog.record'::regtype
    UNION ALL SELECT f.oid, 'column', c.attnum, c.attname::text, c.atttypid, c.attnotnull
        FROM f JOIN pg_catalog.pg_attribute AS c ON c.attrelid = f.typrelid AND c.attnum > 0 AND NOT c.attisdropped
        WHERE f.typtype = 'c'
    UNION ALL SELECT oid, 'single', 1, '', prorettype, false FROM f
        WHERE typtype <> 'c' AND prorettype <> 'pg_catalog.record'::regtype
)
SELECT f.oid, f.nspname::text, f.proname::text, f.proretset, f.pronargdefaults::int4, part.role,
    coalesce(part.name, ''), coalesce(b.typname, t.typname)::text, e.oid IS NOT NULL,
    coalesce(coalesce(b.typtype, t.typtype) = 'c' OR t.oid = 'pg_catalog.record'::regtype, false),
    ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum AS l
        WHERE l.enumtypid = coalesce(b.oid, t.oid) ORDER BY l.enumsortorder),
    coalesce(part.not_null OR d.typnotnull, false)
FROM f LEFT JOIN part ON part.oid = f.oid
LEFT JOIN pg_catalog.pg_type AS d ON d.oid = part.of
LEFT JOIN pg_catalog.pg_type AS e ON e.oid = d.typelem AND d.typcategory = 'A'
LEFT JOIN pg_catalog.pg_type AS t ON t.oid = coalesce(e.oid, d.oid)
LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
ORDER BY f.nspname, f.proname, f.oid, part.role, part.n";

/// The functions that clients may query, by schema and name. Arguments are found by name, so those that have none cannot
/// be called, and their functions are left out.
pub(super) async fn load(client: &Client) -> Result<Vec<SqlFunction>, Error> {
    let rows = client.query(LOAD, &[]).await.map_err(Error::Sql)?;
    let mut functions: Vec<(u32, SqlFunction)> = Vec::new();
    for row in rows {
        let oid: u32 = row.get(0);
        if functions.last().is_none_or(|(last, _)| *last != oid) {
            let defaults: i32 = row.get(4);
            let function = SqlFunction {
                schema: row.get(1),
                name: row.get(2),
                is_set: row.get(3),
                defaults: usize::try_from(defaults).unwrap_or(0),
                arguments: Vec::new(),
                gives: Gives::Record,
            };
            functions.push((oid, function));
        }
        let Some((_, function)) = functions.last_mut() else {
            continue;
        };
        let Some(role) = row.get::<_, Option<String>>(5) else {
            continue;
        };
        let value = Value {
            name: row.get(6),
            of: row.get(7),
            array: row.get(8),
            composite: row.get(9),
            labels: row.get(10),
            not_null: row.get(11),
        };
        match (role.as_str(), &mut function.gives) {
            ("argument", _) => function.arguments.push(value),
            ("single", gives) => *gives = Gives::Single(value),
            (_, Gives::Row(columns)) => columns.push(value),
            (_, gives) => *gives = Gives::Row(vec![value]),
        }
    }
    let functions = functions.into_iter().map(|(_, function)| function);
    Ok(functions
        .filter(|function| {
            function
                .arguments
                .iter()
                .all(|value| !value.name.is_empty())
        })
        .collect())
}

/// The interface `Api`: `(anyApi as unknown as Api).sql.<schema>.<name>`.
pub(super) fn api(functions: &[SqlFunction]) -> String {
    let mut text = "export interface Api {\n  sql: {\n".to_owned();
    for of_schema in functions.chunk_by(|one, other| one.schema == other.schema) {
        let _ = writeln!(text, "    {}: {{", string(&of_schema[0].schema));
        for of_name in of_schema.chunk_by(|one, other| one.name == other.name) {
            let join = |types: Vec<String>| types.join(" | ");
            let _ = writeln!(
                text,
                "      {}: FunctionReference<\"query\", \"public\", {}, {}>;",
                string(&of_name[0].name),
                join(of_name.iter().map(arguments).collect()),
                join(of_name.iter().map(result).collect()),
            );
        }
        text.push_str("    };\n");
    }
    text.push_str("  };\n}\n");
    text
}

fn arguments(function: &SqlFunction) -> String {
    let needed = function.arguments.len().saturating_sub(function.defaults);
    let each = function.arguments.iter().enumerate().map(|(n, argument)| {
        let optional = if n < needed { "" } else { "?" };
        let name = string(&argument.name);
        format!("{name}{optional}: {} | null", type_of(argument))
    });
    object(&each.collect::<Vec<_>>())
}

fn result(function: &SqlFunction) -> String {
    let nullable = |value: &Value| {
        let null = if value.not_null { "" } else { " | null" };
        format!("{}{null}", type_of(value))
    };
    let row = match &function.gives {
        Gives::Row(columns) => {
            let each = columns.iter();
            let each = each.map(|column| format!("{}: {}", string(&column.name), nullable(column)));
            object(&each.collect::<Vec<_>>())
        }
        Gives::Single(value) if value.of == "void" => "null".to_owned(),
        Gives::Single(value) => nullable(value),
        Gives::Record => "{ [column: string]: any }".to_owned(),
    };
    match (&function.gives, function.is_set) {
        (_, true) => format!("Array<{row}>"),
        (Gives::Single(_), false) => row,
        (Gives::Row(_) | Gives::Record, false) => format!("{row} | null"),
    }
}

fn object(members: &[String]) -> String {
    if members.is_empty() {
        return "{}".to_owned();
    }
    format!("{{ {} }}", members.join("; "))
}

/// What a client gives and gets: the values of docs/reactive-sql.md.
fn type_of(value: &Value) -> String {
    let single = match value.of.as_str() {
        _ if value.composite => "{ [column: string]: any }".to_owned(),
        _ if !value.labels.is_empty() => {
            let labels: Vec<String> = value.labels.iter().map(|label| string(label)).collect();
            format!("({})", labels.join(" | "))
        }
        "bool" => "boolean".to_owned(),
        "int2" | "int4" | "oid" | "float4" | "float8" => "number".to_owned(),
        "int8" => "bigint".to_owned(),
        "bytea" => "ArrayBuffer".to_owned(),
        "json" | "jsonb" => "any".to_owned(),
        _ => "string".to_owned(),
    };
    if value.array {
        format!("Array<{single} | null>")
    } else {
        single
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, of: &str) -> Value {
        Value {
            name: name.to_owned(),
            of: of.to_owned(),
            array: false,
            composite: false,
            labels: Vec::new(),
            not_null: false,
        }
    }

    fn function(name: &str, arguments: Vec<Value>, gives: Gives, is_set: bool) -> SqlFunction {
        SqlFunction {
            schema: "api".into(),
            name: name.into(),
            is_set,
            defaults: 1,
            arguments,
            gives,
        }
    }

    #[test]
    fn arguments_and_results() {
        let id = Value {
            not_null: true,
            ..value("id", "int8")
        };
        let orders = function(
            "orders",
            vec![value("customer", "int4"), value("most", "int4")],
            Gives::Row(vec![id, value("note", "text")]),
            true,
        );
        let total = function(
            "total",
            Vec::new(),
            Gives::Single(value("", "numeric")),
            false,
        );
        let text = api(&[orders, total]);
        assert!(
            text.contains(
                "\"orders\": FunctionReference<\"query\", \"public\", { \"customer\": number | null; \"most\"?: number | null }, \
                 Array<{ \"id\": bigint; \"note\": string | null }>>;"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "\"total\": FunctionReference<\"query\", \"public\", {}, string | null>;"
            ),
            "{text}"
        );
    }

    #[test]
    fn functions_of_one_name_are_one_of_them() {
        let one = function("find", vec![value("id", "int4")], Gives::Record, false);
        let other = function("find", vec![value("name", "text")], Gives::Record, true);
        let text = api(&[one, other]);
        assert!(
            text.contains("{ \"id\"?: number | null } | { \"name\"?: string | null }, {"),
            "{text}"
        );
    }
}
