//! [`settings!`](crate::settings!): a room's keys, said once.

/// Makes a struct whose fields are settings.
///
/// Each field's doc comment is its help, its type says how it is read, and a
/// value after `=` is its default; without one, a field that cannot be absent
/// must be given. Beside the struct come `KEYS`, `read` and `write`.
///
/// ```
/// use std::time::Duration;
/// use netloom_base::{Settings, settings};
///
/// settings! {
///     /// How a bell rings.
///     pub struct Bell {
///         /// how long between two strokes
///         every_stroke: Duration = Duration::from_secs(1),
///         /// ring twice
///         double: bool,
///         /// who is told
///         to: String,
///     }
/// }
///
/// let bell = Bell::read(&Settings::new().with("to", "ann").with("every-stroke", "2s"))?;
/// assert_eq!(bell.every_stroke, Duration::from_secs(2));
///
/// let errors = Bell::read(&Settings::new().with("tow", "ann")).unwrap_err();
/// assert_eq!(errors[0].to_string(), "no such key: `tow` (nearest: `to`)");
/// assert_eq!(errors[1].to_string(), "`to` is missing");
/// # Ok::<(), Vec<netloom_base::SettingError>>(())
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( #[doc = $help:literal] $field:ident : $ty:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $( #[doc = $help] $vis $field: $ty, )*
        }

        impl $name {
            /// The keys it reads.
            $vis const KEYS: &'static [$crate::settings::Key] = &[
                $( $crate::settings::Key {
                    name: {
                        const NAME: [u8; stringify!($field).len()] = $crate::settings::kebab(stringify!($field));
                        match ::core::str::from_utf8(&NAME) {
                            Ok(name) => name,
                            Err(_) => panic!("a key is ASCII"),
                        }
                    },
                    help: $help.trim_ascii(),
                    hint: <$ty as $crate::settings::FromValue>::HINT,
                    many: <$ty as $crate::settings::FromValue>::MANY,
                    default: {
                        fn default() -> Option<String> {
                            let value: Option<$ty> = $crate::settings!(@default $ty $(= $default)?);
                            value.as_ref().and_then(<$ty as $crate::settings::FromValue>::to_value).map(|v| v.to_string())
                        }
                        default
                    },
                }, )*
            ];

            /// Reads them. Every mistake is reported, not only the first.
            $vis fn read(settings: &$crate::Settings) -> Result<Self, Vec<$crate::SettingError>> {
                let mut errors = settings.unknown(Self::KEYS);
                let mut keys = Self::KEYS.iter();
                $( let $field: Option<$ty> = $crate::settings::read_key(
                    settings,
                    keys.next(),
                    $crate::settings!(@default $ty $(= $default)?),
                    &mut errors,
                ); )*
                let _ = &mut keys;
                match ($($field,)*) {
                    ($(Some($field),)*) if errors.is_empty() => Ok($name { $($field),* }),
                    _ => Err(errors),
                }
            }

            /// Writes them, so that `read` gives the same.
            $vis fn write(&self) -> $crate::Settings {
                #[allow(unused_mut)]
                let mut settings = $crate::Settings::new();
                $( if let Some(value) = $crate::settings::FromValue::to_value(&self.$field) {
                    settings.push(stringify!($field), value, None);
                } )*
                settings
            }
        }
    };
    (@default $ty:ty = $default:expr) => { Some($default) };
    (@default $ty:ty) => { <$ty as $crate::settings::FromValue>::absent() };
}

use super::{FromValue, Key, SettingError, Settings, Value};

/// A field's name as a key: `max_conns` is `max-conns`.
pub const fn kebab<const N: usize>(name: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        let byte = name.as_bytes()[i];
        out[i] = if byte == b'_' { b'-' } else { byte };
        i += 1;
    }
    out
}

#[doc(hidden)]
pub fn read_key<T: FromValue>(
    settings: &Settings,
    key: Option<&Key>,
    default: Option<T>,
    errors: &mut Vec<SettingError>,
) -> Option<T> {
    let key = key?;
    let chosen = if T::MANY {
        let values = settings.all(key.name).flat_map(|s| match &s.value {
            Value::List(items) => items.clone(),
            one => vec![one.clone()],
        });
        let first = settings.all(key.name).next();
        first.map(|s| (Value::List(values.collect()), s.span.clone()))
    } else {
        settings
            .last(key.name)
            .map(|s| (s.value.clone(), s.span.clone()))
    };
    let Some((value, span)) = chosen else {
        if default.is_none() {
            errors.push(SettingError::new(
                key.name,
                None,
                format!("`{}` is missing", key.name),
            ));
        }
        return default;
    };
    match T::from_value(&value) {
        Ok(value) => Some(value),
        Err(message) => {
            errors.push(SettingError::new(key.name, span, message));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Settings, Value};

    settings! {
        /// Everything the reader can meet.
        struct Sample {
            /// how long
            for_long: Duration = Duration::from_secs(5),
            /// how many
            count: Option<u32>,
            /// which ones
            names: Vec<String>,
            /// what to say
            text: String,
        }
    }

    #[test]
    fn keys_are_kebab_and_carry_help() {
        let key = Sample::KEYS[0];
        assert_eq!(
            (key.name, key.help, key.hint),
            ("for-long", "how long", "DURATION")
        );
        assert_eq!((key.default)(), Some("5s".to_owned()));
        assert!(Sample::KEYS[2].many);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let mut settings = Settings::new().with("for-long", "ever").with("count", "-1");
        settings.push("nmaes", Value::from("x"), Some(3..8));
        let errors = Sample::read(&settings).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[0], "no such key: `nmaes` (nearest: `names`)");
        assert_eq!(told[3], "`text` is missing");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let settings = Settings::new()
            .with("text", "hi")
            .with("names", "a")
            .with("names", "b")
            .with("count", 3_i64);
        let sample = Sample::read(&settings).unwrap();
        assert_eq!(sample.names, ["a", "b"]);
        assert_eq!(Sample::read(&sample.write()).unwrap(), sample);
    }
}
