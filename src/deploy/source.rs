//! What a deploy brings: modules, the schema module, a message.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::deploy::{plain, refused};
use crate::error::Result;
use crate::js::{Host, HostError, Interrupts, ModuleSource};
use crate::pg::session;

/// One module as pushed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Module {
    /// Relative to the functions folder, ends in `.js`.
    pub(super) path: String,
    /// JavaScript, an ES module.
    pub(super) source: String,
    /// Its source map.
    #[serde(default)]
    pub(super) source_map: Option<String>,
    /// `isolate` or `node`.
    #[serde(default = "isolate")]
    pub(super) environment: String,
}

fn isolate() -> String {
    "isolate".to_owned()
}

/// All that is pushed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    /// Functions and shared chunks.
    pub(super) modules: Vec<Module>,
    /// The bundle of schema.ts.
    #[serde(default)]
    pub(super) schema: Option<Module>,
    /// The bundle of auth.config.ts.
    #[serde(default)]
    pub(super) auth_config: Option<Module>,
    /// What the deployment is for.
    #[serde(default)]
    pub(super) message: Option<String>,
}

impl Module {
    /// Lower-case hex SHA-256 of source and source map.
    pub(super) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.source.as_bytes());
        hash.update(self.source_map.as_deref().unwrap_or_default().as_bytes());
        hex(&hash.finalize())
    }

    /// Whether functions may be looked for in it.
    pub(super) fn may_hold_functions(&self) -> bool {
        let by_us = ["_deps/", "_generated/"];
        self.environment == "isolate" && !by_us.iter().any(|folder| self.path.starts_with(folder))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Source {
    /// Reads the argument of the deploy functions.
    pub(super) fn parse(text: &str) -> Result<Source> {
        let source = match plain::parse(text)? {
            Some(source) => source,
            None => serde_json::from_str(text).map_err(|error| {
                refused(format!(
                    "the deploy's source is not of the form {{\"modules\":[{{\"path\",\"source\"}}],\
                     \"schema\":{{\"path\",\"source\"}}}}: {error}"
                ))
            })?,
        };
        let mut seen = BTreeMap::new();
        for module in &source.modules {
            let in_tree = module.path.ends_with(".js")
                && !module.path.starts_with('/')
                && module
                    .path
                    .split('/')
                    .all(|part| !matches!(part, "" | "." | ".."));
            if !in_tree {
                return Err(refused(format!(
                    "module path \"{}\" must be relative to the functions folder and end in .js",
                    module.path
                )));
            }
            if seen.insert(&module.path, ()).is_some() {
                return Err(refused(format!(
                    "module \"{}\" is given twice",
                    module.path
                )));
            }
        }
        Ok(source)
    }

    /// One hash over everything that the deployment consists of; `auth`: what auth.config exports now, which
    /// depends on the environment.
    pub(super) fn hash(&self, auth: Option<&str>) -> String {
        let mut parts: Vec<String> = self
            .modules
            .iter()
            .map(|m| format!("{} {} {}\n", m.path, m.environment, m.hash()))
            .collect();
        parts.sort();
        parts.extend(self.schema.iter().map(|m| format!("schema {}\n", m.hash())));
        parts.extend(auth.map(|auth| format!("auth {auth}\n")));
        hex(&Sha256::digest(parts.concat()))
    }
}

/// What code sees while a deploy looks at it: its own modules and the environment, no database.
pub(super) struct Workbench<'a> {
    source: &'a Source,
    environment: &'a HashMap<String, String>,
    /// The first variable that was looked for and is not set.
    pub(super) unset: Option<String>,
}

impl<'a> Workbench<'a> {
    /// A workbench for this source.
    pub(super) fn new(
        source: &'a Source,
        environment: &'a HashMap<String, String>,
    ) -> Workbench<'a> {
        Workbench {
            source,
            environment,
            unset: None,
        }
    }
}

fn no_database(what: &str) -> HostError {
    HostError::js(format!(
        "Can't use {what} at import time. Call it inside of a function."
    ))
}

impl Host for Workbench<'_> {
    fn module(&mut self, path: &str) -> std::result::Result<Option<ModuleSource>, HostError> {
        let Source {
            modules,
            schema,
            auth_config,
            ..
        } = self.source;
        let modules = modules.iter().chain(schema).chain(auth_config);
        Ok(modules
            .filter(|module| module.path == path)
            .map(|module| ModuleSource {
                source: module.source.as_str().into(),
                source_map: module.source_map.as_deref().map(Into::into),
            })
            .next())
    }

    fn syscall(&mut self, op: &str, _args: &str) -> std::result::Result<String, HostError> {
        Err(no_database(&format!("the database ({op})")))
    }

    fn async_syscall(&mut self, op: &str, _args: &str) -> std::result::Result<String, HostError> {
        Err(no_database(&format!("the database ({op})")))
    }

    fn environment_variable(
        &mut self,
        name: &str,
    ) -> std::result::Result<Option<String>, HostError> {
        let value = self.environment.get(name);
        if value.is_none() && self.unset.is_none() {
            self.unset = Some(name.to_owned());
        }
        Ok(value.cloned())
    }

    fn serve_interrupts(&mut self) -> Interrupts {
        session::check_for_interrupts();
        Interrupts::Continue
    }
}
