//! The validator of LANGUAGE js: what CREATE FUNCTION refuses.

use pgrx::pg_sys::{self, Datum};

use crate::error::{Error, Result};
use crate::functions::run;
use crate::js;
use crate::language::errors;
use crate::language::function::{self, Function};
use crate::language::session::Session;
use crate::pg::function::Call;
use crate::pg::language::proc::{self, Proc};
use crate::pg::language::types::name_of;
use crate::pg::session;

/// `validator(function oid)`
pub(super) fn validate(call: &mut Call) -> Result<Datum> {
    let oid: pg_sys::Oid = call.required(0, "function")?;
    if proc::may_validate(call.function(), oid) {
        let proc = Proc::of(oid)?;
        check_types(&proc)?;
        function::check_names(&function::names(&proc))?;
        if proc::check_function_bodies() {
            check_body(&proc)?;
        }
    }
    Ok(call.nothing())
}

/// Refuses types that a body could do nothing with.
fn check_types(proc: &Proc) -> Result<()> {
    if proc.returns == pg_sys::EVENT_TRIGGEROID {
        return Err(Error::FeatureNotSupported(
            "event triggers cannot be written in LANGUAGE js".to_owned(),
        ));
    }
    if proc.returns == pg_sys::TRIGGEROID && !proc.params.is_empty() {
        return Err(Error::InvalidDefinition(
            "trigger functions cannot have declared arguments; those of CREATE TRIGGER are in TG_ARGV"
                .to_owned(),
        ));
    }
    let types = proc.params.iter().map(|param| param.of);
    match types
        .chain([proc.returns])
        .find(|of| proc::is_other_pseudo_type(*of))
    {
        None => Ok(()),
        Some(of) => Err(Error::FeatureNotSupported(format!(
            "functions in LANGUAGE js cannot take or return type {}",
            name_of(of)
        ))),
    }
}

/// Compiles the body.
fn check_body(proc: &Proc) -> Result<()> {
    let mut routine = function::routine(proc);
    routine.id = None;
    let label = proc.signature();
    let nobody = Function::inline("");
    let role = session::current_user().to_u32();
    js::check_routine(&routine, role, &mut Session::new(&nobody), &run::limits())
        .map_err(|failure| errors::stopped(&label, failure))?
        .map_err(|error| errors::syntax(&label, &proc.source, error))
}
