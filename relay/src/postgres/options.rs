//! Takes the options of TLS out of a URL (`postgresql://...?a=b&c=d`) or a string of `name=value`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::Error;

/// What a URL says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Option<String>,
    pub(super) root: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Options {
    /// The rest, which the library reads, and the options.
    pub(super) fn take(url: &str) -> Result<(String, Self), Error> {
        let mut options = Self::default();
        let rest = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            options.take_from_url(url)?
        } else {
            options.take_from_pairs(url)?
        };
        Ok((rest, options))
    }

    fn take_from_url(&mut self, url: &str) -> Result<String, Error> {
        let Some((base, query)) = url.split_once('?') else {
            return Ok(url.to_owned());
        };
        let mut others = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| Error::Malformed("a value of the URL is not UTF-8"))?;
            if !self.set(name, &value) {
                others.push(pair);
            }
        }
        Ok(if others.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", others.join("&"))
        })
    }

    fn take_from_pairs(&mut self, text: &str) -> Result<String, Error> {
        let mut others = String::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or(Error::Malformed(
                "expected postgresql://... or name=value pairs",
            ))?;
            let (value, end) = read_value(after.trim_start())?;
            let length = rest.len() - end.len();
            if !self.set(name.trim(), &value) {
                others.push_str(rest.get(..length).unwrap_or_default());
                others.push(' ');
            }
            rest = end.trim_start();
        }
        Ok(others)
    }

    /// False if it is not one of these.
    fn set(&mut self, name: &str, value: &str) -> bool {
        let path = || Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        match name {
            "sslmode" => self.mode = Some(value.to_owned()),
            "sslrootcert" => self.root = path(),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            _ => return false,
        }
        true
    }
}

/// A value up to a space, or in quotes; a backslash takes the next character as it is.
fn read_value(text: &str) -> Result<(String, &str), Error> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, next)) => value.push(next),
                None => return Err(Error::Malformed("a value ends with a backslash")),
            },
            space if !quoted && space.is_whitespace() => {
                return Ok((value, text.get(at..).unwrap_or_default()));
            }
            other => value.push(other),
        }
    }
    if quoted {
        return Err(Error::Malformed("a quote is not closed"));
    }
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(mode: &str, root: &str) -> Options {
        Options {
            mode: Some(mode.into()),
            root: Some(root.into()),
            ..Options::default()
        }
    }

    #[test]
    fn are_taken_out_and_the_rest_stays() {
        let url = "postgresql://u:p@h:5432/d?sslmode=verify-ca&connect_timeout=3&sslrootcert=%2Fa%20b.pem";
        let expected = (
            "postgresql://u:p@h:5432/d?connect_timeout=3".to_owned(),
            options("verify-ca", "/a b.pem"),
        );
        assert_eq!(Options::take(url).unwrap(), expected);
        let pairs = r"host = h sslmode=require password='it\'s ?' sslrootcert = '/a b.pem' user=u";
        let expected = (
            r"host = h password='it\'s ?' user=u ".to_owned(),
            options("require", "/a b.pem"),
        );
        assert_eq!(Options::take(pairs).unwrap(), expected);
        let url = "postgres://h/d?sslmode=disable";
        assert_eq!(Options::take(url).unwrap().0, "postgres://h/d");
    }

    #[test]
    fn what_has_no_end_is_told() {
        for text in ["host='h", "host=h\\", "nonsense"] {
            assert!(Options::take(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn any_text_is_read_or_refused(text in "(postgres://)?[a-z0-9=' &?%\\\\é]{0,40}") {
            if let Ok((rest, _)) = Options::take(&text) {
                let (again, none) = Options::take(&rest).unwrap();
                prop_assert_eq!(again.trim(), rest.trim());
                prop_assert_eq!(none, Options::default());
            }
        }
    }
}
