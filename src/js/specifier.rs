//! Module specifiers: bundles import each other by relative paths only.

/// Prefix of the name V8 knows a module of the deployment by, as it shows up in raw stack traces.
pub(super) const MODULE_SCHEME: &str = "convex:/user/";

/// Prefix of the names of the runtime's own scripts, left out of stack traces.
pub(super) const RUNTIME_SCHEME: &str = "pg_live:";

/// The path that `specifier`, written in the module `referrer`, means; `None` if it is no relative path or
/// leaves the functions folder.
pub(super) fn resolve(referrer: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = referrer.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "" => return None,
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn relative_paths() {
        assert_eq!(
            resolve("messages.js", "./_deps/A.js").as_deref(),
            Some("_deps/A.js")
        );
        assert_eq!(
            resolve("a/b.js", "../_deps/A.js").as_deref(),
            Some("_deps/A.js")
        );
        assert_eq!(
            resolve("_deps/A.js", "./B.js").as_deref(),
            Some("_deps/B.js")
        );
        assert_eq!(
            resolve("a/b/c.js", "../../x/./y.js").as_deref(),
            Some("x/y.js")
        );
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(resolve("a.js", "../x.js"), None);
        assert_eq!(resolve("a.js", "convex/server"), None);
        assert_eq!(resolve("a.js", "/etc/passwd"), None);
        assert_eq!(resolve("a.js", "./a//b.js"), None);
        assert_eq!(resolve("a.js", "node:fs"), None);
    }
}
