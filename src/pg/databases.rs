//! Statements that concern more than the objects of a database: those that need one without anybody in it, as our
//! workers are, and those that change roles.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    // Without the guard that the generated bindings add: an ERROR may jump over the callers' frames.
    fn get_database_oid(name: *const c_char, missing_ok: bool) -> pg_sys::Oid;
    fn pg_database_ownercheck(database: pg_sys::Oid, role: pg_sys::Oid) -> bool;
    fn GetUserId() -> pg_sys::Oid;
    fn defGetString(option: *mut pg_sys::DefElem) -> *mut c_char;
}

/// What a statement wants of a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emptied {
    /// Its oid.
    pub(super) database: u32,
    /// Whoever is in it is to be thrown out.
    pub(super) by_force: bool,
}

/// DROP DATABASE, ALTER DATABASE ... RENAME and CREATE DATABASE ... TEMPLATE by the owner of the database that must be
/// empty.
///
/// # Safety
/// `statement` is a node of a statement that is about to be executed, in a transaction. The caller's frame owns
/// nothing: an ERROR jumps over it.
pub(super) unsafe fn emptied_by(statement: *mut pg_sys::Node) -> Option<Emptied> {
    // SAFETY: each node is cast by its tag.
    let (name, by_force) = unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_DropdbStmt => {
                let drop = statement.cast::<pg_sys::DropdbStmt>();
                ((*drop).dbname, !(*drop).options.is_null())
            }
            pg_sys::NodeTag::T_CreatedbStmt => {
                let create = statement.cast::<pg_sys::CreatedbStmt>();
                (template((*create).options)?, false)
            }
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = statement.cast::<pg_sys::RenameStmt>();
                if (*rename).renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                    return None;
                }
                ((*rename).subname, false)
            }
            _ => return None,
        }
    };
    if name.is_null() {
        return None;
    }
    // SAFETY: catalog look-ups in a transaction.
    let database = unsafe {
        let database = get_database_oid(name, true);
        let owned = database != pg_sys::InvalidOid && pg_database_ownercheck(database, GetUserId());
        owned.then_some(database.to_u32())
    }?;
    Some(Emptied { database, by_force })
}

/// Whether a statement changes who may do what without an event trigger that says so: roles and their members, and
/// what DROP OWNED revokes or REASSIGN OWNED gives.
///
/// # Safety
/// `statement` is a node of a statement.
pub(super) unsafe fn changes_roles(statement: *mut pg_sys::Node) -> bool {
    use pg_sys::NodeTag as Tag;
    // SAFETY: a node is cast by its tag.
    unsafe {
        match (*statement).type_ {
            Tag::T_GrantRoleStmt
            | Tag::T_CreateRoleStmt
            | Tag::T_AlterRoleStmt
            | Tag::T_DropRoleStmt
            | Tag::T_DropOwnedStmt
            | Tag::T_ReassignOwnedStmt => true,
            Tag::T_RenameStmt => {
                let rename = statement.cast::<pg_sys::RenameStmt>();
                (*rename).renameType == pg_sys::ObjectType::OBJECT_ROLE
            }
            _ => false,
        }
    }
}

/// The option TEMPLATE of CREATE DATABASE.
///
/// # Safety
/// As [`emptied_by`]; `options` is a list of `DefElem`, or null.
unsafe fn template(options: *mut pg_sys::List) -> Option<*mut c_char> {
    // SAFETY: as the caller promises.
    unsafe {
        let length = usize::try_from(options.as_ref()?.length).ok()?;
        (0..length)
            .map(|index| {
                (*(*options).elements.add(index))
                    .ptr_value
                    .cast::<pg_sys::DefElem>()
            })
            .find(|option| CStr::from_ptr((**option).defname) == c"template")
            .map(|option| defGetString(option))
    }
}
