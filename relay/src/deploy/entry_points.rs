//! Which files of a functions folder are modules of their own.

use std::path::{Path, PathBuf};

use super::{App, Error};

/// File name extensions that the bundler reads as JavaScript or TypeScript.
const EXTENSIONS: [&str; 8] = ["js", "mjs", "cjs", "ts", "tsx", "mts", "cts", "jsx"];

/// Modules that must run where queries run, with or without a directive.
const ALWAYS_ISOLATE: [&str; 2] = ["http", "crons"];

/// The modules of an app, each as a path relative to the functions folder with `/` between names.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EntryPoints {
    /// Modules for the runtime inside the database.
    pub isolate: Vec<String>,
    /// Modules that ask for Node.js by the directive `"use node"`.
    pub node: Vec<String>,
    /// `schema.ts` or `schema.js`.
    pub schema: Option<String>,
    /// `auth.config.ts` or `auth.config.js`.
    pub auth_config: Option<String>,
}

impl EntryPoints {
    /// Finds the modules of `app`, sorted by path.
    ///
    /// # Errors
    /// When a folder or file is not readable, or breaks a rule on names or directives.
    pub fn find(app: &App) -> Result<Self, Error> {
        let root = &app.functions_dir;
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort();

        let mut found = Self {
            schema: first_file(root, ["schema.ts", "schema.js"]),
            auth_config: first_file(root, ["auth.config.ts", "auth.config.js"]),
            ..Self::default()
        };
        for file in files {
            if file.starts_with("_deps/") {
                return Err(Error::Reserved {
                    file: format!("{}{file}", app.functions),
                });
            }
            if is_module_name(&file) {
                found.add(app, file)?;
            }
        }
        Ok(found)
    }

    /// Every module, as the generated `api` lists them.
    pub fn modules(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self
            .isolate
            .iter()
            .chain(&self.node)
            .map(String::as_str)
            .collect();
        all.sort_unstable();
        all
    }

    fn add(&mut self, app: &App, file: String) -> Result<(), Error> {
        let path = app.functions_dir.join(&file);
        let source = std::fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
        if is_typescript(&file) && !has_import_or_export(&source) {
            return Ok(());
        }
        if !has_use_node(&source) {
            self.isolate.push(file);
        } else if ALWAYS_ISOLATE.contains(&stem(&file)) {
            return Err(Error::UseNode {
                file: format!("{}{file}", app.functions),
            });
        } else {
            self.node.push(file);
        }
        Ok(())
    }
}

/// The path without its extension: `a/b.ts` is `a/b`.
pub(super) fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn first_file(root: &Path, names: [&str; 2]) -> Option<String> {
    names
        .into_iter()
        .find(|name| root.join(name).is_file())
        .map(str::to_owned)
}

/// Collects all files under `dir`; folders that define a component of their own are left out.
fn walk(root: &Path, dir: &Path, files: &mut Vec<String>) -> Result<(), Error> {
    let io = |source| Error::Io {
        path: dir.to_path_buf(),
        source,
    };
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        let path = entry.path();
        if kind.is_dir() {
            if !is_component(&path) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() {
            files.push(relative(root, &path)?);
        }
    }
    Ok(())
}

fn is_component(dir: &Path) -> bool {
    ["convex.config.ts", "convex.config.js"]
        .iter()
        .any(|name| dir.join(name).is_file())
}

fn relative(root: &Path, path: &Path) -> Result<String, Error> {
    path.strip_prefix(root)
        .ok()
        .and_then(Path::to_str)
        .map(str::to_owned)
        .ok_or_else(|| Error::NotUnicode {
            path: PathBuf::from(path),
        })
}

/// Whether a file of that relative path may be a module.
fn is_module_name(file: &str) -> bool {
    let base = file.rsplit_once('/').map_or(file, |(_, base)| base);
    let known = base
        .rsplit_once('.')
        .is_some_and(|(_, ext)| EXTENSIONS.contains(&ext));
    known
        && !file.starts_with("_generated/")
        && !base.starts_with(['.', '#'])
        && base != "schema.ts"
        && base != "schema.js"
        // Tests and settings: `x.test.ts`, `auth.config.ts`.
        && base.matches('.').count() == 1
        && !file.contains(' ')
}

fn is_typescript(file: &str) -> bool {
    file.ends_with(".ts") || file.ends_with(".tsx")
}

/// A TypeScript file is a module only if it imports or exports something.
fn has_import_or_export(source: &str) -> bool {
    source
        .lines()
        .map(str::trim_start)
        .any(|line| line.starts_with("import") || line.starts_with("export"))
}

/// Whether the directives at the top of a file include `"use node"`.
fn has_use_node(source: &str) -> bool {
    let mut rest = source.trim_start_matches('\u{feff}');
    if rest.starts_with("#!") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    loop {
        rest = skip_space_and_comments(rest).trim_start_matches(';');
        rest = skip_space_and_comments(rest);
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return false;
        };
        let body = &rest[1..];
        let Some(end) = body.find([quote, '\n']) else {
            return false;
        };
        if &body[..end] == "use node" {
            return true;
        }
        rest = body.get(end + 1..).unwrap_or("");
    }
}

fn skip_space_and_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let Some(after) = (if text.starts_with("//") {
            Some(text.split_once('\n').map_or("", |(_, rest)| rest))
        } else if text.starts_with("/*") {
            Some(text.split_once("*/").map_or("", |(_, rest)| rest))
        } else {
            None
        }) else {
            return text;
        };
        text = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[(&str, &str)]) -> (tempfile::TempDir, App) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join("convex").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let app = App::open(dir.path()).unwrap();
        (dir, app)
    }

    const MODULE: &str = "export const a = 1;\n";

    #[test]
    fn modules_are_found_and_the_rest_is_left_out() {
        let (_dir, app) = app(&[
            ("messages.ts", MODULE),
            ("a/b.js", "1"),
            ("a/c.tsx", MODULE),
            ("http.ts", MODULE),
            ("schema.ts", MODULE),
            ("auth.config.ts", MODULE),
            ("x.test.ts", MODULE),
            ("_generated/api.js", MODULE),
            (".hidden.ts", MODULE),
            ("#lock.ts", MODULE),
            ("with space.ts", MODULE),
            ("styles.css", ""),
            ("empty.ts", "// nothing\n"),
            ("part/convex.config.ts", MODULE),
            ("part/inner.ts", MODULE),
        ]);
        let found = EntryPoints::find(&app).unwrap();
        assert_eq!(
            found.isolate,
            ["a/b.js", "a/c.tsx", "http.ts", "messages.ts"]
        );
        assert!(found.node.is_empty());
        assert_eq!(found.schema.as_deref(), Some("schema.ts"));
        assert_eq!(found.auth_config.as_deref(), Some("auth.config.ts"));
    }

    #[test]
    fn node_modules_are_told_apart_by_their_directive() {
        let (_dir, app) = app(&[
            (
                "mail.ts",
                "// sends mail\n\"use strict\";\n'use node';\nexport const a = 1;\n",
            ),
            ("plain.ts", "export const text = \"use node\";\n"),
        ]);
        let found = EntryPoints::find(&app).unwrap();
        assert_eq!(found.node, ["mail.ts"]);
        assert_eq!(found.isolate, ["plain.ts"]);
        assert_eq!(found.modules(), ["mail.ts", "plain.ts"]);
    }

    #[test]
    fn reserved_names_and_misplaced_directives_are_errors() {
        let (_dir, first) = app(&[("_deps/a.ts", MODULE)]);
        assert!(matches!(
            EntryPoints::find(&first),
            Err(Error::Reserved { .. })
        ));
        let (_dir, second) = app(&[("http.ts", "\"use node\";\nexport default 1;\n")]);
        assert!(matches!(
            EntryPoints::find(&second),
            Err(Error::UseNode { .. })
        ));
    }

    #[test]
    fn directives_end_at_the_first_statement() {
        assert!(has_use_node("\u{feff}/* a */ 'use node'"));
        assert!(has_use_node("#!/usr/bin/env node\n\"use node\";"));
        assert!(!has_use_node("const a = 1;\n\"use node\";"));
        assert!(!has_use_node("\"use node"));
        assert!(!has_use_node(""));
    }
}
