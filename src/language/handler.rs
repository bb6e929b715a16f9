//! The call handler of LANGUAGE js, and the one of DO blocks.

use pgrx::pg_sys::{self, Datum};

use crate::error::{Error, Result};
use crate::functions::run;
use crate::js::{self, Data, Returns};
use crate::language::errors;
use crate::language::function::{self, Function};
use crate::language::session::Session;
use crate::pg::function::Call;
use crate::pg::language::proc::Wanted;
use crate::pg::language::transition::Scope;
use crate::pg::language::trigger::Firing;
use crate::pg::session;

/// The call handler.
pub(super) fn call(call: &mut Call) -> Result<Datum> {
    if call.context_is(pg_sys::NodeTag::T_EventTriggerData) {
        return Err(Error::FeatureNotSupported(
            "event triggers cannot be written in LANGUAGE js".to_owned(),
        ));
    }
    let function = function::of(call)?;
    if function.is_trigger {
        return trigger(call, &function);
    }
    let _no_transition_tables = Scope::without();
    let args = function.arguments(call)?;
    let shape = function.shape()?;
    if function.returns_set {
        let mut session = Session::returning_set(&function, call)?;
        let returns = shape.as_deref().map_or(Returns::Nothing, Returns::Many);
        invoke(&function, &args, returns, &mut session)?;
        return Ok(call.null());
    }
    let returns = shape.as_deref().map_or(Returns::Nothing, Returns::One);
    let data = invoke(&function, &args, returns, &mut Session::new(&function))?;
    result(call, &function, &data).map_err(|error| errors::in_result(&function.label, error))
}

/// The value that a call gives.
fn result(call: &mut Call, function: &Function, data: &Data) -> Result<Datum> {
    match (&function.wanted, data) {
        (Wanted::Nothing, _) => Ok(call.nothing()),
        (Wanted::Value(of), _) => match of.to_datum(data)? {
            Some(datum) => Ok(datum),
            None => Ok(call.null()),
        },
        (Wanted::Row(of), Data::Record(_, values)) => of.form(values),
        (Wanted::Row(_), Data::Null) => Ok(call.null()),
        (Wanted::Row(_), _) => Err(Error::DatatypeMismatch(
            "a row must be returned as an object with a member per column".to_owned(),
        )),
    }
}

/// A firing of a trigger.
fn trigger(call: &mut Call, function: &Function) -> Result<Datum> {
    let firing = Firing::of(call)?;
    let args = firing.arguments()?;
    let _transition_tables = firing.scope();
    let mut session = Session::new(function);
    if !firing.decides() {
        invoke(function, &args, Returns::Nothing, &mut session)?;
        return Ok(call.nothing());
    }
    let shape = firing.shape()?;
    let returned = invoke(function, &args, Returns::Row(&shape), &mut session)?;
    let row = firing
        .result(&args, &returned)
        .map_err(|error| errors::in_result(&function.label, error))?;
    call.nothing();
    Ok(row)
}

/// The handler of DO blocks.
pub(super) fn inline(call: &mut Call) -> Result<Datum> {
    let function = Function::inline(&call.inline_source()?);
    let _no_transition_tables = Scope::without();
    invoke(
        &function,
        &[],
        Returns::Nothing,
        &mut Session::new(&function),
    )?;
    Ok(call.nothing())
}

/// Runs the body as the present user.
fn invoke(
    function: &Function,
    args: &[Data],
    returns: Returns<'_>,
    session: &mut Session<'_>,
) -> Result<Data> {
    let role = session::current_user().to_u32();
    js::call_routine(
        &function.routine,
        role,
        args,
        returns,
        session,
        &run::limits(),
    )
    .map_err(|failure| errors::stopped(&function.label, failure))?
    .map_err(|error| errors::thrown(&function.label, error))
}
