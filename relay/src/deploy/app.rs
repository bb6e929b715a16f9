//! Where an app keeps what a deploy needs: its functions, its packages, its settings.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;

/// A folder with a `convex/` folder and installed npm packages.
#[derive(Debug, Clone)]
pub struct App {
    /// Absolute path of the app's folder, without symbolic links.
    pub dir: PathBuf,
    /// The functions folder as the app names it, with a trailing slash: `convex/`.
    pub functions: String,
    /// Absolute path of the functions folder.
    pub functions_dir: PathBuf,
}

/// What we read of `convex.json`; everything in it is optional.
#[derive(Debug, Default, Deserialize)]
struct ProjectConfig {
    functions: Option<String>,
}

/// What we read of `package.json`.
#[derive(Debug, Default, Deserialize)]
struct PackageJson {
    #[serde(default)]
    scripts: std::collections::BTreeMap<String, String>,
}

impl App {
    /// Finds the app in `dir`.
    ///
    /// # Errors
    /// When the folder or its functions folder does not exist, or `convex.json` is not readable.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let dir = dir.canonicalize().map_err(|source| Error::NoApp {
            path: dir.to_path_buf(),
            source,
        })?;
        let config: ProjectConfig = read_json(&dir.join("convex.json"))?;
        let named = config.functions.unwrap_or_else(|| "convex".to_owned());
        let functions = format!("{}/", named.trim_start_matches("./").trim_end_matches('/'));
        let functions_dir = dir.join(&functions);
        if !functions_dir.is_dir() {
            return Err(Error::NoFunctions {
                path: functions_dir,
            });
        }
        Ok(Self {
            dir,
            functions,
            functions_dir,
        })
    }

    /// The script of that name in the app's `package.json`, if there is one.
    ///
    /// # Errors
    /// When `package.json` exists and is not readable.
    pub fn script(&self, name: &str) -> Result<Option<String>, Error> {
        let package: PackageJson = read_json(&self.dir.join("package.json"))?;
        Ok(package.scripts.get(name).cloned())
    }

    /// A file of an installed package, found where Node would find the package from the app's folder.
    pub fn package_file(&self, package: &str, file: &str) -> Option<PathBuf> {
        up(&self.dir)
            .map(|dir| dir.join("node_modules").join(package).join(file))
            .find(|file| file.is_file())
    }

    /// The main file of the `esbuild` package that the app's `convex` package uses.
    ///
    /// Looks where Node would: beside `convex`, then in every `node_modules` above it.
    ///
    /// # Errors
    /// When the app's packages are not installed.
    pub fn esbuild(&self) -> Result<PathBuf, Error> {
        let convex = up(&self.dir)
            .map(|dir| dir.join("node_modules/convex"))
            .find(|dir| dir.is_dir())
            .and_then(|dir| dir.canonicalize().ok())
            .ok_or_else(|| Error::NoPackages {
                dir: self.dir.clone(),
                package: "convex",
            })?;
        up(&convex)
            .map(|dir| dir.join("node_modules/esbuild/lib/main.js"))
            .find(|file| file.is_file())
            .ok_or_else(|| Error::NoPackages {
                dir: self.dir.clone(),
                package: "esbuild",
            })
    }
}

/// `dir` and every folder above it.
fn up(dir: &Path) -> impl Iterator<Item = &Path> {
    dir.ancestors()
}

/// Reads a JSON file; a file that does not exist counts as empty.
fn read_json<T: Default + serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(T::default()),
        Err(source) => {
            return Err(Error::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    serde_json::from_str(&text).map_err(|source| Error::BadJson {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_folder_may_be_named_in_convex_json() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("src/convex")).unwrap();
        std::fs::write(
            dir.path().join("convex.json"),
            r#"{"functions": "./src/convex"}"#,
        )
        .unwrap();
        let app = App::open(dir.path()).unwrap();
        assert_eq!(app.functions, "src/convex/");
        assert!(app.functions_dir.ends_with("src/convex"));
    }

    #[test]
    fn an_app_without_functions_or_packages_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = App::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("convex"), "{error}");
        std::fs::create_dir(dir.path().join("convex")).unwrap();
        let error = App::open(dir.path())
            .unwrap()
            .esbuild()
            .unwrap_err()
            .to_string();
        assert!(error.contains("npm install"), "{error}");
    }
}
