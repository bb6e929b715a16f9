//! Environment variables of a deployment: functions find them in `process.env`.

use super::{Error, push};

/// Sets a variable, or removes it (`None`). All live queries run again.
///
/// # Errors
/// When the database cannot be reached or refuses the name or the value.
pub async fn set_variable(url: &str, name: &str, value: Option<&str>) -> Result<(), Error> {
    let client = push::connect(url).await?;
    client
        .execute("SELECT live.set_environment($1, $2)", &[&name, &value])
        .await
        .map_err(Error::Sql)?;
    Ok(())
}

/// All variables by name.
///
/// # Errors
/// When the database cannot be reached, or the role may not read them.
pub async fn variables(url: &str) -> Result<Vec<(String, String)>, Error> {
    let client = push::connect(url).await?;
    let rows = client
        .query(
            "SELECT name, value FROM live.environment WHERE component = '' ORDER BY name",
            &[],
        )
        .await
        .map_err(Error::Sql)?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, _>>()
        .map_err(Error::Sql)
}
