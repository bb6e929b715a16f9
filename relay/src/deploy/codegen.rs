//! Writes the `_generated` folder: typed references to an app's functions and tables.
//!
//! The files export the same names with the same types as those of the npm package's own tool.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use super::entry_points::stem;
use super::{App, EntryPoints, Error};

/// Words that are fine as a property but not as the name of an import.
#[rustfmt::skip]
const RESERVED: [&str; 50] = [
    "api", "await", "break", "case", "catch", "class", "components", "const", "continue",
    "debugger", "default", "delete", "do", "else", "enum", "export", "extends", "false",
    "finally", "for", "fullApi", "function", "if", "implements", "import", "in", "instanceof",
    "interface", "internal", "let", "new", "null", "package", "private", "protected", "public",
    "return", "static", "super", "switch", "this", "throw", "true", "try", "typeof", "var",
    "void", "while", "with", "yield",
];

/// Brings `_generated` up to date; returns how many files changed.
///
/// A file whose content is right is left alone, so that watching tools stay quiet.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(app: &App, entries: &EntryPoints) -> Result<usize, Error> {
    let dir = app.functions_dir.join("_generated");
    std::fs::create_dir_all(&dir).map_err(|source| Error::Io {
        path: dir.clone(),
        source,
    })?;
    let data_model = if entries.schema.is_some() {
        include_str!("templates/dataModel.d.ts")
    } else {
        include_str!("templates/dataModel.any.d.ts")
    };
    // Each file after those it imports.
    let files = [
        ("dataModel.d.ts", data_model.to_owned()),
        (
            "server.d.ts",
            include_str!("templates/server.d.ts").to_owned(),
        ),
        ("server.js", include_str!("templates/server.js").to_owned()),
        ("api.d.ts", api_types(&entries.modules())),
        ("api.js", include_str!("templates/api.js").to_owned()),
    ];
    let mut changed = 0;
    for (name, text) in files {
        changed += usize::from(write_if_changed(&dir.join(name), &text)?);
    }
    Ok(changed)
}

/// Writes a file unless its content is right; returns whether it did.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<bool, Error> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    std::fs::write(path, text).map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(true)
}

/// `api.d.ts` for the given modules.
fn api_types(modules: &[&str]) -> String {
    let (mut imports, mut members) = (String::new(), String::new());
    let mut taken = HashSet::new();
    for module in modules {
        let path = stem(module);
        let mut name = identifier(path);
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(imports, "import type * as {name} from \"../{path}.js\";");
        let _ = writeln!(members, "  \"{path}\": typeof {name};");
    }
    if !imports.is_empty() {
        imports.push('\n');
    }
    include_str!("templates/api.d.ts")
        .replace("@IMPORTS@", &imports)
        .replace("@MODULES@", &members)
}

/// The name under which a module is imported.
fn identifier(path: &str) -> String {
    let mut name = path.replace(['/', '-'], "_");
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_imported_under_a_name_of_its_own() {
        let text = api_types(&["a-b/x.ts", "a_b/x.ts", "delete.ts", "messages.ts"]);
        for line in [
            "import type * as a_b_x from \"../a-b/x.js\";",
            "import type * as a_b_x_ from \"../a_b/x.js\";",
            "import type * as delete_ from \"../delete.js\";",
            "  \"messages\": typeof messages;",
            "  \"a-b/x\": typeof a_b_x;",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains('@') || text.contains("@module"), "{text}");
    }

    #[test]
    fn files_are_only_written_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("convex")).unwrap();
        std::fs::write(dir.path().join("convex/a.ts"), "export const a = 1;").unwrap();
        let app = App::open(dir.path()).unwrap();
        let entries = EntryPoints::find(&app).unwrap();
        assert_eq!(write(&app, &entries).unwrap(), 5);
        assert_eq!(write(&app, &entries).unwrap(), 0);
        let model = app.functions_dir.join("_generated/dataModel.d.ts");
        assert!(
            std::fs::read_to_string(&model)
                .unwrap()
                .contains("AnyDataModel")
        );

        std::fs::write(app.functions_dir.join("schema.ts"), "export default {};").unwrap();
        let entries = EntryPoints::find(&app).unwrap();
        assert_eq!(write(&app, &entries).unwrap(), 1);
        assert!(
            std::fs::read_to_string(&model)
                .unwrap()
                .contains("../schema.js")
        );
    }
}
