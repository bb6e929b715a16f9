//! Sets up the app's database: roles, database, extension.

use tokio_postgres::{Client, NoTls};

use super::Error;
use super::env_files::Addresses;

/// The role whose members may serve clients; the extension's script makes it.
const RELAY_GROUP: &str = "live_relay";

/// Makes what is missing of roles `app` and `relay`, database `app` and the extension in it.
///
/// Returns the extension's version.
pub(super) async fn set_up(addresses: &Addresses<'_>) -> Result<String, Error> {
    let postgres = connect(&addresses.superuser_url("postgres")).await?;
    set_role(&postgres, "app", &addresses.secrets.app).await?;
    make_database(&postgres).await?;

    let app = connect(&addresses.superuser_url("app")).await?;
    let version = make_extension(&app).await?;
    set_role(&app, "relay", &addresses.secrets.relay).await?;
    app.batch_execute(&format!("GRANT {RELAY_GROUP} TO relay"))
        .await
        .map_err(failed("role relay"))?;
    app.execute(
        "SELECT live.set_environment('CONVEX_CLOUD_URL', $1)",
        &[&addresses.relay],
    )
    .await
    .map_err(failed("environment variable CONVEX_CLOUD_URL"))?;
    Ok(version)
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(failed("connecting as postgres"))?;
    tokio::spawn(connection);
    Ok(client)
}

/// Makes the role if it is not there, and sets its password. Passwords are hexadecimal digits.
async fn set_role(client: &Client, role: &str, password: &str) -> Result<(), Error> {
    assert!(
        password.bytes().all(|b| b.is_ascii_hexdigit()),
        "a password needs no quoting"
    );
    let known = client
        .query_opt(
            "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1",
            &[&role],
        )
        .await
        .map_err(failed("looking for roles"))?;
    let verb = if known.is_some() { "ALTER" } else { "CREATE" };
    client
        .batch_execute(&format!("{verb} ROLE {role} LOGIN PASSWORD '{password}'"))
        .await
        .map_err(failed("setting a role's password"))
}

async fn make_database(client: &Client) -> Result<(), Error> {
    let known = client
        .query_opt(
            "SELECT FROM pg_catalog.pg_database WHERE datname = 'app'",
            &[],
        )
        .await
        .map_err(failed("looking for database app"))?;
    if known.is_some() {
        return Ok(());
    }
    client
        .batch_execute("CREATE DATABASE app OWNER app ENCODING 'UTF8' TEMPLATE template0")
        .await
        .map_err(failed("making database app"))
}

/// Extension and owner of the deployment in one transaction, so that there is never one without the
/// other.
async fn make_extension(client: &Client) -> Result<String, Error> {
    let known = client
        .query_opt(
            "SELECT installed_version, default_version FROM pg_catalog.pg_available_extensions
              WHERE name = 'pg_live'",
            &[],
        )
        .await
        .map_err(failed("looking for the extension"))?;
    let (installed, available): (Option<String>, Option<String>) =
        known.map_or((None, None), |row| (row.get(0), row.get(1)));
    let available = available.unwrap_or_default();
    let statements = match installed {
        None => "BEGIN; CREATE EXTENSION pg_live; SELECT live.setup('app'); COMMIT",
        Some(version) if version != available => "ALTER EXTENSION pg_live UPDATE",
        Some(_) => return Ok(available),
    };
    client
        .batch_execute(statements)
        .await
        .map_err(failed("extension pg_live"))?;
    Ok(available)
}

/// For `map_err`: an error of the server with what we were about to do.
fn failed(step: &'static str) -> impl Fn(tokio_postgres::Error) -> Error {
    move |error| Error::Setup {
        step,
        reason: crate::deploy::sql_reason(&error),
    }
}
