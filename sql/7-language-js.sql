-- LANGUAGE js.

CREATE FUNCTION live.js_call() RETURNS language_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'live_js_call';
CREATE FUNCTION live.js_inline(source internal) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'live_js_inline';
CREATE FUNCTION live.js_validate(function oid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'live_js_validate';
CREATE TRUSTED LANGUAGE js HANDLER live.js_call INLINE live.js_inline VALIDATOR live.js_validate;
COMMENT ON LANGUAGE js IS 'JavaScript functions: V8, in hardened contexts that keep no state between calls.';
REVOKE ALL ON LANGUAGE js FROM PUBLIC;
REVOKE ALL ON FUNCTION live.js_inline(internal), live.js_call() FROM PUBLIC;
