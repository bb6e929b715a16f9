//! The state of one running function: what it may do, what it has read, its open queries.

use std::collections::HashMap;
use std::rc::Rc;

use pg_live_readset::{ReadSet, ReadSetBuilder};
use pg_live_values::Value;
use pgrx::pg_sys;

use crate::documents::catalog::{Catalog, Table};
use crate::error::{Error, Result};
use crate::functions::open_query::OpenQuery;
use crate::functions::syscalls;
use crate::js::{Host, HostError, Interrupts, ModuleSource};
use crate::pg::session::{self, UserGuard};
use crate::pg::spi::{self, Access, Param};

/// Documents that one function may read.
const DOCUMENTS_READ_MAX: usize = 32_000;
/// Bytes that one function may read.
const BYTES_READ_MAX: usize = 16 << 20;
/// Documents that one function may write.
const DOCUMENTS_WRITTEN_MAX: usize = 16_000;
/// Index ranges that one function may read.
const QUERIES_MAX: usize = 4096;

/// A running function's view of the database.
pub(crate) struct Execution {
    /// The catalog at the function's snapshot.
    pub(crate) catalog: Rc<Catalog>,
    /// Whether statements see a fixed snapshot (queries) or their own transaction (mutations).
    pub(crate) access: Access,
    /// What has been read by id and by whole table; scans are added when they close.
    pub(crate) reads: ReadSetBuilder,
    /// Queries whose rows are being read.
    pub(crate) open: HashMap<u64, OpenQuery>,
    /// The JSON of the caller's identity, or `None`.
    pub(crate) identity: Option<String>,
    /// Whether the function asked for the identity.
    pub(crate) identity_observed: bool,
    /// The path of the function, `messages:list`.
    pub(crate) path: String,
    definer: pg_sys::Oid,
    next_query: u64,
    documents_read: usize,
    bytes_read: usize,
    documents_written: usize,
    queries: usize,
}

impl Execution {
    /// An execution that has done nothing yet. `definer` may read the extension's catalog.
    pub(crate) fn new(
        catalog: Rc<Catalog>,
        access: Access,
        path: String,
        identity: Option<String>,
        definer: pg_sys::Oid,
    ) -> Execution {
        let mut reads = ReadSetBuilder::default();
        // R19: which deployment is in force was read too.
        reads.table(catalog.active_oid);
        Execution {
            catalog,
            access,
            reads,
            open: HashMap::new(),
            identity,
            identity_observed: false,
            path,
            definer,
            next_query: 1,
            documents_read: 0,
            bytes_read: 0,
            documents_written: 0,
            queries: 0,
        }
    }

    /// Runs `body` as the role that may read and change the extension's catalog.
    pub(crate) fn as_definer<T>(&self, body: impl FnOnce() -> T) -> T {
        let _user = UserGuard::become_user(self.definer);
        body()
    }

    /// A number for a new open query.
    pub(crate) fn open_query(&mut self, query: OpenQuery) -> u64 {
        let number = self.next_query;
        self.next_query += 1;
        self.open.insert(number, query);
        number
    }

    /// Ends an open query: what it read joins the read-set.
    pub(crate) fn close_query(&mut self, number: u64) -> bool {
        match self.open.remove(&number) {
            Some(query) => {
                query.record(&mut self.reads);
                true
            }
            None => false,
        }
    }

    /// The read-set, with every open query closed where it stands.
    pub(crate) fn into_reads(mut self) -> ReadSet {
        let numbers: Vec<u64> = self.open.keys().copied().collect();
        for number in numbers {
            self.close_query(number);
        }
        self.reads.build()
    }

    /// A table by the name that the function uses.
    pub(crate) fn table(&self, name: &str) -> Option<Rc<Table>> {
        self.catalog.table(name).cloned()
    }

    /// Counts one range read.
    pub(crate) fn count_query(&mut self) -> std::result::Result<(), String> {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return Err(format!(
                "Too many reads in a single function execution (limit: {QUERIES_MAX})."
            ));
        }
        Ok(())
    }

    /// Counts a document read.
    pub(crate) fn count_read(&mut self, document: &Value) -> std::result::Result<(), String> {
        self.documents_read += 1;
        self.bytes_read += document.size();
        if self.documents_read > DOCUMENTS_READ_MAX {
            return Err(format!(
                "Too many documents read in a single function execution (limit: \
                 {DOCUMENTS_READ_MAX}). Consider using smaller limits in your queries, or an index."
            ));
        }
        if self.bytes_read > BYTES_READ_MAX {
            return Err(format!(
                "Too many bytes read in a single function execution (limit: {BYTES_READ_MAX} \
                 bytes). Consider using smaller limits in your queries, or an index."
            ));
        }
        Ok(())
    }

    /// Counts a document written.
    pub(crate) fn count_write(&mut self) -> std::result::Result<(), String> {
        self.documents_written += 1;
        if self.documents_written > DOCUMENTS_WRITTEN_MAX {
            return Err(format!(
                "Too many documents written in a single function execution (limit: \
                 {DOCUMENTS_WRITTEN_MAX}). Split the work over several mutations."
            ));
        }
        Ok(())
    }
}

/// Carries our own error out of JavaScript, where it must not be caught.
pub(crate) fn fatal(error: Error) -> HostError {
    HostError::Fatal(Box::new(error))
}

/// The source of a module of a stored deployment.
pub(crate) fn stored_module(
    deployment: i64,
    path: &str,
    access: Access,
) -> Result<Option<ModuleSource>> {
    spi::query_one(
        "SELECT s.source, s.source_map FROM live.modules m JOIN live.sources s USING (hash) \
         WHERE m.deployment = $1 AND m.component = '' AND m.path = $2",
        &[Param::Int8(deployment), Param::Text(path)],
        access,
        |row| {
            Ok(ModuleSource {
                source: row.need::<String>(0)?.into(),
                source_map: row.get::<String>(1).map(Into::into),
            })
        },
    )
}

impl Host for Execution {
    fn module(&mut self, path: &str) -> std::result::Result<Option<ModuleSource>, HostError> {
        let Some(deployment) = self.catalog.deployment else {
            return Ok(None);
        };
        self.as_definer(|| stored_module(deployment, path, self.access))
            .map_err(fatal)
    }

    fn syscall(&mut self, op: &str, args: &str) -> std::result::Result<String, HostError> {
        syscalls::sync(self, op, args)
    }

    fn async_syscall(&mut self, op: &str, args: &str) -> std::result::Result<String, HostError> {
        syscalls::asynchronous(self, op, args)
    }

    fn environment_variable(
        &mut self,
        _name: &str,
    ) -> std::result::Result<Option<String>, HostError> {
        Ok(None)
    }

    fn serve_interrupts(&mut self) -> Interrupts {
        session::check_for_interrupts();
        Interrupts::Continue
    }
}
