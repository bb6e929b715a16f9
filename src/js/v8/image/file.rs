//! The file of an image: what it holds, how it is written, and how it is told from one that does not fit.
//!
//! V8 does not check a snapshot, and one that was made by another build would be taken for what it is not. So the
//! name of the file is a hash of all that it depends on, it is written under another name and renamed, and a sum
//! over all of it is checked when it is opened.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use deno_core::v8;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::process;
use crate::js::ImagePlace;

const MAGIC: &[u8; 8] = b"pg_live1";
/// Magic, sum, length of the description.
const HEAD: usize = 24;
/// V8 wants its snapshot aligned.
const ALIGNMENT: usize = 64;
const EXTENSION: &str = "image";
/// A file that is being written for longer than this was given up.
const GIVEN_UP: Duration = Duration::from_secs(120);

/// What a file holds. Ranges count from its begin.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) modules: Vec<Module>,
    pub(super) maps: Vec<Map>,
    /// V8's snapshot; none if no module could be stored.
    pub(super) snapshot: Option<Range<usize>>,
}

/// A module whose functions can be called.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::js::v8) struct Module {
    pub(super) path: String,
    /// Its number among the contexts of the snapshot; none if it could not be stored.
    pub(in crate::js::v8) context: Option<usize>,
    /// What it logged when it was imported.
    pub(super) log_lines: Vec<String>,
}

/// The source map of a module.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Map {
    pub(super) path: String,
    pub(super) at: Range<usize>,
}

impl Contents {
    /// The contents of a file; `None` if it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        let number = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
        let length = usize::try_from(number(16)?).ok()?;
        if head.get(..8)? != MAGIC || number(8)? != sum(bytes.get(16..)?) {
            return None;
        }
        serde_json::from_slice(bytes.get(HEAD..HEAD.checked_add(length)?)?).ok()
    }
}

/// Puts a file together. `maps` are texts by path.
pub(super) fn assemble(
    modules: Vec<Module>,
    maps: &[(String, &str)],
    snapshot: Option<&[u8]>,
) -> Vec<u8> {
    let mut contents = Contents {
        modules,
        ..Contents::default()
    };
    // The length of the description depends on the numbers in it, so it gets more room than it needs.
    let paths: usize = maps.iter().map(|(path, _)| path.len() + 64).sum();
    let described = serde_json::to_vec(&contents.modules).map_or(0, |text| text.len());
    let begin = (HEAD + described + paths + 256).next_multiple_of(ALIGNMENT);
    let mut body = Vec::new();
    let mut add = |bytes: &[u8]| {
        let at = begin + body.len();
        body.extend_from_slice(bytes);
        let range = at..begin + body.len();
        body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
        range
    };
    contents.snapshot = snapshot.map(&mut add);
    contents.maps = maps
        .iter()
        .map(|(path, text)| Map {
            path: path.clone(),
            at: add(text.as_bytes()),
        })
        .collect();
    let description = serde_json::to_vec(&contents).unwrap_or_default();
    let mut bytes = Vec::with_capacity(begin + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&(description.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&description);
    bytes.resize(begin, b' ');
    bytes.extend_from_slice(&body);
    let sum = sum(&bytes[16..]).to_le_bytes();
    bytes[8..16].copy_from_slice(&sum);
    bytes
}

/// A sum in which the place of each word counts. Against damage, not against people.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut lanes = [0x9e37_79b9_7f4a_7c15_u64; 4];
    for (at, word) in words.iter().chain([&last]).enumerate() {
        let lane = &mut lanes[at % 4];
        *lane = (*lane ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }
    lanes.iter().fold(bytes.len() as u64, |sum, lane| {
        (sum.rotate_left(17) ^ lane).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// The file of `place` for this build of the library; `None` if the library cannot be found.
pub(super) fn path(place: &ImagePlace) -> Option<PathBuf> {
    let mut hash = Sha256::new();
    hash.update(process::library_identity()?);
    hash.update(v8::V8::get_version());
    hash.update(b"\0");
    hash.update(&place.name);
    let hash = hash.finalize();
    let name: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(place.directory.join(format!("{name}.{EXTENSION}")))
}

/// The right to make the file of an image. While it is held no other process makes it.
pub(super) struct Claim {
    target: PathBuf,
    draft: PathBuf,
}

impl Claim {
    /// Takes the right; `None` if the image is there, or another process makes it.
    pub(super) fn take(place: &ImagePlace) -> Option<Self> {
        let target = path(place)?;
        if let Ok(bytes) = fs::read(&target) {
            if Contents::read(&bytes).is_some() {
                return None;
            }
            // Damaged.
            let _gone = fs::remove_file(&target);
        }
        fs::create_dir_all(&place.directory).ok()?;
        let draft = target.with_extension("draft");
        if age(&draft).is_some_and(|age| age > GIVEN_UP) {
            let _gone = fs::remove_file(&draft);
        }
        File::options()
            .write(true)
            .create_new(true)
            .open(&draft)
            .ok()?;
        Some(Self { target, draft })
    }

    /// Writes a draft of the image.
    pub(super) fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = File::options()
            .write(true)
            .truncate(true)
            .open(&self.draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// The file of the draft.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Makes the draft the image, and room for it: all images may take `max_bytes`.
    pub(super) fn fulfil(self, place: &ImagePlace, max_bytes: u64) -> std::io::Result<()> {
        fs::rename(&self.draft, &self.target)?;
        make_room(place, &self.target, max_bytes);
        Ok(())
    }

    /// Gives the right up.
    pub(super) fn give_up(self) {
        let _gone = fs::remove_file(&self.draft);
    }
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(modified).ok()
}

/// Removes the oldest images until the rest is not too much. Processes that have them mapped keep them.
fn make_room(place: &ImagePlace, keep: &Path, max_bytes: u64) {
    let Ok(entries) = fs::read_dir(&place.directory) else {
        return;
    };
    let mut images: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            let path = entry.path();
            let is_image = path.extension().is_some_and(|found| found == EXTENSION);
            (is_image && path != keep).then_some((metadata.modified().ok()?, metadata.len(), path))
        })
        .collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.0));
    let mut total = fs::metadata(keep).map_or(0, |metadata| metadata.len());
    for (_, bytes, path) in images {
        total += bytes;
        if total > max_bytes {
            let _gone = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let module = Module {
            path: "messages.js".to_owned(),
            context: Some(0),
            log_lines: vec!["[LOG] 'x'".to_owned()],
        };
        assemble(
            vec![module],
            &[("messages.js".to_owned(), "{\"version\":3}")],
            Some(&[7; 1000]),
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = example();
        let contents = Contents::read(&bytes).unwrap();
        assert_eq!(contents.modules[0].context, Some(0));
        assert_eq!(contents.modules[0].log_lines, ["[LOG] 'x'"]);
        let snapshot = contents.snapshot.unwrap();
        assert_eq!(snapshot.start % ALIGNMENT, 0);
        assert_eq!(&bytes[snapshot], [7; 1000]);
        assert_eq!(&bytes[contents.maps[0].at.clone()], b"{\"version\":3}");
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let bytes = example();
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Contents::read(&damaged).is_none(), "{at}");
        }
        for length in [0, 7, HEAD, bytes.len() / 2, bytes.len() - 1] {
            assert!(Contents::read(&bytes[..length]).is_none(), "{length}");
        }
    }
}
