//! Functions of LANGUAGE js, as the host runs them: a body, values in, values out.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use super::{Failure, Host, JsError, Limits, v8};

/// A value between SQL and JavaScript.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// NULL, null, undefined.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number that is a whole one of 32 bits.
    Int(i32),
    /// Any other number.
    Float(f64),
    /// A BigInt.
    Big(i64),
    /// A string.
    Text(String),
    /// A Uint8Array.
    Bytes(Vec<u8>),
    /// JSON text: the value that it stands for.
    Json(String),
    /// An array.
    Array(Vec<Data>),
    /// An object: one value per name.
    Record(Names, Vec<Data>),
}

/// Names of the columns of a row.
pub(crate) type Names = Rc<[Rc<str>]>;

/// What a value of JavaScript has to become.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A value of a numeric or boolean type.
    Number,
    /// A value of any other type: numbers are written as JavaScript writes them.
    Text,
    /// The JSON text of the value.
    Json,
    /// An array of values, or of arrays.
    Array(Rc<Shape>),
    /// An object with these members; one that it lacks is null.
    Record(Names, Rc<[Shape]>),
}

/// Tells the versions of a function apart: xmin, block and offset of its row in the catalog.
pub(crate) type Version = (u32, u32, u16);

/// The code of a function.
#[derive(Clone, Debug)]
pub(crate) struct Routine {
    /// Under which number its compiled code is kept; `None`: it is not kept.
    pub id: Option<u32>,
    /// Which version of it this is.
    pub version: Version,
    /// Name in stack traces.
    pub name: String,
    /// Names of the parameters of the JavaScript function.
    pub params: Vec<String>,
    /// The body.
    pub source: Arc<str>,
}

/// What a call gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Returns<'a> {
    /// Nothing; whatever the body returns is ignored.
    Nothing,
    /// A value.
    One(&'a Shape),
    /// A value for a trigger, which must not be undefined.
    Row(&'a Shape),
    /// Any number of values, each handed to [`Host::emit`].
    Many(&'a Shape),
}

/// A statement that has been prepared.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// What the host keeps of it.
    pub handle: Rc<dyn Any>,
    /// What each parameter must become.
    pub params: Rc<[Shape]>,
}

/// What a statement gave.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// Names of the columns.
    pub names: Names,
    /// The rows; empty for a statement that has no result.
    pub rows: Vec<Vec<Data>>,
    /// How many rows it gave or changed.
    pub count: u64,
}

/// Levels of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// `console.debug`
    Debug,
    /// `console.info`
    Info,
    /// `console.log`
    Notice,
    /// `console.warn`, `console.error`
    Warning,
}

/// A place in a body, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line; the first begins right after the opening quote.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What a body threw, or why it does not compile.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptError {
    /// `TypeError: ...`, or just the message of an `Error`.
    pub message: String,
    /// `sqlstate` of what was thrown.
    pub sqlstate: Option<String>,
    /// `detail` of what was thrown.
    pub detail: Option<String>,
    /// `hint` of what was thrown.
    pub hint: Option<String>,
    /// The frames: name of the JavaScript function if it has one, and place; the innermost first.
    pub frames: Vec<(Option<String>, Place)>,
}

impl From<JsError> for ScriptError {
    fn from(error: JsError) -> Self {
        Self {
            message: error.message,
            ..Self::default()
        }
    }
}

/// Calls a function.
///
/// `realm` is the role it runs as: a context never serves two.
///
/// # Errors
/// [`Failure`] when the call was stopped from outside. What the body throws is in the result.
pub(crate) fn call_routine(
    routine: &Routine,
    realm: u32,
    args: &[Data],
    returns: Returns<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Result<Data, ScriptError>, Failure> {
    v8::call_routine(routine, realm, args, returns, host, limits)
}

/// Compiles a function and forgets it again.
///
/// # Errors
/// As [`call_routine`]; what is wrong with the body is in the result.
pub(crate) fn check_routine(
    routine: &Routine,
    realm: u32,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Result<(), ScriptError>, Failure> {
    v8::check_routine(routine, realm, host, limits)
}
