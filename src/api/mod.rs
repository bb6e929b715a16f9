//! The SQL surface, one file per noun.

mod condition_text;
mod documents;
mod explain;
mod functions;
mod import;
mod index_key;
mod inline;
mod keep;
mod preview;
mod relay;
mod standby;
mod status;
mod subscribe;
mod subscription;

pub(crate) use documents::Rule;

use crate::pg::function::sql_functions;

sql_functions! {
    live_new_id = documents::new_id;
    live_creation_time = documents::creation_time;
    live_index_key_v1 = index_key::index_key;
    live_valid = documents::valid;
    live_matches = documents::matches;
    live_id_number = documents::id_number;
    live_id_time = documents::id_time;
    live_query = functions::query;
    live_mutation = functions::mutation;
    live_explain = explain::explain;
    live_narrows = explain::narrows;
    live_plan_walk = explain::plan_walk;
    live_run_query = relay::run_query;
    live_run_mutation = relay::run_mutation;
    live_query_source = inline::query_source;
    live_import_table = import::import_table;
    live_import_documents = import::import_documents;
    live_deploy_stage = crate::deploy::stage;
    live_deploy_prepare = crate::deploy::prepare;
    live_deploy_start = crate::deploy::start;
    live_deploy_finish = crate::deploy::finish;
    live_deploy_abandon = crate::deploy::abandon;
    live_deploy = crate::deploy::deploy;
    live_rollback = crate::deploy::rollback;
}
