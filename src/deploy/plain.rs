//! Plain sources: JavaScript modules by path, as somebody writes them in SQL, without a bundler.
//!
//! What they import by name is added here, from the library beside this file: `convex/server` and `convex/values`
//! of the npm package, and `_generated/server` as a bundled app has it.

use serde_json::{Map, Value as Json};

use crate::deploy::refused;
use crate::deploy::source::{Module, Source};
use crate::error::Result;

/// Modules that plain sources may import; those of `convex` are made by `src/js/runtime/web/build.mjs`.
const LIBRARY: [(&str, &str); 5] = [
    ("_deps/convex/server.js", include_str!("library/server.js")),
    ("_deps/convex/values.js", include_str!("library/values.js")),
    ("_deps/convex/shared.js", include_str!("library/shared.js")),
    (
        "_generated/server.js",
        include_str!("../../relay/src/deploy/templates/server.js"),
    ),
    (
        "_generated/api.js",
        include_str!("../../relay/src/deploy/templates/api.js"),
    ),
];

/// A module that may be imported by name, by its place in the tree.
pub(crate) fn library(path: &str) -> Option<&'static str> {
    let found = LIBRARY.iter().find(|(known, _)| *known == path);
    found.map(|(_, text)| *text)
}

/// The source, if the text is an object of modules by path; `None`: it is what a bundler gives.
pub(super) fn parse(text: &str) -> Result<Option<Source>> {
    let Ok(Json::Object(modules)) = serde_json::from_str(text) else {
        return Ok(None);
    };
    if modules.contains_key("modules") {
        return Ok(None);
    }
    from_modules(&modules).map(Some)
}

fn from_modules(given: &Map<String, Json>) -> Result<Source> {
    let mut source = Source {
        modules: Vec::new(),
        schema: None,
        auth_config: None,
        message: None,
    };
    if given.is_empty() {
        return Err(refused(
            "the deploy's source has no modules: give an object of JavaScript by path, as \
             json_build_object('messages.js', '...')",
        ));
    }
    for (path, text) in given {
        let Json::String(text) = text else {
            return Err(refused(format!(
                "module \"{path}\" must be a string of JavaScript"
            )));
        };
        check_path(path)?;
        match path.as_str() {
            "auth.config.js" => source.auth_config = Some(module(path, text)),
            "schema.js" => {
                source.schema = Some(module(path, text));
                // Other modules may import it.
                source.modules.push(module(path, text));
            }
            _ => source.modules.push(module(path, text)),
        }
    }
    for (path, text) in LIBRARY {
        if !given.contains_key(path) {
            source.modules.push(module(path, text));
        }
    }
    Ok(source)
}

fn check_path(path: &str) -> Result<()> {
    if path.ends_with(".ts") || path.ends_with(".tsx") {
        return Err(refused(format!(
            "module \"{path}\" is TypeScript, which must be compiled first: deploy it by `pg-live deploy`"
        )));
    }
    if path.starts_with("_deps/") {
        return Err(refused(format!(
            "module \"{path}\": folder _deps is reserved for what modules share"
        )));
    }
    Ok(())
}

fn module(path: &str, text: &str) -> Module {
    Module {
        path: path.to_owned(),
        source: text.to_owned(),
        source_map: None,
        environment: "isolate".to_owned(),
    }
}
