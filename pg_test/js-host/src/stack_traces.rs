//! The texts of uncaught errors, against golden files. `stacks/` holds the functions, bundled with their maps.

use std::fs;
use std::path::Path;

use crate::js::JsError;
use crate::support::{App, assert_golden};

/// The bundle, and nothing before its modules.
fn bundle() -> App {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/stacks/bundle"));
    let mut app = App::default();
    for folder in ["", "_deps"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "js") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let map = fs::read_to_string(format!("{}.map", path.display())).unwrap();
                app = app.with(name, &fs::read_to_string(&path).unwrap(), Some(&map));
            }
        }
    }
    app
}

fn error(module: &'static str, export: &'static str) -> JsError {
    bundle().call_export(module, export).result.unwrap_err()
}

fn shown(error: &JsError) -> String {
    let data = error.data.as_deref();
    let data = data.map_or_else(String::new, |data| format!("data: {data}\n"));
    format!("{}{data}", error.message)
}

#[test]
fn every_shape() {
    const EXPORTS: [&str; 20] = [
        "sync",
        "asynchronous",
        "method",
        "staticMethod",
        "getter",
        "anonymous",
        "chunk",
        "convexError",
        "convexErrorText",
        "thrownText",
        "thrownObject",
        "thrownNothing",
        "noMessage",
        "named",
        "manyLines",
        "cause",
        "nestedCall",
        "unhandled",
        "nowhere",
        "overflow",
    ];
    for export in EXPORTS {
        assert_golden(export, &shown(&error("stacks.js", export)));
    }
}

#[test]
fn modules_that_do_not_load() {
    assert_golden("import", &shown(&error("broken_import.js", "f")));
    assert_golden("missing_module", &shown(&error("missing.js", "f")));
    let broken = App::default().with("m.js", "export const f = 1;\nconst = 2;\n", None);
    let error = broken.call_export("m.js", "f").result.unwrap_err();
    assert_golden("syntax", &shown(&error));
}
