//! How functions name functions: by path, by reference, by handle.

use pg_live_values::FunctionPath;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::documents::catalog::Catalog;

/// How a reference to a function of the app itself begins.
const OWN_REFERENCE: &str = "_reference/function/";
/// How a handle begins.
const HANDLE: &str = "function://";
/// Bytes of a handle's id.
const HANDLE_ID_BYTES: usize = 16;

/// The function that the address in the arguments of a syscall names: one of `name`, `reference`,
/// `functionHandle`. The error is the message for the function.
pub(crate) fn resolve(catalog: &Catalog, args: &Json) -> Result<FunctionPath, String> {
    let text = |name: &str| args[name].as_str();
    match (text("name"), text("reference"), text("functionHandle")) {
        (Some(name), None, None) => FunctionPath::parse(name).map_err(|error| error.to_string()),
        (None, Some(reference), None) => match reference.strip_prefix(OWN_REFERENCE) {
            Some(path) => FunctionPath::parse(path).map_err(|error| error.to_string()),
            None => Err(format!(
                "{reference} does not name a function of this app. Components are not available in \
                 pg_live yet (see LIMITATIONS.md)."
            )),
        },
        (None, None, Some(handle)) => of_handle(catalog, handle),
        _ => Err(
            "Invalid function address: expected one of `name`, `reference` and `functionHandle`"
                .to_owned(),
        ),
    }
}

/// The handle of a function. It stays the same as long as the database exists, over deploys, dumps
/// and restores, and cannot be made up: its id depends on a key of the database.
///
/// # Errors
/// The message for the function, if the database has no key.
pub(crate) fn handle(catalog: &Catalog, path: &FunctionPath) -> Result<String, String> {
    let key = catalog.handle_key.as_ref().ok_or_else(|| {
        "Function handles need a key: as a superuser, run live.setup() of this database again"
            .to_owned()
    })?;
    let path = path.stripped();
    let mut hash = Sha256::new();
    // Component, always the root so far, and path.
    for part in [key.as_str(), "", &path] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let id: String = hash.finalize()[..HANDLE_ID_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("{HANDLE}{id}#{path}"))
}

fn of_handle(catalog: &Catalog, text: &str) -> Result<FunctionPath, String> {
    let unknown = || {
        format!(
            "Function handle {text} is not known. Make handles with createFunctionHandle(), in this \
             deployment."
        )
    };
    let (_, path) = text
        .strip_prefix(HANDLE)
        .and_then(|rest| rest.split_once('#'))
        .ok_or_else(unknown)?;
    let path = FunctionPath::parse(path).map_err(|_| unknown())?;
    if handle(catalog, &path)? == text {
        Ok(path)
    } else {
        Err(unknown())
    }
}
