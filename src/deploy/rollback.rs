//! Going back to an earlier deployment: its code and its schema, which belong together, become a new one.
//!
//! Documents stay as they are, so they must match the old schema; environment variables stay, too.

use crate::deploy::Mode;
use crate::deploy::refused;
use crate::deploy::stage::{self, Staged};
use crate::documents::catalog::Catalog;
use crate::documents::create;
use crate::error::{Error, Result};
use crate::pg::spi::{self, Access, Param};

/// Stages a copy of an earlier deployment.
pub(super) fn stage(deployment: i64, mode: Mode) -> Result<Staged> {
    let catalog = Catalog::current(Access::Write)?;
    create::owner_oid(&catalog)?;
    if catalog.deployment == Some(deployment) {
        return Ok(Staged::Unchanged(deployment));
    }
    check(deployment)?;
    let push = copy(deployment, catalog.deployment)?;
    let statements = stage::prepare_for(push, mode)?;
    Ok(Staged::New { push, statements })
}

/// An error unless the deployment is kept and has been in force.
fn check(deployment: i64) -> Result<()> {
    let finished = spi::query_one(
        "SELECT finished_at IS NOT NULL FROM live.deployments WHERE id = $1",
        &[Param::Int8(deployment)],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    match finished {
        Some(true) => Ok(()),
        Some(false) => Err(refused(format!(
            "deployment {deployment} has never been in force: it was given up or waits for \
             live.deploy_finish({deployment})"
        ))),
        None => Err(refused(format!(
            "there is no deployment {deployment}: live.deployments has those that are kept (live.prune() removes \
             old ones)"
        ))),
    }
}

/// Copies a deployment with its code; returns the number of the copy.
fn copy(deployment: i64, base: Option<i64>) -> Result<i64> {
    let push = spi::query_one(
        "INSERT INTO live.deployments (hash, message, schema, auth, base, rollback_of) \
         SELECT hash, 'rollback to ' || id, schema, auth, $2, id FROM live.deployments WHERE id = $1 \
         RETURNING id",
        &[
            Param::Int8(deployment),
            base.map_or(Param::Null(spi::Type::Int8), Param::Int8),
        ],
        Access::Write,
        |row| row.need::<i64>(0),
    )?
    .ok_or_else(|| Error::Catalog("no number for the deployment".to_owned()))?;
    let numbers = [Param::Int8(push), Param::Int8(deployment)];
    spi::execute(
        "INSERT INTO live.modules SELECT $1, component, path, hash, environment \
         FROM live.modules WHERE deployment = $2",
        &numbers,
    )?;
    spi::execute(
        "INSERT INTO live.functions \
         SELECT $1, component, module, name, kind, visibility, args, returns, context, reason \
         FROM live.functions WHERE deployment = $2",
        &numbers,
    )?;
    Ok(push)
}
