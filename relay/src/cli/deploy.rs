//! `pg-live deploy`, `pg-live rollback` and `pg-live deployments`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::database::{Target, resolve};
use super::exit::Failure;
use super::terminal::{self, Progress, note, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct DeployArgs {
    /// Folder of the app: the one that holds package.json and convex/
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// Database to deploy to, as the role that owns the deployment
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,
    /// What the deployment is for; `pg-live deployments` shows it
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Whether types are checked before: `try` does so if it can be done
    #[arg(long, value_enum, default_value_t)]
    typecheck: Typecheck,
    /// Deploy nothing: print what would be sent (the argument of live.deploy) as JSON
    #[arg(long)]
    dry_run: bool,
}

/// Whether types are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Typecheck {
    /// If the app has TypeScript and a tsconfig.json.
    #[default]
    Try,
    /// Else nothing is deployed.
    Enable,
    /// Not at all.
    Disable,
}

#[derive(clap::Args, Debug)]
pub(super) struct RollbackArgs {
    /// Number of the deployment to go back to [default: the one before the one in force]
    deployment: Option<i64>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
pub(super) struct DeploymentsArgs {
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: DeployArgs, json: bool) -> Result<(), Failure> {
    let app = deploy::App::open(&args.app_dir)?;
    let mut prepared = deploy::prepare(&app).await?;
    check_types(&app, args.typecheck).await?;
    prepared.source.message = args.message;
    for line in &prepared.notes {
        note(line);
    }
    if args.dry_run {
        print_line(&serde_json::to_string(&prepared.source)?);
        return Ok(());
    }
    let url = resolve(args.url.as_deref(), &app.dir).map_err(|error| match error {
        // As it was given, not as it was found.
        deploy::Error::NoTarget { variable, .. } => deploy::Error::NoTarget {
            app: args.app_dir,
            variable,
        },
        other => other,
    })?;
    let bar = Progress::start("deploying");
    let deployed = deploy::deploy(&prepared.source, &url).await;
    bar.end();
    let deployed = deployed?;
    if json {
        print_line(&serde_json::to_string(&deployed)?);
    } else {
        print_line(&deployed.summary());
    }
    Ok(())
}

async fn check_types(app: &deploy::App, wanted: Typecheck) -> Result<(), Failure> {
    let bar = match wanted {
        Typecheck::Disable => return Ok(()),
        Typecheck::Try | Typecheck::Enable => Progress::start("checking types"),
    };
    let checked = deploy::check_types(app).await;
    bar.end();
    match checked? {
        deploy::Types::Right => Ok(()),
        deploy::Types::Wrong(what) => Err(Failure::new(format!(
            "types are wrong, nothing was deployed (--typecheck disable deploys nevertheless):\n{what}"
        ))),
        deploy::Types::Unknown(reason) if wanted == Typecheck::Enable => {
            Err(Failure::new(format!("types cannot be checked: {reason}")))
        }
        deploy::Types::Unknown(_) => Ok(()),
    }
}

pub(super) async fn rollback(args: RollbackArgs, json: bool) -> Result<(), Failure> {
    let client = args.target.connect().await?;
    let deployment = match args.deployment {
        Some(deployment) => deployment,
        None => {
            let row = client
                .query_opt(
                    "SELECT d.base FROM live.active AS a JOIN live.deployments AS d ON d.id = a.deployment
                     JOIN live.deployments AS b ON b.id = d.base WHERE a.component = ''",
                    &[],
                )
                .await
                .map_err(deploy::Error::Sql)?;
            row.map(|row| row.get(0)).ok_or_else(|| {
                Failure::new(
                    "there is no deployment before the one in force: `pg-live deployments` shows which are kept",
                )
            })?
        }
    };
    let bar = Progress::start("rolling back");
    let deployed = deploy::rollback(&client, deployment).await;
    bar.end();
    let deployed = deployed?;
    if json {
        print_line(&serde_json::to_string(&deployed)?);
    } else {
        print_line(&format!(
            "code and schema are those of deployment {deployment} again, as deployment {}",
            deployed.deployment
        ));
    }
    Ok(())
}

pub(super) async fn list(args: DeploymentsArgs, json: bool) -> Result<(), Failure> {
    let client = args.target.connect().await?;
    let rows = client
        .query(
            "SELECT d.id, pg_catalog.to_char(coalesce(d.finished_at, d.created_at), 'YYYY-MM-DD HH24:MI:SS OF'),
                 d.author::text, d.message, d.diff, a.deployment IS NOT NULL, d.finished_at IS NOT NULL
             FROM live.deployments AS d LEFT JOIN live.active AS a ON a.deployment = d.id ORDER BY d.id DESC",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let mut shown = Vec::new();
    for row in rows {
        let (id, at, author): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
        let message: Option<String> = row.get(3);
        let diff: Option<Value> = row.get(4);
        let (in_force, finished): (bool, bool) = (row.get(5), row.get(6));
        let state = match (in_force, finished) {
            (true, _) => "in force",
            (false, true) => "",
            (false, false) => "not finished",
        };
        if json {
            print_line(
                &json!({"id": id, "at": at, "author": author, "message": message, "diff": diff,
                    "inForce": in_force, "finished": finished})
                .to_string(),
            );
        } else {
            let changes = diff.as_ref().map(changes).unwrap_or_default();
            let words = message.unwrap_or_default();
            shown.push(vec![
                id.to_string(),
                at,
                author,
                state.to_owned(),
                changes,
                words,
            ]);
        }
    }
    if !json {
        let headings = ["id", "at", "author", "", "changes", "message"];
        print_line(&terminal::table(&headings, &shown));
    }
    Ok(())
}

/// A diff in a line: `functions +2 ~1 -0, ...`.
fn changes(diff: &Value) -> String {
    let mut parts = Vec::new();
    for kind in ["functions", "tables", "indexes"] {
        let count = |change: &str| diff[kind][change].as_array().map_or(0, Vec::len);
        let signs: Vec<String> = [("+", "added"), ("~", "changed"), ("-", "removed")]
            .iter()
            .map(|(sign, change)| (sign, count(change)))
            .filter(|(_, count)| *count > 0)
            .map(|(sign, count)| format!("{sign}{count}"))
            .collect();
        if !signs.is_empty() {
            parts.push(format!("{kind} {}", signs.join(" ")));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_fits_into_a_line() {
        let diff = json!({"functions": {"added": ["a:b", "a:c"], "removed": ["x:y"]}, "tables": {},
            "indexes": {"changed": ["t.by_x"]}});
        assert_eq!(changes(&diff), "functions +2 -1, indexes ~1");
    }
}
