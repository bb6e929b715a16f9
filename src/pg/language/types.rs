//! SQL types: how a value of each goes to JavaScript and comes back. `docs/language-js.md` has the rules.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::pg_sys;

use super::rows::RowType;
use crate::error::{Error, Result};
use crate::js::{Data, Shape};
use crate::pg::catch::{catch, raw};

/// How values of a type are handled.
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// numeric: JavaScript has no such numbers, so it is text; numbers are taken.
    Text,
    Bytea,
    Json,
    Jsonb,
    /// date, timestamp, timestamptz
    Time,
    Array(Element),
    Row,
    /// Any other type, by its own text form.
    Other,
}

/// The elements of an array type.
pub(super) struct Element {
    pub(super) of: Rc<Converter>,
    pub(super) oid: pg_sys::Oid,
    pub(super) length: i16,
    pub(super) by_value: bool,
    pub(super) alignment: c_char,
}

/// A domain whose constraints a value must meet.
pub(super) struct Domain {
    pub(super) oid: pg_sys::Oid,
    /// What Postgres keeps between two checks.
    pub(super) cache: Cell<*mut c_void>,
}

/// An input function and its parameter.
type Input = (*mut pg_sys::FmgrInfo, pg_sys::Oid);

/// A type, ready to convert values. Kept for the life of the backend.
pub(crate) struct Converter {
    /// The type below all domains.
    pub(super) base: pg_sys::Oid,
    pub(super) typmod: i32,
    pub(super) kind: Kind,
    pub(super) domain: Option<Domain>,
    /// The present columns of a composite type, with what tells that they have changed.
    pub(super) row: RefCell<Option<(u64, Rc<RowType>)>>,
    input: OnceCell<Input>,
    output: OnceCell<*mut pg_sys::FmgrInfo>,
}

/// Converters by type and modifier.
type Converters = RefCell<HashMap<(u32, i32), Rc<Converter>>>;

thread_local! {
    // Never dropped: at the end of the process Postgres' memory has gone.
    static CONVERTERS: ManuallyDrop<Converters> =
        ManuallyDrop::default();
}

/// Memory that lives as long as the backend.
pub(super) fn lasting_memory() -> pg_sys::MemoryContext {
    // SAFETY: a plain read of a pointer that is set at the start of the backend.
    unsafe { pg_sys::TopMemoryContext }
}

impl Converter {
    /// The converter of a type.
    pub(crate) fn of(oid: pg_sys::Oid, typmod: i32) -> Rc<Converter> {
        let key = (oid.to_u32(), typmod);
        if let Some(known) = CONVERTERS.with(|all| all.borrow().get(&key).cloned()) {
            return known;
        }
        let made = Rc::new(Self::make(oid, typmod));
        CONVERTERS.with(|all| all.borrow_mut().insert(key, Rc::clone(&made)));
        made
    }

    fn make(oid: pg_sys::Oid, mut typmod: i32) -> Converter {
        // SAFETY: a catalog lookup; the domain's own modifier replaces the given one.
        let base = unsafe { pg_sys::getBaseTypeAndTypmod(oid, &raw mut typmod) };
        let domain = (base != oid).then(|| Domain {
            oid,
            cache: Cell::new(std::ptr::null_mut()),
        });
        let kind = match base {
            pg_sys::BOOLOID => Kind::Bool,
            pg_sys::INT2OID => Kind::Int2,
            pg_sys::INT4OID => Kind::Int4,
            pg_sys::INT8OID => Kind::Int8,
            pg_sys::OIDOID => Kind::Oid,
            pg_sys::FLOAT4OID => Kind::Float4,
            pg_sys::FLOAT8OID => Kind::Float8,
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Kind::Text,
            pg_sys::BYTEAOID => Kind::Bytea,
            pg_sys::JSONOID => Kind::Json,
            pg_sys::JSONBOID => Kind::Jsonb,
            pg_sys::DATEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Kind::Time,
            _ => Self::compound(base, typmod),
        };
        Converter {
            base,
            typmod,
            kind,
            domain,
            row: RefCell::default(),
            input: OnceCell::new(),
            output: OnceCell::new(),
        }
    }

    fn compound(base: pg_sys::Oid, typmod: i32) -> Kind {
        // SAFETY: catalog lookups; the out parameters are valid.
        unsafe {
            let oid = pg_sys::get_element_type(base);
            if oid != pg_sys::InvalidOid {
                let (mut length, mut by_value, mut alignment) = (0, false, 0);
                pg_sys::get_typlenbyvalalign(
                    oid,
                    &raw mut length,
                    &raw mut by_value,
                    &raw mut alignment,
                );
                let of = Converter::of(oid, typmod);
                return Kind::Array(Element {
                    of,
                    oid,
                    length,
                    by_value,
                    alignment,
                });
            }
            if pg_sys::type_is_rowtype(base) {
                Kind::Row
            } else {
                Kind::Other
            }
        }
    }

    /// What a value of JavaScript must become to be converted.
    pub(crate) fn shape(&self) -> Result<Shape> {
        Ok(match &self.kind {
            Kind::Bool
            | Kind::Int2
            | Kind::Int4
            | Kind::Int8
            | Kind::Oid
            | Kind::Float4
            | Kind::Float8 => Shape::Number,
            Kind::Text | Kind::Bytea | Kind::Time | Kind::Other => Shape::Text,
            Kind::Json | Kind::Jsonb => Shape::Json,
            Kind::Array(element) => Shape::Array(Rc::new(element.of.shape()?)),
            // A value of type record has columns only once it is there.
            Kind::Row if self.base == pg_sys::RECORDOID => Shape::Text,
            Kind::Row => self.row_type()?.shape()?,
        })
    }

    /// Whether values are rows.
    pub(crate) fn is_row(&self) -> bool {
        matches!(self.kind, Kind::Row)
    }

    /// The present columns of a composite type.
    pub(super) fn row_type(&self) -> Result<Rc<RowType>> {
        // SAFETY: a lookup in the type cache, whose entries live as long as the backend; the descriptor is
        // copied before anything could change it.
        unsafe {
            let entry =
                pg_sys::lookup_type_cache(self.base, pg_sys::TYPECACHE_TUPDESC.cast_signed());
            if (*entry).tupDesc.is_null() {
                return Err(Error::InvalidParameter(format!(
                    "type {} has no columns",
                    name_of(self.base)
                )));
            }
            let identifier = (*entry).tupDesc_identifier;
            if let Some((known, row)) = &*self.row.borrow()
                && *known == identifier
            {
                return Ok(Rc::clone(row));
            }
            let made = Rc::new(RowType::copied((*entry).tupDesc));
            self.row.replace(Some((identifier, Rc::clone(&made))));
            Ok(made)
        }
    }

    /// The text form of a value.
    pub(super) fn write(&self, datum: pg_sys::Datum) -> Result<String> {
        let function = *self.output.get_or_init(|| {
            let (mut oid, mut is_varlena) = (pg_sys::InvalidOid, false);
            // SAFETY: a catalog lookup with valid out parameters.
            unsafe {
                pg_sys::getTypeOutputInfo(self.base, &raw mut oid, &raw mut is_varlena);
                lasting_function(oid)
            }
        });
        // SAFETY: the function was looked up for this type, to which the datum belongs; it gives a C string.
        unsafe {
            let text = catch(|| raw::OutputFunctionCall(function, datum))?;
            let written = CStr::from_ptr(text).to_string_lossy().into_owned();
            pg_sys::pfree(text.cast());
            Ok(written)
        }
    }

    /// The value that a text form stands for.
    pub(super) fn read(&self, text: &str) -> Result<pg_sys::Datum> {
        let text = c_string(text)?;
        let (function, io_param) = *self.input.get_or_init(|| {
            let (mut oid, mut io_param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            // SAFETY: a catalog lookup with valid out parameters.
            unsafe {
                pg_sys::getTypeInputInfo(self.base, &raw mut oid, &raw mut io_param);
                (lasting_function(oid), io_param)
            }
        });
        // SAFETY: the function was looked up for this type; the text outlives the call.
        let datum = unsafe {
            catch(|| {
                raw::InputFunctionCall(function, text.as_ptr().cast_mut(), io_param, self.typmod)
            })
        };
        Ok(datum?)
    }

    /// Checks the constraints of the type's domain.
    pub(super) fn check(&self, value: Option<pg_sys::Datum>) -> Result<()> {
        let Some(domain) = &self.domain else {
            return Ok(());
        };
        let datum = value.unwrap_or(pg_sys::Datum::from(0));
        let mut cache = domain.cache.get();
        // SAFETY: the datum is of the domain's base type; the cache is Postgres' own, in lasting memory.
        let checked = unsafe {
            catch(|| {
                raw::domain_check(
                    datum,
                    value.is_none(),
                    domain.oid,
                    &raw mut cache,
                    lasting_memory(),
                );
            })
        };
        domain.cache.set(cache);
        Ok(checked?)
    }

    /// The value as text of its type, for JSON and the like.
    pub(crate) fn type_name(&self) -> String {
        name_of(self.domain.as_ref().map_or(self.base, |domain| domain.oid))
    }
}

/// The data of a text; an error for what Postgres' strings cannot hold.
pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::Untranslatable("SQL cannot hold text with a NUL character".to_owned()))
}

/// # Safety
/// `oid` must be a function's.
unsafe fn lasting_function(oid: pg_sys::Oid) -> *mut pg_sys::FmgrInfo {
    // SAFETY: the allocation is zeroed and large enough, and is never freed.
    unsafe {
        let function =
            pg_sys::MemoryContextAllocZero(lasting_memory(), size_of::<pg_sys::FmgrInfo>())
                .cast::<pg_sys::FmgrInfo>();
        pg_sys::fmgr_info_cxt(oid, function, lasting_memory());
        function
    }
}

/// The name of a type as SQL writes it.
pub(crate) fn name_of(oid: pg_sys::Oid) -> String {
    // SAFETY: gives a C string for any oid.
    unsafe {
        CStr::from_ptr(pg_sys::format_type_be(oid))
            .to_string_lossy()
            .into_owned()
    }
}

/// What a value is called in messages.
pub(super) fn kind_of(data: &Data) -> &'static str {
    match data {
        Data::Null => "null",
        Data::Bool(_) => "a boolean",
        Data::Int(_) | Data::Float(_) => "a number",
        Data::Big(_) => "a BigInt",
        Data::Text(_) | Data::Json(_) => "a string",
        Data::Bytes(_) => "a byte array",
        Data::Array(_) => "an array",
        Data::Record(..) => "an object",
    }
}
