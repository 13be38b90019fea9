//! Enumerations of wire names: one declaration gives the variants, their names, their JSON form and the list of all.
//!
//! A wire name is a contract with stored documents, queued messages and clients, so it is written once, beside its
//! variant, and never derived from the Rust name. No conversion falls back to a value that was not meant.

/// Declares an enumeration whose values have wire names.
///
/// Generates `ALL` (every value with its name, in the order of declaration), `as_str`, `parse`, `Display` and the serde
/// form. Further derives and attributes are passed through.
///
/// ```
/// pvt_domain::wire_enum! {
///     /// Size of a towel.
///     #[derive(Hash)]
///     pub enum Towel {
///         /// For the face.
///         Small = "small",
///         /// For the beach.
///         ExtraLarge = "extra_large",
///     }
/// }
/// assert_eq!(Towel::ExtraLarge.as_str(), "extra_large");
/// assert_eq!(Towel::parse("small"), Some(Towel::Small));
/// assert_eq!(Towel::ALL.map(|(name, _)| name), ["small", "extra_large"]);
/// ```
///
/// With `else` the enumeration belongs to another provider's API: a name that is not declared (or `null`) is read as
/// that variant, which is the least in order and is written as `unknown`.
///
/// ```
/// pvt_domain::wire_enum! {
///     /// State of a kettle, as the kettle reports it.
///     pub enum Kettle {
///         /// Heating.
///         On = "on",
///     } else Unknown
/// }
/// assert_eq!(serde_json::from_str::<Kettle>("\"whistling\"").unwrap(), Kettle::Unknown);
/// ```
#[macro_export]
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $wire:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        $vis enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $wire)] $variant, )+
        }

        #[allow(dead_code, reason = "not every enumeration is listed, parsed and printed")]
        impl $name {
            /// Every value with its wire name, in the order of declaration.
            pub const ALL: [(&'static str, Self); [$($wire),+].len()] = [$( ($wire, Self::$variant) ),+];

            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $wire, )+
                }
            }

            /// The value of this wire name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
            }
        }

        impl $crate::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut $crate::schemars::SchemaGenerator) -> $crate::schemars::Schema {
                $crate::schemars::json_schema!({ "type": "string", "enum": Self::ALL.map(|(name, _)| name) })
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $wire:literal ),+ $(,)?
        } else $unknown:ident
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ::serde::Serialize)]
        $vis enum $name {
            /// A value that this program does not know.
            #[serde(rename = "unknown")]
            $unknown,
            $( $(#[$variant_meta])* #[serde(rename = $wire)] $variant, )+
        }

        #[allow(dead_code, reason = "not every enumeration is printed")]
        impl $name {
            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$unknown => "unknown",
                    $( Self::$variant => $wire, )+
                }
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = Option::<::std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Ok(match name.as_deref() {
                    $( Some($wire) => Self::$variant, )+
                    _ => Self::$unknown,
                })
            }
        }
    };
}
