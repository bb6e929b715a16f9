//! Checks the types of an app's functions, by its own TypeScript.

use std::process::Stdio;

use tokio::process::Command;

use super::{App, Error};

/// What a check of types found.
#[derive(Debug, PartialEq, Eq)]
pub enum Types {
    /// They are right.
    Right,
    /// What the compiler says.
    Wrong(String),
    /// They cannot be checked; why.
    Unknown(String),
}

/// Checks the functions folder of `app`.
///
/// # Errors
/// When Node.js cannot be started.
pub async fn check_types(app: &App) -> Result<Types, Error> {
    let config = app.functions_dir.join("tsconfig.json");
    if !config.is_file() {
        let reason = format!("there is no {}", config.display());
        return Ok(Types::Unknown(reason));
    }
    let Some(compiler) = app.package_file("typescript", "bin/tsc") else {
        let reason = "the package typescript is not installed: npm install --save-dev typescript";
        return Ok(Types::Unknown(reason.to_owned()));
    };
    let checked = Command::new("node")
        .arg(compiler)
        .args(["--noEmit", "--pretty", "false", "--project"])
        .arg(&config)
        .current_dir(&app.dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::NoNode)?;
    if checked.status.success() {
        return Ok(Types::Right);
    }
    let said = [checked.stdout, checked.stderr].concat();
    Ok(Types::Wrong(
        String::from_utf8_lossy(&said).trim_end().to_owned(),
    ))
}
