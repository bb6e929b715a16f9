//! `pg-live env`.

use super::database::Target;
use super::exit::Failure;
use super::terminal::print_line;
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct EnvArgs {
    #[command(subcommand)]
    action: EnvAction,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Subcommand, Debug)]
enum EnvAction {
    /// Print all variables, one NAME=value a line
    List,
    /// Print the value of a variable
    Get {
        /// Its name
        name: String,
    },
    /// Set a variable; without a value it is read from standard input
    Set {
        /// Letters, digits and underscores
        name: String,
        /// At most 8 KiB
        value: Option<String>,
    },
    /// Remove a variable
    Remove {
        /// Its name
        name: String,
    },
}

pub(super) async fn run(args: EnvArgs, json: bool) -> Result<(), Failure> {
    let url = args.target.url()?;
    match args.action {
        EnvAction::List => {
            let variables = deploy::variables(&url).await?;
            if json {
                let map: serde_json::Map<_, _> = variables
                    .into_iter()
                    .map(|(name, value)| (name, value.into()))
                    .collect();
                print_line(&serde_json::Value::from(map).to_string());
            } else {
                for (name, value) in variables {
                    print_line(&format!("{name}={value}"));
                }
            }
        }
        EnvAction::Get { name } => {
            let variables = deploy::variables(&url).await?;
            match variables.into_iter().find(|(known, _)| *known == name) {
                Some((_, value)) if json => print_line(&serde_json::Value::from(value).to_string()),
                Some((_, value)) => print_line(&value),
                None => {
                    return Err(Failure::new(format!(
                        "environment variable {name} is not set: `pg-live env list` shows those that are"
                    )));
                }
            }
        }
        EnvAction::Set { name, value } => {
            let value = match value {
                Some(value) => value,
                None => std::io::read_to_string(std::io::stdin())?
                    .trim_end_matches('\n')
                    .to_owned(),
            };
            deploy::set_variable(&url, &name, Some(&value)).await?;
        }
        EnvAction::Remove { name } => deploy::set_variable(&url, &name, None).await?,
    }
    Ok(())
}
