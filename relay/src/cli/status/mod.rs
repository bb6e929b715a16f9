//! `pg-live status`: looks at everything that a deployment needs, and says what to fix.

mod checks;

use std::process::ExitCode;

use serde_json::json;
use tokio_postgres::Client;

use super::database::Target;
use super::exit::{Code, Failure};
use super::terminal::{BAD, DIM, GOOD, WARN, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    target: Target,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Good,
    /// Works, but look at it.
    Look,
    /// Does not work.
    Broken,
}

/// What one check found.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    /// What to do about it.
    fix: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Good,
            found: found.into(),
            fix: None,
        }
    }

    fn look(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Look,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    fn broken(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Broken,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}

pub(super) async fn run(args: StatusArgs, json: bool) -> Result<ExitCode, Failure> {
    let client = deploy::connect_anywhere(&args.target.url()?).await?;
    let findings = all(&client).await;
    for finding in &findings {
        if json {
            let state = match finding.state {
                State::Good => "good",
                State::Look => "look",
                State::Broken => "broken",
            };
            print_line(
                &json!({"what": finding.what, "state": state, "found": finding.found, "fix": finding.fix})
                    .to_string(),
            );
        } else {
            show(finding);
        }
    }
    let broken = findings
        .iter()
        .filter(|finding| finding.state == State::Broken)
        .count();
    if broken > 0 {
        return Ok(ExitCode::from(Code::Unhealthy as u8));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(finding: &Finding) {
    let (style, mark) = match finding.state {
        State::Good => (GOOD, "ok"),
        State::Look => (WARN, "look"),
        State::Broken => (BAD, "bad"),
    };
    print_line(&format!(
        "{style}{mark:<4}{style:#}  {:<13} {}",
        finding.what, finding.found
    ));
    if let Some(fix) = &finding.fix {
        print_line(&format!("      {:<13} {DIM}fix:{DIM:#} {fix}", ""));
    }
}

/// Every check, in an order in which the first thing that is wrong explains the others.
async fn all(client: &Client) -> Vec<Finding> {
    let mut findings = Vec::new();
    for finding in [
        checks::server(client).await,
        checks::encoding(client).await,
        checks::preload(client).await,
    ] {
        findings.push(finding.unwrap_or_else(|error| unreadable(&error)));
    }
    let extension = checks::extension(client)
        .await
        .unwrap_or_else(|error| unreadable(&error));
    let usable = extension.state != State::Broken;
    findings.push(extension);
    if !usable {
        return findings;
    }
    for finding in [
        checks::owner(client).await,
        checks::deployment(client).await,
        checks::relay_role(client).await,
        checks::workers(client).await,
        checks::worker(client).await,
        checks::relays(client).await,
        checks::capture(client).await,
        checks::wal_level(client).await,
        checks::slots(client).await,
        checks::standbys(client).await,
        checks::indexes(client).await,
    ] {
        findings.push(finding.unwrap_or_else(|error| unreadable(&error)));
    }
    findings
}

/// A check that the role may not make.
fn unreadable(error: &tokio_postgres::Error) -> Finding {
    Finding::look(
        "(a check)",
        format!("could not be made: {}", deploy::sql_reason(error)),
        "run `pg-live status` as the owner of the deployment, or as a superuser (--url)",
    )
}
