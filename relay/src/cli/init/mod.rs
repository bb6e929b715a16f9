//! `pg-live init`: a new project from a template.

mod existing;

use std::path::{Path, PathBuf};

use super::database::resolve;
use super::exit::Failure;
use super::tables;
use super::terminal::{STRONG, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct InitArgs {
    /// Folder to make the project in
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, default_value = "chat")]
    template: Template,
    /// For --template existing: a table to make live, as orders or shop.orders; may be given several times
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// For --template existing: the database, as a role that may read the tables
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Template {
    /// A page with React and Vite: channels and messages that all readers see at once
    Chat,
    /// Functions over tables that a database has already, kept up to date by triggers
    Existing,
}

/// A file of a project, relative to its folder.
struct File {
    path: String,
    text: String,
}

macro_rules! chat {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../examples/chat/", $path)))),*]
    };
}

/// The chat example, file by file.
const CHAT: [(&str, &str); 36] = chat![
    ".gitignore",
    ".npmrc",
    "convex/channels.ts",
    "convex/messages.ts",
    "convex/schema.ts",
    "convex/tsconfig.json",
    "index.html",
    "package-lock.json",
    "package.json",
    "public/icon.svg",
    "src/App.tsx",
    "src/components/Avatar.tsx",
    "src/components/ChannelView.tsx",
    "src/components/Composer.tsx",
    "src/components/ConnectionBadge.tsx",
    "src/components/ErrorBoundary.tsx",
    "src/components/Message.tsx",
    "src/components/MessageList.tsx",
    "src/components/NameField.tsx",
    "src/components/NewChannel.tsx",
    "src/components/Sidebar.tsx",
    "src/components/icons.tsx",
    "src/lib/channels.ts",
    "src/lib/errorText.ts",
    "src/lib/messageMutations.ts",
    "src/lib/person.ts",
    "src/lib/serverUrl.ts",
    "src/lib/time.ts",
    "src/lib/useAuthor.ts",
    "src/lib/useChannelRoute.ts",
    "src/lib/useStickToBottom.ts",
    "src/main.tsx",
    "src/styles/base.css",
    "src/styles/composer.css",
    "src/styles/messages.css",
    "src/styles/sidebar.css",
];
const CHAT_MORE: [(&str, &str); 2] = chat!["tsconfig.json", "vite.config.ts"];

pub(super) async fn run(args: InitArgs, json: bool) -> Result<(), Failure> {
    if args.template == Template::Chat && !args.table.is_empty() {
        return Err(Failure::new("--table is for --template existing"));
    }
    std::fs::create_dir_all(&args.dir)?;
    let dir = args.dir.canonicalize()?;
    let name = package_name(&dir);
    let files = match args.template {
        Template::Chat => chat(&name),
        Template::Existing => {
            let url = resolve(args.url.as_deref(), &dir).map_err(|_| {
                Failure::new(
                    "--template existing looks at the tables of a database: give it by --url or DATABASE_URL",
                )
            })?;
            let client = deploy::connect_anywhere(&url).await?;
            existing::files(&name, &tables::load(&client).await?, &args.table)?
        }
    };
    refuse_to_overwrite(&dir, &files)?;
    for file in &files {
        let path = dir.join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &file.text)?;
    }
    let shown = args.dir.display();
    if json {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        print_line(
            &serde_json::json!({"dir": dir.display().to_string(), "files": paths}).to_string(),
        );
        return Ok(());
    }
    print_line(&format!("{} files in {shown}. Next:", files.len()));
    print_line("");
    for step in args.template.next_steps() {
        print_line(&format!("  {STRONG}{step}{STRONG:#}").replace("<dir>", &shown.to_string()));
    }
    Ok(())
}

impl Template {
    fn next_steps(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["cd <dir>", "npm install", "pg-live dev"],
            Self::Existing => &[
                "cd <dir>",
                "npm install",
                "pg-live deploy --url <the database, as the owner of the deployment>",
                "psql <the database, as superuser> -f sql/live.sql",
                "pg-live serve --url <the database, as a member of live_relay>",
                "node watch.mjs",
            ],
        }
    }
}

fn chat(name: &str) -> Vec<File> {
    let mut files: Vec<File> = CHAT
        .iter()
        .chain(&CHAT_MORE)
        .map(|(path, text)| File {
            path: (*path).to_owned(),
            text: text.replace(
                "\"pg-live-chat\"",
                &serde_json::Value::from(name).to_string(),
            ),
        })
        .collect();
    files.push(File {
        path: "README.md".to_owned(),
        text: include_str!("chat.md").replace("@NAME@", name),
    });
    files
}

/// A name that npm accepts, after the folder's.
fn package_name(dir: &Path) -> String {
    let name = dir
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '-' })
        .collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() {
        "app".to_owned()
    } else {
        name.to_owned()
    }
}

fn refuse_to_overwrite(dir: &Path, files: &[File]) -> Result<(), Failure> {
    match files.iter().find(|file| dir.join(&file.path).exists()) {
        None => Ok(()),
        Some(file) => Err(Failure::new(format!(
            "{} exists: nothing was written. Choose an empty folder",
            dir.join(&file.path).display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_npm_accepts() {
        assert_eq!(package_name(Path::new("/x/My App")), "my-app");
        assert_eq!(package_name(Path::new("/x/.hidden")), "hidden");
        assert_eq!(package_name(Path::new("/")), "app");
    }

    #[test]
    fn the_chat_has_all_files_of_the_example() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chat");
        let mut missing = Vec::new();
        let mut folders = vec![example.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let relative = path
                    .strip_prefix(&example)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                let made = [
                    "node_modules",
                    "dist",
                    ".pg-live",
                    ".env.local",
                    "convex/_generated",
                    "README.md",
                ];
                if made.contains(&relative.as_str()) {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if !chat("x").iter().any(|file| file.path == relative) {
                    missing.push(relative);
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}
