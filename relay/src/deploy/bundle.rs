//! Bundles an app's modules, by the app's own esbuild under Node.js.

use std::fmt;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{App, EntryPoints, Error};

/// The script that drives esbuild; see its head for what goes in and out.
const BUNDLER: &str = include_str!("bundler.mjs");

/// One bundled module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// Path relative to the functions folder, ending in `.js`.
    pub path: String,
    /// The bundled JavaScript.
    pub source: String,
    /// Its source map, as JSON text.
    pub source_map: Option<String>,
    /// Where the module runs: `isolate`.
    pub environment: String,
}

/// What `live.deploy_start` takes: everything a deployment is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The functions folder as the app names it.
    pub functions: String,
    /// All modules with the chunks they share.
    pub modules: Vec<Module>,
    /// The bundled schema, if the app has one.
    pub schema: Option<Module>,
    /// The bundled auth.config, if the app has one.
    pub auth_config: Option<Module>,
    /// A note of the one who deploys.
    pub message: Option<String>,
}

/// A complaint of the bundler.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What is wrong.
    pub text: String,
    /// The file, relative to the app's folder.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The whole line.
    pub line_text: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = &self.file else {
            return write!(f, "{}", self.text);
        };
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.text)?;
        if !self.line_text.is_empty() {
            write!(f, "\n    {}", self.line_text.trim_end())?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    esbuild: &'a std::path::Path,
    dir: &'a std::path::Path,
    functions_dir: &'a std::path::Path,
    modules: &'a [String],
    schema: Option<&'a str>,
    auth_config: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Reply {
    Failed {
        errors: Vec<Message>,
    },
    Done {
        modules: Vec<Module>,
        schema: Option<Box<Module>>,
        auth_config: Option<Box<Module>>,
        warnings: Vec<Message>,
    },
}

/// Bundles `entries` of `app`; returns what to deploy and the bundler's warnings.
///
/// # Errors
/// When a module does not compile, packages are missing or Node.js cannot be run.
pub(super) async fn bundle(
    app: &App,
    entries: &EntryPoints,
) -> Result<(Source, Vec<Message>), Error> {
    let request = Request {
        esbuild: &app.esbuild()?,
        dir: &app.dir,
        functions_dir: &app.functions_dir,
        modules: &entries.isolate,
        schema: entries.schema.as_deref(),
        auth_config: entries.auth_config.as_deref(),
    };
    let request = serde_json::to_vec(&request).map_err(Error::Encode)?;
    match run(&request).await? {
        Reply::Failed { errors } => Err(Error::Compile { errors }),
        Reply::Done {
            modules,
            schema,
            auth_config,
            warnings,
        } => {
            let functions = app.functions.clone();
            Ok((
                Source {
                    functions,
                    modules,
                    schema: schema.map(|module| *module),
                    auth_config: auth_config.map(|module| *module),
                    message: None,
                },
                warnings,
            ))
        }
    }
}

async fn run(request: &[u8]) -> Result<Reply, Error> {
    let mut child = Command::new("node")
        .args(["--input-type=module", "-e", BUNDLER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::NoNode)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If the script ended early its own message says more than a broken pipe.
        let _ = stdin.write_all(request).await;
    }
    let output = child.wait_with_output().await.map_err(Error::NoNode)?;
    serde_json::from_slice(&output.stdout).map_err(|_| Error::Bundler {
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_line_and_column() {
        let message = Message {
            text: "Expected \";\"".into(),
            file: Some("convex/a.ts".into()),
            line: 3,
            column: 7,
            line_text: "let a b".into(),
        };
        assert_eq!(
            message.to_string(),
            "convex/a.ts:3:7: Expected \";\"\n    let a b"
        );
        let bare = Message {
            file: None,
            ..message
        };
        assert_eq!(bare.to_string(), "Expected \";\"");
    }

    #[test]
    fn a_source_has_the_form_the_extension_reads() {
        let module = Module {
            path: "a.js".into(),
            source: "1".into(),
            source_map: None,
            environment: "isolate".into(),
        };
        let source = Source {
            functions: "convex/".into(),
            modules: vec![module],
            schema: None,
            auth_config: None,
            message: None,
        };
        assert_eq!(
            serde_json::to_value(&source).unwrap(),
            serde_json::json!({
                "functions": "convex/",
                "modules": [
                    {"path": "a.js", "source": "1", "sourceMap": null, "environment": "isolate"}
                ],
                "schema": null,
                "authConfig": null,
                "message": null
            })
        );
    }
}
