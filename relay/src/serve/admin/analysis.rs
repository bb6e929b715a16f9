//! What a staged deployment consists of, in the form of the answer to `start_push`.

use serde_json::{Map, Value as Json, json};
use tokio_postgres::GenericClient;

use super::owner::refusal;
use crate::serve::http_error::ApiError;

/// What is stored of a deployment.
pub(super) struct Deployment {
    /// What schema.ts exports; null without one.
    pub(super) schema: Json,
    /// What auth.config.ts exports.
    pub(super) auth: Json,
    /// The module's functions, by its path.
    pub(super) functions: Map<String, Json>,
    created_ms: i64,
}

impl Deployment {
    /// Reads one; nothing is in it if there is no number.
    pub(super) async fn load(
        client: &impl GenericClient,
        number: Option<i64>,
    ) -> Result<Deployment, ApiError> {
        let mut deployment = Deployment {
            schema: Json::Null,
            auth: Json::Null,
            functions: Map::new(),
            created_ms: 0,
        };
        let Some(number) = number else {
            return Ok(deployment);
        };
        let row = client
            .query_one(
                "SELECT schema, auth, pg_catalog.floor(pg_catalog.date_part('epoch', created_at) * 1000)::int8 \
                 FROM live.deployments WHERE id = $1",
                &[&number],
            )
            .await
            .map_err(refusal)?;
        deployment.schema = row
            .try_get::<_, Option<Json>>(0)
            .map_err(refusal)?
            .unwrap_or_default();
        deployment.auth = row
            .try_get::<_, Option<Json>>(1)
            .map_err(refusal)?
            .unwrap_or_default();
        deployment.created_ms = row.try_get(2).map_err(refusal)?;
        deployment.functions = functions(client, number).await?;
        Ok(deployment)
    }

    /// The providers whose tokens it accepts, as the command line reads them.
    pub(super) fn providers(&self) -> Vec<Json> {
        let providers = self.auth["providers"].as_array().cloned();
        let mut providers = providers.unwrap_or_default();
        for provider in &mut providers {
            if provider["type"] == "customJwt" && provider.get("applicationID").is_none() {
                provider["applicationID"] = Json::Null;
            }
        }
        providers
    }

    /// `analysis` of the answer.
    pub(super) fn analysis(&self, server_version: &str) -> Json {
        let mut schema = self.schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            schema.entry("schemaValidation").or_insert(json!(false));
        }
        json!({ "": {
            "definition": {
                "path": "",
                "definitionType": {"type": "app"},
                "childComponents": [],
                "httpMounts": {},
                "exports": {"type": "branch", "branch": []},
            },
            "schema": schema,
            "functions": self.functions,
            "udfConfig": {
                "serverVersion": server_version,
                "importPhaseRngSeed": "",
                "importPhaseUnixTimestamp": self.created_ms,
            },
        }})
    }
}

async fn functions(
    client: &impl GenericClient,
    number: i64,
) -> Result<Map<String, Json>, ApiError> {
    let rows = client
        .query(
            "SELECT m.path, f.name, f.kind, f.visibility, f.args::text, f.returns::text \
             FROM live.modules AS m LEFT JOIN live.functions AS f \
               ON f.deployment = m.deployment AND f.component = m.component AND f.module = m.path \
             WHERE m.deployment = $1 AND m.component = '' AND m.path NOT LIKE '\\_deps/%' \
             ORDER BY m.path, f.name",
            &[&number],
        )
        .await
        .map_err(refusal)?;
    let mut modules = Map::new();
    for row in &rows {
        let path: String = row.try_get(0).map_err(refusal)?;
        let module = modules.entry(path).or_insert_with(|| {
            json!({"functions": [], "httpRoutes": null, "cronSpecs": null, "sourceMapped": null})
        });
        let name: Option<String> = row.try_get(1).map_err(refusal)?;
        let (Some(name), Some(list)) = (name, module["functions"].as_array_mut()) else {
            continue;
        };
        let text = |column| row.try_get::<_, Option<String>>(column).map_err(refusal);
        list.push(json!({
            "name": name,
            "pos": null,
            "udfType": text(2)?,
            "visibility": text(3)?.map(|kind| json!({"kind": kind})),
            "args": text(4)?,
            "returns": text(5)?,
        }));
    }
    Ok(modules)
}
