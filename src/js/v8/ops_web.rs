//! Native operations behind the web's interfaces: text, URLs, Web Crypto, structured clones.

#![allow(clippy::needless_pass_by_value, reason = "the signature is V8's")]

use deno_core::v8;
use deno_core::v8::{ValueDeserializerHelper, ValueSerializerHelper};
use encoding_rs::Encoding;
use url::{Url, quirks};

use super::convert::{short, string, text};
use super::ops::{throw, throw_type_error};
use crate::js::crypto::{self, Arg};

/// The bytes of a typed array.
pub(super) fn view_bytes<'s>(
    scope: &v8::PinScope<'s, '_>,
    view: v8::Local<'s, v8::ArrayBufferView>,
) -> &'s mut [u8] {
    // Small arrays live in the heap, where a collection may move them; asking for the buffer moves them out.
    if view.buffer(scope).is_none() || view.byte_length() == 0 {
        return &mut [];
    }
    // SAFETY: the view keeps its buffer, which has `byte_length` bytes from `data` on, alive in this scope;
    // no JavaScript runs while the caller uses them.
    unsafe { std::slice::from_raw_parts_mut(view.data().cast::<u8>(), view.byte_length()) }
}

/// How many bytes a string takes in UTF-8.
pub(super) fn utf8_length(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    if let Some(text) = text(scope, args.get(0)) {
        // A string has at most 2^29 characters of 3 bytes: exact as a double.
        result.set_double(text.len() as f64);
    }
}

/// Writes a string as UTF-8 to a typed array of exactly its length.
pub(super) fn write_utf8(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let view = v8::Local::<v8::ArrayBufferView>::try_from(args.get(1));
    let (Some(text), Ok(view)) = (text(scope, args.get(0)), view) else {
        return throw_type_error(scope, "writeUtf8 takes a string and a typed array");
    };
    let target = view_bytes(scope, view);
    if target.len() == text.len() {
        target.copy_from_slice(text.as_bytes());
    } else {
        throw_type_error(scope, "writeUtf8 takes an array of the text's length");
    }
}

/// A typed array decoded as UTF-8; malformed bytes throw if the second argument is true.
pub(super) fn decode_utf8(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(args.get(0)) else {
        return throw_type_error(scope, "decodeUtf8 takes a typed array");
    };
    let decoded = String::from_utf8_lossy(view_bytes(scope, view));
    if args.get(1).is_true() && matches!(decoded, std::borrow::Cow::Owned(_)) {
        return throw_type_error(scope, "The encoded data was not valid for encoding utf-8");
    }
    match string(scope, &decoded) {
        Some(decoded) => result.set(decoded.into()),
        None => throw(scope, "The text is too long"),
    }
}

/// The name of an encoding that goes by the given label; undefined if there is none.
pub(super) fn encoding_name(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let label = text(scope, args.get(0)).unwrap_or_default();
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        result.set(short(scope, &encoding.name().to_lowercase()).into());
    }
}

/// A typed array decoded by a named encoding; malformed bytes throw if the third argument is true. Unless the
/// fourth is true more bytes follow: a character that is not complete is left out.
pub(super) fn decode_text(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let label = text(scope, args.get(0)).unwrap_or_default();
    let encoding = Encoding::for_label_no_replacement(label.as_bytes());
    let view = v8::Local::<v8::ArrayBufferView>::try_from(args.get(1));
    let (Some(encoding), Ok(view)) = (encoding, view) else {
        return throw_type_error(scope, "decodeText takes an encoding and a typed array");
    };
    let bytes = view_bytes(scope, view);
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let Some(capacity) = decoder.max_utf8_buffer_length(bytes.len()) else {
        return throw(scope, "The text is too long");
    };
    let mut decoded = String::with_capacity(capacity);
    let (_, _, malformed) = decoder.decode_to_string(bytes, &mut decoded, args.get(3).is_true());
    if malformed && args.get(2).is_true() {
        let message = format!("The encoded data was not valid for encoding {label}");
        return throw_type_error(scope, &message);
    }
    match string(scope, &decoded) {
        Some(decoded) => result.set(decoded.into()),
        None => throw(scope, "The text is too long"),
    }
}

/// An operation of Web Crypto: its name, then what it takes. Gives bytes, or a text that says why not.
pub(super) fn crypto_operation(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let name = text(scope, args.get(0)).unwrap_or_default();
    let taken: Option<Vec<Arg>> = (1..args.length())
        .map(|at| crypto_argument(scope, args.get(at)))
        .collect();
    let Some(taken) = taken else {
        return throw_type_error(scope, "An argument of crypto is of another type");
    };
    match crypto::run(&name, &taken) {
        Ok(bytes) => {
            let length = bytes.len();
            let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes).make_shared();
            let buffer = v8::ArrayBuffer::with_backing_store(scope, &store);
            if let Some(array) = v8::Uint8Array::new(scope, buffer, 0, length) {
                result.set(array.into());
            }
        }
        Err(error) => result.set(short(scope, &error.to_string()).into()),
    }
}

fn crypto_argument(scope: &v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Option<Arg> {
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) {
        return Some(Arg::Bytes(view_bytes(scope, view).to_vec()));
    }
    if let Some(text) = text(scope, value) {
        return Some(Arg::Text(text));
    }
    // Lengths and counts; what is none saturates and is refused for its size.
    value
        .number_value(scope)
        .filter(|_| value.is_number())
        .map(|number| Arg::Number(number as usize))
}

/// Parses a URL, relative to the second argument if given; undefined if it is none.
pub(super) fn parse_url(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some(href) = text(scope, args.get(0)) else {
        return;
    };
    let parsed = match text(scope, args.get(1)) {
        Some(base) => Url::parse(&base).and_then(|base| base.join(&href)),
        None => Url::parse(&href),
    };
    if let Ok(url) = parsed {
        result.set(url_parts(scope, &url).into());
    }
}

/// Sets a part (second argument) of a URL to the third; undefined if that can not be.
pub(super) fn set_url_part(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let (Some(href), Some(part), Some(value)) = (
        text(scope, args.get(0)),
        text(scope, args.get(1)),
        text(scope, args.get(2)),
    ) else {
        return;
    };
    let Ok(mut url) = Url::parse(&href) else {
        return;
    };
    let set = match part.as_str() {
        "href" => quirks::set_href(&mut url, &value).map_err(|_| ()),
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => Err(()),
    };
    if set.is_ok() {
        result.set(url_parts(scope, &url).into());
    }
}

/// The parts of a URL as an object.
fn url_parts<'s>(scope: &v8::PinScope<'s, '_>, url: &Url) -> v8::Local<'s, v8::Object> {
    let object = v8::Object::new(scope);
    let origin = quirks::origin(url);
    let parts = [
        ("href", quirks::href(url)),
        ("protocol", quirks::protocol(url)),
        ("username", quirks::username(url)),
        ("password", quirks::password(url)),
        ("host", quirks::host(url)),
        ("hostname", quirks::hostname(url)),
        ("port", quirks::port(url)),
        ("pathname", quirks::pathname(url)),
        ("search", quirks::search(url)),
        ("hash", quirks::hash(url)),
        ("origin", origin.as_str()),
    ];
    for (name, value) in parts {
        object.set(scope, short(scope, name).into(), short(scope, value).into());
    }
    object
}

struct Cloner;

impl v8::ValueSerializerImpl for Cloner {
    fn throw_data_clone_error<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::String>,
    ) {
        let error = v8::Exception::error(scope, message);
        if let Ok(object) = v8::Local::<v8::Object>::try_from(error) {
            object.set(
                scope,
                short(scope, "name").into(),
                short(scope, "DataCloneError").into(),
            );
        }
        scope.throw_exception(error);
    }
}

impl v8::ValueDeserializerImpl for Cloner {}

/// A deep copy.
pub(super) fn structured_clone(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let context = scope.get_current_context();
    let serializer = v8::ValueSerializer::new(scope, Box::new(Cloner));
    serializer.write_header();
    if serializer.write_value(context, args.get(0)) != Some(true) {
        return;
    }
    let bytes = serializer.release();
    let deserializer = v8::ValueDeserializer::new(scope, Box::new(Cloner), &bytes);
    if deserializer.read_header(context) == Some(true)
        && let Some(copy) = deserializer.read_value(context)
    {
        result.set(copy);
    }
}
