//! The paths of functions, such as `messages:list`.

use std::fmt;
use std::str::FromStr;

/// A function of a deployment: an export of a module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionPath {
    module: String,
    function: String,
}

/// Why a string is not the path of a function or module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part of the module's path is empty, `.` or `..`, or has other characters.
    #[error(
        "{path} is not a valid path to a Convex module. Path component {component:?} can only \
         contain alphanumeric characters, underscores, or periods. Rename the file or folder."
    )]
    Component {
        /// The whole path.
        path: String,
        /// The part that is wrong.
        component: String,
    },
    /// The name of the export is not an identifier.
    #[error(
        "{path} is not a valid path to a Convex function: {function:?} is not the name of an \
         export. Write it like `folder/module:function`."
    )]
    Function {
        /// The whole path.
        path: String,
        /// The name that is wrong.
        function: String,
    },
}

impl FunctionPath {
    /// Reads `folder/module:function`. The module may end in `.js`; without `:function` the default
    /// export is meant.
    ///
    /// # Errors
    /// If the module's path or the function's name has characters that they cannot have.
    pub fn parse(path: &str) -> Result<FunctionPath, PathError> {
        let (module, function) = path.rsplit_once(':').unwrap_or((path, "default"));
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        if function.is_empty()
            || function.starts_with(|c: char| c.is_ascii_digit())
            || !function.chars().all(bare)
        {
            let (path, function) = (path.to_owned(), function.to_owned());
            return Err(PathError::Function { path, function });
        }
        Ok(FunctionPath {
            module: canonical_module(module)?,
            function: function.to_owned(),
        })
    }

    /// The path of the module with its ending: `folder/module.js`.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The name of the export.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The form that clients and error messages use: `folder/module:function`.
    pub fn stripped(&self) -> String {
        let module = self.module.strip_suffix(".js").unwrap_or(&self.module);
        format!("{module}:{}", self.function)
    }
}

/// The path of a module with its ending `.js`, checked.
///
/// # Errors
/// If a part of it is empty, `.` or `..`, or has characters other than letters, digits, underscores
/// and periods.
pub fn canonical_module(path: &str) -> Result<String, PathError> {
    let stripped = path.trim_end_matches(".js");
    for component in stripped.split('/') {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if component.is_empty()
            || component.bytes().all(|b| b == b'.')
            || !component.chars().all(known)
        {
            let (path, component) = (path.to_owned(), component.to_owned());
            return Err(PathError::Component { path, component });
        }
    }
    Ok(format!("{stripped}.js"))
}

/// The canonical form, `folder/module.js:function`.
impl fmt::Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module, self.function)
    }
}

impl FromStr for FunctionPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<FunctionPath, PathError> {
        FunctionPath::parse(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_brought_to_one_form() {
        for (path, canonical, stripped) in [
            ("messages:list", "messages.js:list", "messages:list"),
            ("messages.js:list", "messages.js:list", "messages:list"),
            ("a/b/c:f_1", "a/b/c.js:f_1", "a/b/c:f_1"),
            ("messages", "messages.js:default", "messages:default"),
            ("_system/cli:$x", "_system/cli.js:$x", "_system/cli:$x"),
            ("a.js.js:f", "a.js:f", "a:f"),
            ("v1.2:f", "v1.2.js:f", "v1.2:f"),
        ] {
            let parsed = FunctionPath::parse(path).unwrap();
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(parsed.stripped(), stripped);
            assert_eq!(
                format!("{}:{}", parsed.module(), parsed.function()),
                canonical
            );
        }
    }

    #[test]
    fn other_strings_are_not_paths() {
        for path in [
            "",
            ":",
            "a:",
            ":f",
            "/a:f",
            "a/:f",
            "a//b:f",
            "../a:f",
            "a/./b:f",
            ".js:f",
            "a-b:f",
            "a b:f",
            "a:f-g",
            "a:1f",
            "a:b:f",
            "function://x",
            "é:f",
        ] {
            assert!(FunctionPath::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_read_back(path in "[a-z./:_$-]{0,12}") {
            if let Ok(parsed) = FunctionPath::parse(&path) {
                prop_assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
                prop_assert_eq!(parsed.stripped().parse(), Ok(parsed));
            }
        }
    }
}
