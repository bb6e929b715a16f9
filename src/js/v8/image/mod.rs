//! Images: contexts in which a deployment's modules are evaluated, as V8's snapshot in a file.
//!
//! A backend that has called functions of a deployment a few times forks a process that makes the file (`make`);
//! from then on isolates start from it, and a fresh context is a copy of the evaluated one. One file serves all
//! backends of the server: it is mapped, not read. A module that cannot be stored (V8 keeps no WebAssembly and no
//! objects of Intl) is evaluated in each call, as all are while there is no image.

mod evaluate;
mod file;
mod make;

use std::path::Path;
use std::rc::Rc;

use deno_core::v8;

use self::file::Contents;
use super::modules::{ImageMaps, Loaded};
use super::process::Mapped;
use crate::js::ImagePlace;
use crate::js::log_lines::LogLines;
use crate::js::source_map::LazyMap;

pub(super) use file::Module;
pub(super) use make::{start, wish};

/// Where a context of an image holds what the bootstrap gave.
const RUNTIME_AT: usize = 0;
/// Where it holds the exports of its module.
const EXPORTS_AT: usize = 1;

/// The image of a deployment.
pub(super) struct Image {
    place: ImagePlace,
    contents: Contents,
    maps: ImageMaps,
    file: Rc<Mapped>,
}

impl Image {
    /// Opens the image at `place`, if there is one that this process can use.
    pub(super) fn open(place: &ImagePlace) -> Option<Self> {
        Self::open_file(place, &file::path(place)?)
    }

    fn open_file(place: &ImagePlace, path: &Path) -> Option<Self> {
        let file = Rc::new(Mapped::open(path)?);
        let contents = Contents::read(file.bytes())?;
        let maps = contents.maps.iter().map(|map| {
            let (file, at) = (Rc::clone(&file), map.at.clone());
            let read = move || String::from_utf8(file.bytes().get(at.clone())?.to_vec()).ok();
            (map.path.clone(), LazyMap::elsewhere(Box::new(read)))
        });
        Some(Self {
            place: place.clone(),
            maps: Rc::new(maps.collect()),
            contents,
            file,
        })
    }

    /// Whether it is the one of `place`.
    pub(super) fn is_at(&self, place: &ImagePlace) -> bool {
        self.place.is(place)
    }

    /// The deployment whose modules it holds.
    pub(super) fn deployment(&self) -> i64 {
        self.place.deployment
    }

    /// V8's snapshot; none if no module of the deployment could be stored.
    pub(super) fn snapshot(&self) -> Option<&[u8]> {
        self.file.bytes().get(self.contents.snapshot.clone()?)
    }

    /// The module at `path`, if it could be stored.
    pub(super) fn module(&self, path: &str) -> Option<&Module> {
        let mut modules = self.contents.modules.iter();
        modules.find(|module| module.path == path && module.context.is_some())
    }

    /// How many modules could be stored, and how many could not.
    pub(super) fn counts(&self) -> (usize, usize) {
        let stored = self.stored().count();
        (stored, self.contents.modules.len() - stored)
    }

    /// The paths of the modules that could be stored.
    fn stored(&self) -> impl Iterator<Item = &str> {
        let modules = self.contents.modules.iter();
        let stored = modules.filter(|module| module.context.is_some());
        stored.map(|module| module.path.as_str())
    }

    /// What a context of a module has loaded.
    pub(super) fn loaded(&self) -> Loaded {
        Loaded::of_image(Rc::clone(&self.maps))
    }
}

/// What a context of an image comes with.
pub(super) struct Restored<'s> {
    pub(super) runtime: v8::Local<'s, v8::Object>,
    pub(super) exports: v8::Local<'s, v8::Object>,
}

/// What the present context, of an image, comes with.
pub(super) fn restore<'s>(scope: &v8::PinScope<'s, '_>) -> Option<Restored<'s>> {
    let at = |index| scope.get_context_data_from_snapshot_once::<v8::Object>(index);
    Some(Restored {
        runtime: at(RUNTIME_AT).ok()?,
        exports: at(EXPORTS_AT).ok()?,
    })
}

impl Module {
    /// What it logged when it was imported.
    pub(super) fn log_lines(&self) -> LogLines {
        let mut lines = LogLines::default();
        lines.append(self.log_lines.clone());
        lines
    }
}
