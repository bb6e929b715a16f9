//! LANGUAGE js: functions, procedures, trigger functions and DO blocks whose bodies are JavaScript.
//! `docs/language-js.md` is its reference.

mod errors;
mod function;
mod handler;
mod session;
mod validator;

use crate::pg::function::sql_functions;

sql_functions! {
    live_js_call = handler::call;
    live_js_inline = handler::inline;
    live_js_validate = validator::validate;
}
