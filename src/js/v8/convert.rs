//! Between Rust's and V8's strings and objects.

use deno_core::v8;

/// A V8 string; `None` if it is longer than V8 allows (half a gigabyte).
pub(super) fn string<'s>(
    scope: &v8::PinScope<'s, '_, ()>,
    text: &str,
) -> Option<v8::Local<'s, v8::String>> {
    v8::String::new(scope, text)
}

/// A V8 string of a text that is known to be short.
pub(super) fn short<'s>(scope: &v8::PinScope<'s, '_, ()>, text: &str) -> v8::Local<'s, v8::String> {
    v8::String::new(scope, text).unwrap_or_else(|| v8::String::empty(scope))
}

/// The text of a string; `None` for anything else. Lone surrogates become U+FFFD.
pub(super) fn text(scope: &v8::Isolate, value: v8::Local<'_, v8::Value>) -> Option<String> {
    let string = v8::Local::<v8::String>::try_from(value).ok()?;
    Some(string.to_rust_string_lossy(scope))
}

/// A member of an object.
pub(super) fn member<'s>(
    scope: &v8::PinScope<'s, '_>,
    object: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = short(scope, name);
    object.get(scope, key.into())
}
