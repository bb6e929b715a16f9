//! Functions ready to be called: definition, conversions of arguments and result.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::js::{Data, Routine, Shape, Version};
use crate::pg::function::Call;
use crate::pg::language::proc::{self, Proc, Wanted};
use crate::pg::language::statement::{Allowed, Prepared};
use crate::pg::language::trigger;
use crate::pg::language::types::Converter;

/// Statements whose plans one function keeps.
const MAX_STATEMENTS: usize = 200;

/// A function of LANGUAGE js.
pub(super) struct Function {
    /// The code.
    pub(super) routine: Routine,
    /// Name and types of the parameters, for messages.
    pub(super) label: String,
    /// Whether its statements may only read.
    pub(super) read_only: bool,
    /// Whether it returns a set.
    pub(super) returns_set: bool,
    /// Whether it can be called as a trigger only.
    pub(super) is_trigger: bool,
    /// What it returns.
    pub(super) wanted: Wanted,
    /// What JavaScript must give for that, unless it is a row, whose columns may change.
    shape: Option<Shape>,
    params: Vec<Rc<Converter>>,
    statements: RefCell<HashMap<String, Rc<Prepared>>>,
}

/// What is known of a function: the version in force, and the function itself, unless its types depend on the
/// call.
type Known = (Version, Option<Rc<Function>>);

thread_local! {
    /// By oid. Never dropped: at the end of the process Postgres' memory has gone.
    static FUNCTIONS: ManuallyDrop<RefCell<HashMap<u32, Known>>> = ManuallyDrop::default();
}

/// The function that a call is for: the version that is in force.
pub(super) fn of(call: &Call) -> Result<Rc<Function>> {
    let oid = call.function();
    let version = proc::version(oid)?;
    let known = FUNCTIONS.with(|all| all.borrow().get(&oid.to_u32()).cloned());
    let made = match known {
        Some((known, Some(function))) if known == version => return Ok(function),
        Some((known, None)) if known == version => None,
        Some(_) | None => {
            let proc = Proc::of(oid)?;
            if depends_on_call(&proc) {
                None
            } else {
                Some(Rc::new(Function::of(call, &proc)?))
            }
        }
    };
    FUNCTIONS.with(|all| {
        all.borrow_mut()
            .insert(oid.to_u32(), (version, made.clone()))
    });
    match made {
        Some(function) => Ok(function),
        None => call.cached(
            |kept: &Function| kept.routine.version == version,
            || Function::of(call, &Proc::of(oid)?),
        ),
    }
}

fn depends_on_call(proc: &Proc) -> bool {
    proc.returns == pg_sys::RECORDOID
        || proc::is_polymorphic(proc.returns)
        || proc
            .params
            .iter()
            .any(|param| proc::is_polymorphic(param.of))
}

/// The names that the parameters have in JavaScript.
pub(super) fn names(proc: &Proc) -> Vec<String> {
    if proc.returns == pg_sys::TRIGGEROID {
        return trigger::PARAMS.map(str::to_owned).to_vec();
    }
    proc.params
        .iter()
        .enumerate()
        .map(|(index, param)| match param.name.as_str() {
            "" => format!("${}", index + 1),
            name => name.to_owned(),
        })
        .collect()
}

/// Words that are no names in strict mode.
const RESERVED: [&str; 48] = [
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Refuses parameters whose names JavaScript does not take.
pub(super) fn check_names(names: &[String]) -> Result<()> {
    let starts = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    let is_name = |name: &str| {
        name.starts_with(starts)
            && name.chars().all(|c| starts(c) || c.is_numeric())
            && !RESERVED.contains(&name)
    };
    match names.iter().find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => Err(Error::InvalidDefinition(format!(
            "parameter \"{name}\" cannot have this name in JavaScript; give it another one"
        ))),
    }
}

/// The code of a function of the catalog.
pub(super) fn routine(proc: &Proc) -> Routine {
    Routine {
        id: Some(proc.oid.to_u32()),
        version: proc.version,
        name: proc.name.clone(),
        params: names(proc),
        source: proc.source.as_str().into(),
    }
}

impl Function {
    fn of(call: &Call, proc: &Proc) -> Result<Function> {
        let params = proc
            .params
            .iter()
            .enumerate()
            .map(|(index, param)| {
                let oid = if proc::is_polymorphic(param.of) {
                    call.argument_type(index)
                } else {
                    param.of
                };
                Converter::of(oid, -1)
            })
            .collect();
        check_names(&names(proc))?;
        let is_trigger = proc.returns == pg_sys::TRIGGEROID;
        let wanted = if is_trigger {
            Wanted::Nothing
        } else {
            call.wanted()?
        };
        let shape = match &wanted {
            Wanted::Nothing => None,
            Wanted::Value(of) if of.is_row() => None,
            Wanted::Value(of) => Some(of.shape()?),
            Wanted::Row(of) => Some(of.shape()?),
        };
        Ok(Function {
            routine: routine(proc),
            label: proc.signature(),
            read_only: proc.read_only,
            returns_set: proc.returns_set,
            is_trigger,
            wanted,
            shape,
            params,
            statements: RefCell::default(),
        })
    }

    /// A DO block.
    pub(super) fn inline(source: &str) -> Function {
        Function {
            routine: Routine {
                id: None,
                version: (0, 0, 0),
                name: "DO".to_owned(),
                params: Vec::new(),
                source: source.into(),
            },
            label: "of a DO block".to_owned(),
            read_only: false,
            returns_set: false,
            is_trigger: false,
            wanted: Wanted::Nothing,
            shape: None,
            params: Vec::new(),
            statements: RefCell::default(),
        }
    }

    /// What JavaScript must give; `None` if nothing.
    pub(super) fn shape(&self) -> Result<Option<Cow<'_, Shape>>> {
        Ok(match (&self.shape, &self.wanted) {
            (Some(shape), _) => Some(Cow::Borrowed(shape)),
            (None, Wanted::Value(of)) => Some(Cow::Owned(of.shape()?)),
            (None, Wanted::Nothing | Wanted::Row(_)) => None,
        })
    }

    /// The arguments of a call.
    pub(super) fn arguments(&self, call: &Call) -> Result<Vec<Data>> {
        self.params
            .iter()
            .enumerate()
            .map(|(index, of)| of.to_data(call.datum(index)))
            .collect()
    }

    /// A statement of the function, prepared once.
    pub(super) fn statement(&self, sql: &str) -> Result<Rc<Prepared>> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(known) = known.filter(|known| known.fits_now()) {
            return Ok(known);
        }
        let made = Rc::new(Prepared::new(sql, Allowed::All)?);
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= MAX_STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), Rc::clone(&made));
        Ok(made)
    }
}
