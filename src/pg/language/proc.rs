//! The definition of a function in the catalog, and what a call of it is asked for.

use std::ffi::{CStr, c_char};
use std::rc::Rc;

use pgrx::{FromDatum, pg_sys};

use super::rows::RowType;
use super::types::{Converter, name_of};
use crate::error::{Error, Result};
use crate::js::Version;
use crate::pg::function::Call;

/// A parameter that takes a value.
pub(crate) struct Param {
    /// Its name, empty if it has none.
    pub(crate) name: String,
    /// Its type as declared.
    pub(crate) of: pg_sys::Oid,
}

/// A row of `pg_proc`.
pub(crate) struct Proc {
    /// The function.
    pub(crate) oid: pg_sys::Oid,
    /// Which version of it.
    pub(crate) version: Version,
    /// Name without schema.
    pub(crate) name: String,
    /// The body.
    pub(crate) source: String,
    /// Declared result.
    pub(crate) returns: pg_sys::Oid,
    /// Whether it returns a set.
    pub(crate) returns_set: bool,
    /// Whether it is STABLE or IMMUTABLE.
    pub(crate) read_only: bool,
    /// The parameters that take values, in order.
    pub(crate) params: Vec<Param>,
}

/// What a call must give.
pub(crate) enum Wanted {
    /// Nothing.
    Nothing,
    /// A value of a type.
    Value(Rc<Converter>),
    /// A row.
    Row(Rc<RowType>),
}

/// Holds a row of the system cache until drop.
struct Cached(pg_sys::HeapTuple);

impl Cached {
    fn proc(oid: pg_sys::Oid) -> Result<Cached> {
        // SAFETY: a lookup in the system cache; the result is released on drop.
        let tuple = unsafe {
            pg_sys::SearchSysCache1(
                pg_sys::SysCacheIdentifier::PROCOID.cast_signed(),
                pg_sys::Datum::from(oid),
            )
        };
        if tuple.is_null() {
            return Err(Error::Catalog(format!(
                "function {} does not exist",
                oid.to_u32()
            )));
        }
        Ok(Cached(tuple))
    }

    fn version(&self) -> Version {
        // SAFETY: the tuple is valid until it is released.
        unsafe {
            let place = (*self.0).t_self;
            let block = (u32::from(place.ip_blkid.bi_hi) << 16) | u32::from(place.ip_blkid.bi_lo);
            let xmin = (*(*self.0).t_data).t_choice.t_heap.t_xmin;
            (xmin.into(), block, place.ip_posid)
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        // After an ERROR the resource owner releases it.
        if !std::thread::panicking() {
            // SAFETY: got by SearchSysCache1 and released once.
            unsafe { pg_sys::ReleaseSysCache(self.0) };
        }
    }
}

/// The present version of a function.
pub(crate) fn version(oid: pg_sys::Oid) -> Result<Version> {
    Ok(Cached::proc(oid)?.version())
}

impl Proc {
    /// Reads the definition of a function.
    pub(crate) fn of(oid: pg_sys::Oid) -> Result<Proc> {
        let cached = Cached::proc(oid)?;
        // SAFETY: the tuple is a row of pg_proc, whose fixed part begins at its offset.
        let form = unsafe {
            let data = (*cached.0).t_data;
            &*data
                .cast::<u8>()
                .add(usize::from((*data).t_hoff))
                .cast::<pg_sys::FormData_pg_proc>()
        };
        let mut is_null = false;
        // SAFETY: reads an attribute of the tuple; prosrc is text.
        let source = unsafe {
            let datum = pg_sys::SysCacheGetAttr(
                pg_sys::SysCacheIdentifier::PROCOID.cast_signed(),
                cached.0,
                i16::try_from(pg_sys::Anum_pg_proc_prosrc).unwrap_or_default(),
                &raw mut is_null,
            );
            String::from_datum(datum, is_null)
        };
        Ok(Proc {
            oid,
            version: cached.version(),
            name: pgrx::name_data_to_str(&form.proname).to_owned(),
            source: source.ok_or_else(|| Error::Catalog("a function without a body".to_owned()))?,
            returns: form.prorettype,
            returns_set: form.proretset,
            read_only: form.provolatile != b'v'.cast_signed(),
            params: params(&cached),
        })
    }

    /// The name with the types of the parameters, for messages.
    pub(crate) fn signature(&self) -> String {
        let types: Vec<String> = self.params.iter().map(|param| name_of(param.of)).collect();
        format!("{}({})", self.name, types.join(", "))
    }
}

/// The parameters that take values.
fn params(cached: &Cached) -> Vec<Param> {
    let (mut types, mut names, mut modes) = (
        std::ptr::null_mut::<pg_sys::Oid>(),
        std::ptr::null_mut::<*mut c_char>(),
        std::ptr::null_mut::<c_char>(),
    );
    // SAFETY: the tuple is a row of pg_proc; the arrays, where not null, have one entry per parameter.
    unsafe {
        let count =
            pg_sys::get_func_arg_info(cached.0, &raw mut types, &raw mut names, &raw mut modes);
        (0..usize::try_from(count).unwrap_or(0))
            .filter(|index| {
                modes.is_null()
                    || [b'i', b'b', b'v'].contains(&(*modes.add(*index)).cast_unsigned())
            })
            .map(|index| {
                let name = if names.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(*names.add(index))
                        .to_string_lossy()
                        .into_owned()
                };
                Param {
                    name,
                    of: *types.add(index),
                }
            })
            .collect()
    }
}

/// Whether a type is one of those whose actual type a call tells.
pub(crate) fn is_polymorphic(oid: pg_sys::Oid) -> bool {
    matches!(
        oid,
        pg_sys::ANYELEMENTOID
            | pg_sys::ANYARRAYOID
            | pg_sys::ANYNONARRAYOID
            | pg_sys::ANYENUMOID
            | pg_sys::ANYRANGEOID
            | pg_sys::ANYMULTIRANGEOID
            | pg_sys::ANYCOMPATIBLEOID
            | pg_sys::ANYCOMPATIBLEARRAYOID
            | pg_sys::ANYCOMPATIBLENONARRAYOID
            | pg_sys::ANYCOMPATIBLERANGEOID
            | pg_sys::ANYCOMPATIBLEMULTIRANGEOID
    )
}

/// Whether values of a type exist only for functions written in C.
pub(crate) fn is_other_pseudo_type(oid: pg_sys::Oid) -> bool {
    // SAFETY: a catalog lookup.
    let kind = unsafe { pg_sys::get_typtype(oid) };
    kind == b'p'.cast_signed()
        && !is_polymorphic(oid)
        && ![
            pg_sys::RECORDOID,
            pg_sys::RECORDARRAYOID,
            pg_sys::VOIDOID,
            pg_sys::TRIGGEROID,
            pg_sys::EVENT_TRIGGEROID,
        ]
        .contains(&oid)
}

impl Call {
    /// The function that is called.
    pub(crate) fn function(&self) -> pg_sys::Oid {
        // SAFETY: flinfo is set for every call of a function of a language.
        unsafe { (*(*self.raw()).flinfo).fn_oid }
    }

    /// The node in the call's context, by its tag.
    pub(crate) fn context_is(&self, tag: pg_sys::NodeTag) -> bool {
        // SAFETY: the context is null or a node.
        unsafe {
            let context = (*self.raw()).context;
            !context.is_null() && (*context).type_ == tag
        }
    }

    /// What the call must give.
    pub(crate) fn wanted(&self) -> Result<Wanted> {
        use pg_sys::TypeFuncClass as Class;
        let (mut oid, mut description) = (pg_sys::InvalidOid, std::ptr::null_mut());
        // SAFETY: valid call information; the descriptor, if there is one, is copied at once.
        unsafe {
            let class =
                pg_sys::get_call_result_type(self.raw(), &raw mut oid, &raw mut description);
            match class {
                Class::TYPEFUNC_SCALAR if oid == pg_sys::VOIDOID => Ok(Wanted::Nothing),
                Class::TYPEFUNC_SCALAR | Class::TYPEFUNC_COMPOSITE_DOMAIN => {
                    Ok(Wanted::Value(Converter::of(oid, -1)))
                }
                // A type with a name may be altered between two calls; its converter follows.
                Class::TYPEFUNC_COMPOSITE if oid != pg_sys::RECORDOID => {
                    Ok(Wanted::Value(Converter::of(oid, -1)))
                }
                Class::TYPEFUNC_COMPOSITE => Ok(Wanted::Row(Rc::new(RowType::copied(description)))),
                Class::TYPEFUNC_RECORD => Err(Error::FeatureNotSupported(
                    "a function that returns record needs a list of columns in the FROM clause"
                        .to_owned(),
                )),
                _ => Err(Error::FeatureNotSupported(format!(
                    "functions in LANGUAGE js cannot return type {}",
                    name_of(oid)
                ))),
            }
        }
    }

    /// The source of a DO block.
    pub(crate) fn inline_source(&self) -> Result<String> {
        let block = self
            .datum(0)
            .map(|datum| datum.cast_mut_ptr::<pg_sys::InlineCodeBlock>());
        let block =
            block.ok_or_else(|| Error::Catalog("a DO block without a source".to_owned()))?;
        // SAFETY: Postgres passes an InlineCodeBlock to inline handlers.
        let source = unsafe { CStr::from_ptr((*block).source_text) };
        Ok(source.to_string_lossy().into_owned())
    }

    /// SQL's "no value" of a function that returns void, or of a trigger that skips its row.
    pub(crate) fn nothing(&mut self) -> pg_sys::Datum {
        // SAFETY: valid for the call.
        unsafe { (*self.raw()).isnull = false };
        pg_sys::Datum::from(0)
    }
}

/// Whether the user may see the function that is validated, and whether bodies are to be checked.
pub(crate) fn may_validate(validator: pg_sys::Oid, function: pg_sys::Oid) -> bool {
    // SAFETY: catalog lookups and a plain read.
    unsafe { pg_sys::CheckFunctionValidatorAccess(validator, function) }
}

/// The setting `check_function_bodies`.
pub(crate) fn check_function_bodies() -> bool {
    // SAFETY: a plain read of a setting.
    unsafe { pg_sys::check_function_bodies }
}
