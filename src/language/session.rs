//! What a running body can reach: statements, the console, the rows that it returns.

use std::rc::Rc;

use crate::error::Error;
use crate::functions::execution::fatal;
use crate::js::{Data, Host, HostError, Interrupts, Level, ModuleSource, Rows, Statement};
use crate::language::function::Function;
use crate::pg::function::Call;
use crate::pg::language::set::Sink;
use crate::pg::language::statement::Prepared;
use crate::pg::session;

type HostResult<T> = Result<T, HostError>;

/// One call's way to the database.
pub(super) struct Session<'a> {
    function: &'a Function,
    sink: Option<Sink<'a>>,
}

impl<'a> Session<'a> {
    /// The session of a call that returns no set.
    pub(super) fn new(function: &'a Function) -> Session<'a> {
        Session {
            function,
            sink: None,
        }
    }

    /// The session of a call that returns a set.
    pub(super) fn returning_set(
        function: &'a Function,
        call: &'a Call,
    ) -> Result<Session<'a>, Error> {
        Ok(Session {
            function,
            sink: Some(Sink::open(call)?),
        })
    }
}

fn none() -> HostError {
    HostError::js("functions of LANGUAGE js have no modules")
}

impl Host for Session<'_> {
    fn module(&mut self, _path: &str) -> HostResult<Option<ModuleSource>> {
        Ok(None)
    }

    fn syscall(&mut self, _op: &str, _args: &str) -> HostResult<String> {
        Err(none())
    }

    fn async_syscall(&mut self, _op: &str, _args: &str) -> HostResult<String> {
        Err(none())
    }

    fn environment_variable(&mut self, _name: &str) -> HostResult<Option<String>> {
        Ok(None)
    }

    fn serve_interrupts(&mut self) -> Interrupts {
        session::check_for_interrupts();
        Interrupts::Continue
    }

    fn prepare(&mut self, sql: &str) -> HostResult<Statement> {
        let prepared = self.function.statement(sql).map_err(fatal)?;
        Ok(Statement {
            params: Rc::clone(&prepared.shapes),
            handle: prepared,
        })
    }

    fn execute(&mut self, statement: &Statement, params: Vec<Data>) -> HostResult<Rows> {
        let prepared: Rc<Prepared> = Rc::clone(&statement.handle)
            .downcast()
            .map_err(|_| fatal(Error::Defect("a statement of another host".to_owned())))?;
        prepared
            .run(&params, self.function.read_only)
            .map_err(fatal)
    }

    fn emit(&mut self, row: Data) -> HostResult<()> {
        match &mut self.sink {
            Some(sink) => sink.put(&self.function.wanted, &row).map_err(fatal),
            None => Err(HostError::js("the function does not return a set")),
        }
    }

    fn notice(&mut self, level: Level, text: &str) -> HostResult<()> {
        match level {
            Level::Debug => pgrx::debug1!("{text}"),
            Level::Info => pgrx::info!("{text}"),
            Level::Notice => pgrx::notice!("{text}"),
            Level::Warning => pgrx::warning!("{text}"),
        }
        Ok(())
    }

    fn now_unix_ms(&mut self) -> HostResult<f64> {
        Ok((session::statement_start_us() / 1000) as f64)
    }
}
