//! The state of one running function: what it may do, what it has read, its open queries.

use std::collections::HashMap;
use std::rc::Rc;

use pg_live_readset::{ReadSet, ReadSetBuilder};
use pg_live_values::Value;
use pgrx::pg_sys;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::documents::catalog::{Catalog, FunctionKind, Table};
use crate::error::{Error, Result};
use crate::functions::open_query::OpenQuery;
use crate::functions::pages::Pages;
use crate::functions::run::Observed;
use crate::functions::syscalls;
use crate::functions::undeployed::Undeployed;
use crate::functions::usage::{Resource, Usage};
use crate::js::{Code, Host, HostError, Interrupts, ModuleSource};
use crate::pg::session::{self, UserGuard};
use crate::pg::spi::{self, Access, Param};
use crate::reads::Sources;

/// A running function's view of the database, and of the functions that it calls: those take their
/// turns with what belongs to one function alone (`nested::Outer`).
pub(crate) struct Execution {
    /// The catalog at the function's snapshot.
    pub(crate) catalog: Rc<Catalog>,
    /// What the running function is: only mutations may write.
    pub(crate) kind: FunctionKind,
    /// Whether statements see a fixed snapshot or what the transaction has written, too.
    pub(crate) access: Access,
    /// What has been read by id and by whole table; scans are added when they close.
    pub(crate) reads: ReadSetBuilder,
    /// Why changes of what was read by SQL cannot all be seen.
    pub(crate) not_live: Option<String>,
    /// Queries whose rows are being read.
    pub(crate) open: HashMap<u64, OpenQuery>,
    /// The pages that were read.
    pub(crate) pages: Pages,
    /// The JSON of the caller's identity, or `None`.
    pub(crate) identity: Option<String>,
    /// What the functions looked at that is not in the database.
    pub(crate) observed: Observed,
    /// The path of the function, `messages:list`.
    pub(crate) path: String,
    /// The time that all functions see, in whole milliseconds since 1970.
    pub(crate) now_unix_ms: f64,
    /// What has been used of the limits.
    pub(crate) usage: Usage,
    /// How many functions called one another to get here; 0 for the outermost one.
    pub(crate) depth: usize,
    /// The only module that can be run, if it is none of the deployment.
    pub(crate) undeployed: Option<Undeployed>,
    definer: pg_sys::Oid,
    next_query: u64,
    seed: [u8; 32],
    nested_calls: u64,
}

/// See [`Execution::point`].
pub(crate) struct Point {
    catalog: Rc<Catalog>,
    usage: Usage,
    pages: Pages,
    observed: Observed,
    next_query: u64,
    nested_calls: u64,
}

impl Execution {
    /// An execution that has done nothing yet. `definer` may read the extension's catalog.
    pub(crate) fn new(
        catalog: Rc<Catalog>,
        kind: FunctionKind,
        path: String,
        identity: Option<String>,
        definer: pg_sys::Oid,
    ) -> Execution {
        let mut reads = ReadSetBuilder::default();
        // R19: which deployment is in force was read too.
        reads.table(catalog.active_oid);
        Execution {
            catalog,
            kind,
            access: match kind {
                FunctionKind::Query => Access::Read,
                FunctionKind::Mutation | FunctionKind::Action => Access::Write,
            },
            reads,
            not_live: None,
            open: HashMap::new(),
            pages: Pages::default(),
            identity,
            observed: Observed::default(),
            path,
            now_unix_ms: (session::now_us() / 1000) as f64,
            usage: Usage::new(),
            depth: 0,
            undeployed: None,
            definer,
            next_query: 1,
            seed: rand::random(),
            nested_calls: 0,
        }
    }

    /// The seed of the outermost function's random numbers.
    pub(crate) fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// The seed of the next function that is called: derived from the outermost one.
    pub(crate) fn nested_seed(&mut self) -> [u8; 32] {
        self.nested_calls += 1;
        let mut source = ChaCha12Rng::from_seed(self.seed);
        source.set_stream(self.nested_calls);
        let mut seed = [0; 32];
        source.fill_bytes(&mut seed);
        seed
    }

    /// What a call changes beside what it reads.
    pub(crate) fn point(&self) -> Point {
        Point {
            catalog: Rc::clone(&self.catalog),
            usage: self.usage.clone(),
            pages: self.pages.clone(),
            observed: self.observed,
            next_query: self.next_query,
            nested_calls: self.nested_calls,
        }
    }

    /// Goes back to `point`, to run a call again whose writes are undone. What it has read stays in the read-set.
    pub(crate) fn go_back(&mut self, point: Point) {
        self.close_queries();
        // A table that it made is gone again.
        self.catalog = point.catalog;
        self.usage = point.usage;
        self.pages = point.pages;
        self.observed = point.observed;
        self.next_query = point.next_query;
        self.nested_calls = point.nested_calls;
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

    /// Adds what was read by SQL.
    pub(crate) fn add_sources(&mut self, sources: Sources) {
        sources.add_to(&mut self.reads);
        self.not_live = self.not_live.take().or(sources.not_live);
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

    /// Ends the open queries of the running function where they stand.
    pub(crate) fn close_queries(&mut self) {
        for (_, query) in self.open.drain() {
            query.record(&mut self.reads);
        }
    }

    /// The read-set, with every open query closed where it stands, and the journal.
    pub(crate) fn into_reads(mut self) -> (ReadSet, Option<String>) {
        self.close_queries();
        (self.reads.build(), self.pages.into_journal())
    }

    /// A table by the name that the function uses.
    pub(crate) fn table(&self, name: &str) -> Option<Rc<Table>> {
        self.catalog.table(name).cloned()
    }

    /// Counts one range read.
    pub(crate) fn count_query(&mut self) -> std::result::Result<(), String> {
        self.usage.add(Resource::DatabaseQueries, 1)
    }

    /// How many more documents, and bytes of them, may be read.
    pub(crate) fn reads_left(&self) -> (usize, usize) {
        self.usage.reads_left()
    }

    /// Counts a document read.
    pub(crate) fn count_read(&mut self, document: &Value) -> std::result::Result<(), String> {
        self.usage.add_read(document)
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

/// All code of a stored deployment.
fn stored_code(deployment: i64, access: Access) -> Result<Code> {
    let mut code = Code::default();
    spi::query(
        "SELECT m.path, s.source, s.source_map, EXISTS (SELECT FROM live.functions f WHERE f.deployment = m.deployment \
             AND f.component = '' AND f.module = m.path AND f.kind IN ('Query', 'Mutation')) \
         FROM live.modules m JOIN live.sources s USING (hash) \
         WHERE m.deployment = $1 AND m.component = '' AND m.environment = 'isolate' ORDER BY m.path",
        &[Param::Int8(deployment)],
        access,
        |row| {
            let path: String = row.need(0)?;
            let module = ModuleSource {
                source: row.need::<String>(1)?.into(),
                source_map: row.get::<String>(2).map(Into::into),
            };
            if row.need::<bool>(3)? {
                code.entries.push(path.clone());
            }
            code.modules.push((path, module));
            Ok(())
        },
    )?;
    Ok(code)
}

impl Host for Execution {
    fn code(&mut self) -> std::result::Result<Code, HostError> {
        let Some(deployment) = self.catalog.deployment else {
            return Ok(Code::default());
        };
        self.as_definer(|| stored_code(deployment, self.access))
            .map_err(fatal)
    }

    fn module(&mut self, path: &str) -> std::result::Result<Option<ModuleSource>, HostError> {
        if let Some(undeployed) = &self.undeployed {
            return Ok(undeployed.module(path));
        }
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
        name: &str,
    ) -> std::result::Result<Option<String>, HostError> {
        // It is in every read-set: a change of it is one of `live.active`.
        Ok(self.catalog.environment.get(name).cloned())
    }

    fn serve_interrupts(&mut self) -> Interrupts {
        session::check_for_interrupts();
        Interrupts::Continue
    }
}
