//! Module specifiers: modules import each other by relative paths. Two packages have a place in the tree, for plain
//! sources; bundles hold what they need of them.

/// Prefix of the name V8 knows a module of the deployment by, as it shows up in raw stack traces.
pub(super) const MODULE_SCHEME: &str = "convex:/user/";

/// Prefix of the names of the runtime's own scripts, left out of stack traces.
pub(super) const RUNTIME_SCHEME: &str = "pg_live:";

/// Packages that modules may import by name, and where a deployment holds them.
const PACKAGES: [(&str, &str); 2] = [
    ("convex/server", "_deps/convex/server.js"),
    ("convex/values", "_deps/convex/values.js"),
];

/// The path that `specifier`, written in the module `referrer`, means; `None` if it is neither a package that is
/// known here nor a relative path, or leaves the functions folder. `.js` may be left out.
pub(super) fn resolve(referrer: &str, specifier: &str) -> Option<String> {
    if let Some((_, path)) = PACKAGES.iter().find(|(name, _)| *name == specifier) {
        return Some((*path).to_owned());
    }
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
    let path = parts.join("/");
    Some(if path.ends_with(".js") {
        path
    } else {
        path + ".js"
    })
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
        assert_eq!(
            resolve("a/b.js", "../_generated/server").as_deref(),
            Some("_generated/server.js")
        );
    }

    #[test]
    fn packages_of_plain_sources() {
        assert_eq!(
            resolve("a/b.js", "convex/server").as_deref(),
            Some("_deps/convex/server.js")
        );
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(resolve("a.js", "../x.js"), None);
        assert_eq!(resolve("a.js", "convex/browser"), None);
        assert_eq!(resolve("a.js", "/etc/passwd"), None);
        assert_eq!(resolve("a.js", "./a//b.js"), None);
        assert_eq!(resolve("a.js", "node:fs"), None);
    }
}
