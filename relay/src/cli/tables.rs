//! The tables of a database as its catalog describes them, for generated code.

use tokio_postgres::Client;

use crate::deploy::Error;

/// A table or view that the role may read.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    /// Whether rows can be written: not so for views.
    pub(super) writable: bool,
    pub(super) columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type's name; of a domain, of what it is made of.
    pub(super) of: String,
    /// An array of it.
    pub(super) array: bool,
    /// The values of an enum.
    pub(super) labels: Vec<String>,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// `GENERATED ALWAYS`: never written.
    pub(super) generated: bool,
    /// Its place in the primary key, from 1.
    pub(super) key: Option<i32>,
}

/// All tables and views of users that the role may read, by schema and name.
pub(super) async fn load(client: &Client) -> Result<Vec<Table>, Error> {
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text, c.relkind IN ('r', 'p', 'f'), a.attname::text,
                 coalesce(b.typname, t.typname)::text, e.oid IS NOT NULL,
                 ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum AS l
                     WHERE l.enumtypid = coalesce(b.oid, t.oid) ORDER BY l.enumsortorder),
                 a.attnotnull OR coalesce(d.typnotnull, false), a.atthasdef OR a.attidentity <> '',
                 a.attidentity = 'a' OR a.attgenerated <> '',
                 pg_catalog.array_position(k.conkey, a.attnum)
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             JOIN pg_catalog.pg_type AS d ON d.oid = a.atttypid
             LEFT JOIN pg_catalog.pg_type AS e ON e.oid = d.typelem AND d.typcategory = 'A'
             JOIN pg_catalog.pg_type AS t ON t.oid = coalesce(e.oid, d.oid)
             LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
             LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
                 AND n.nspname NOT IN ('live', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
                 AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
             ORDER BY n.nspname, c.relname, a.attnum",
            &[],
        )
        .await
        .map_err(Error::Sql)?;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let column = Column {
            name: row.get(3),
            of: row.get(4),
            array: row.get(5),
            labels: row.get(6),
            not_null: row.get(7),
            has_default: row.get(8),
            generated: row.get(9),
            key: row.get(10),
        };
        match tables.last_mut() {
            Some(last) if last.schema == schema && last.name == name => last.columns.push(column),
            Some(_) | None => tables.push(Table {
                schema,
                name,
                writable: row.get(2),
                columns: vec![column],
            }),
        }
    }
    Ok(tables)
}
