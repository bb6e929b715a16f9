//! A firing of a trigger, as a function in LANGUAGE js sees it.

use std::ffi::CStr;
use std::rc::Rc;

use pgrx::pg_sys;

use super::rows::RowType;
use super::transition::Scope;
use super::types::Converter;
use crate::error::{Error, Result};
use crate::js::{Data, Shape};
use crate::pg::function::Call;

/// The data of one firing.
pub(crate) struct Firing {
    data: *mut pg_sys::TriggerData,
    /// Columns of the relation.
    columns: Rc<RowType>,
}

/// What a trigger function is told, in the order of its parameters.
pub(crate) const PARAMS: [&str; 9] = [
    "NEW",
    "OLD",
    "TG_OP",
    "TG_NAME",
    "TG_WHEN",
    "TG_LEVEL",
    "TG_TABLE_SCHEMA",
    "TG_TABLE_NAME",
    "TG_ARGV",
];

impl Firing {
    /// The firing that a call is made for; an error if it is called in another way.
    pub(crate) fn of(call: &Call) -> Result<Firing> {
        if !call.context_is(pg_sys::NodeTag::T_TriggerData) {
            return Err(Error::FeatureNotSupported(
                "a trigger function can be called as a trigger only".to_owned(),
            ));
        }
        // SAFETY: the tag says that the context is the data of a trigger; its relation is open.
        unsafe {
            let data = (*call.raw()).context.cast::<pg_sys::TriggerData>();
            let of = (*(*data).tg_relation).rd_rel;
            let columns = Converter::of((*of).reltype, -1).row_type()?;
            Ok(Firing { data, columns })
        }
    }

    /// Lets statements read its transition tables until the scope is dropped.
    pub(crate) fn scope(&self) -> Scope {
        Scope::enter(self.data)
    }

    fn event(&self) -> u32 {
        // SAFETY: valid for the call.
        unsafe { (*self.data).tg_event }
    }

    /// Whether it is for each row.
    pub(crate) fn is_for_row(&self) -> bool {
        self.event() & pg_sys::TRIGGER_EVENT_ROW != 0
    }

    /// Whether what the function returns decides about the row.
    pub(crate) fn decides(&self) -> bool {
        let when = self.event() & pg_sys::TRIGGER_EVENT_TIMINGMASK;
        self.is_for_row() && when != pg_sys::TRIGGER_EVENT_AFTER
    }

    /// What a returned object must become.
    pub(crate) fn shape(&self) -> Result<Shape> {
        self.columns.shape()
    }

    fn rows(&self) -> (pg_sys::HeapTuple, pg_sys::HeapTuple) {
        let none = std::ptr::null_mut();
        if !self.is_for_row() {
            return (none, none);
        }
        // SAFETY: valid for the call; which tuples there are follows from the event.
        unsafe {
            match self.event() & pg_sys::TRIGGER_EVENT_OPMASK {
                pg_sys::TRIGGER_EVENT_INSERT => ((*self.data).tg_trigtuple, none),
                pg_sys::TRIGGER_EVENT_UPDATE => {
                    ((*self.data).tg_newtuple, (*self.data).tg_trigtuple)
                }
                _ => (none, (*self.data).tg_trigtuple),
            }
        }
    }

    /// The values of the parameters.
    pub(crate) fn arguments(&self) -> Result<Vec<Data>> {
        let row = |tuple: pg_sys::HeapTuple| {
            if tuple.is_null() {
                return Ok(Data::Null);
            }
            // SAFETY: a row of the relation, valid for the call.
            unsafe { self.columns.to_data(tuple) }
        };
        let (new, old) = self.rows();
        let event = self.event();
        let operation = match event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => "INSERT",
            pg_sys::TRIGGER_EVENT_UPDATE => "UPDATE",
            pg_sys::TRIGGER_EVENT_DELETE => "DELETE",
            _ => "TRUNCATE",
        };
        let when = match event & pg_sys::TRIGGER_EVENT_TIMINGMASK {
            pg_sys::TRIGGER_EVENT_BEFORE => "BEFORE",
            pg_sys::TRIGGER_EVENT_AFTER => "AFTER",
            _ => "INSTEAD OF",
        };
        let level = if self.is_for_row() {
            "ROW"
        } else {
            "STATEMENT"
        };
        let text = |text: &str| Data::Text(text.to_owned());
        let (name, schema, table, args) = self.names();
        Ok(vec![
            row(new)?,
            row(old)?,
            text(operation),
            Data::Text(name),
            text(when),
            text(level),
            Data::Text(schema),
            Data::Text(table),
            Data::Array(args.into_iter().map(Data::Text).collect()),
        ])
    }

    /// Names of the trigger, of its table's schema, of the table, and the arguments of the trigger.
    fn names(&self) -> (String, String, String, Vec<String>) {
        let text = |pointer: *const std::ffi::c_char| {
            // SAFETY: names of the catalog are C strings.
            let text = unsafe { CStr::from_ptr(pointer) };
            text.to_string_lossy().into_owned()
        };
        // SAFETY: trigger and relation are open during the call; the arguments are as many as the trigger says.
        unsafe {
            let trigger = (*self.data).tg_trigger;
            let relation = (*(*self.data).tg_relation).rd_rel;
            let args = (0..usize::try_from((*trigger).tgnargs).unwrap_or(0))
                .map(|index| text(*(*trigger).tgargs.add(index)))
                .collect();
            (
                text((*trigger).tgname),
                text(pg_sys::get_namespace_name((*relation).relnamespace)),
                text((*relation).relname.data.as_ptr()),
                args,
            )
        }
    }

    /// The row that the function decided on; null if it skips the row. `told` are the arguments it was given.
    pub(crate) fn result(&self, told: &[Data], returned: &Data) -> Result<pg_sys::Datum> {
        let Data::Record(_, after) = returned else {
            return match returned {
                Data::Null => Ok(pg_sys::Datum::from(0)),
                _ => Err(Error::DatatypeMismatch(
                    "a trigger function must return a row as an object, or null".to_owned(),
                )),
            };
        };
        let (new, old) = self.rows();
        let (tuple, before) = if new.is_null() {
            (old, told.get(1))
        } else {
            (new, told.first())
        };
        let Some(Data::Record(_, before)) = before else {
            return Err(Error::Defect("a trigger for a row without one".to_owned()));
        };
        // SAFETY: a row of the relation, valid for the call.
        let tuple = unsafe { self.columns.modified(tuple, before, after)? };
        Ok(pg_sys::Datum::from(tuple))
    }
}
