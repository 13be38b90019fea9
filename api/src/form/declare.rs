//! Declaration of request forms: one `form!` gives the struct, its reader and its JSON schema.
//!
//! Deriving both from serde attributes would stop at the first violation; see decision 47. A reader reports every
//! violation, unknown fields first, then field by field in the order of the declaration.

use super::json::Node;
use super::presence::Presence;
use super::reader::{Pointer, Reader};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A JSON object of a request.
pub(crate) trait RequestForm: Sized + JsonSchema {
    /// The members of the object; any other is a violation.
    const FIELDS: &'static [&'static str];
    /// Members that belong in another request, and what to do instead.
    const ELSEWHERE: &'static [(&'static str, &'static str)] = &[];
    /// Pointers of texts that may look like a card number.
    const CARD_CHECK_EXEMPT: &'static [&'static str] = &[];
    /// Whether a request without a body means an empty object.
    const OPTIONAL: bool = false;
    /// Whether the description says so, too. It does not where an empty object is always refused.
    const DESCRIBED_AS_OPTIONAL: bool = false;

    /// Reads the object at `at`; `None` only after a violation was reported.
    fn read(node: &Node<'_>, at: &Pointer<'_>, reader: &mut Reader) -> Option<Self>;
}

/// Declares a form:
///
/// ```text
/// form! {
///     /// Credentials.
///     pub(super) struct Login {
///         /// The account's address.
///         email: String = required(text()),
///         locale: Option<String> = optional(text()),
///     }
///     named "Login";                      // a schema of its own instead of an inline one
///     elsewhere &[("role", "…")];         // see `RequestForm::ELSEWHERE`
///     exempt &["/email"];                 // see `RequestForm::CARD_CHECK_EXEMPT`
///     body optional;                      // see `RequestForm::OPTIONAL`; `body assumed` is described as required
///     example json!({ "email": "ada@example.com" });
///     check(at, reader) { … }             // rules across fields, which are `Option`s here
/// }
/// ```
///
/// The presence of a field may depend on fields above it, which are `Option`s, too.
macro_rules! form {
    (
        $(#[$meta:meta])*
        $vis:vis struct $form:ident $(<const $flag:ident: bool>)? {
            $( $(#[doc = $doc:literal])* $field:ident: $type:ty = $presence:expr ),+ $(,)?
        }
        $( named $name:expr; )?
        $( elsewhere $elsewhere:expr; )?
        $( exempt $exempt:expr; )?
        $( body $optional:ident; )?
        $( example $example:expr; )?
        $( check($at:ident, $reader:ident) $check:block )?
    ) => {
        $(#[$meta])*
        $vis struct $form $(<const $flag: bool>)? {
            $( $(#[doc = $doc])* $vis $field: $type, )+
        }

        impl $(<const $flag: bool>)? $crate::form::RequestForm for $form $(<$flag>)? {
            const FIELDS: &'static [&'static str] = &[$( stringify!($field) ),+];
            $( const ELSEWHERE: &'static [(&'static str, &'static str)] = $elsewhere; )?
            $( const CARD_CHECK_EXEMPT: &'static [&'static str] = $exempt; )?
            $(
                const OPTIONAL: bool = matches!(stringify!($optional).as_bytes(), b"optional" | b"assumed");
                const DESCRIBED_AS_OPTIONAL: bool = matches!(stringify!($optional).as_bytes(), b"optional");
            )?

            fn read(
                node: &$crate::form::json::Node<'_>,
                at: &$crate::form::reader::Pointer<'_>,
                reader: &mut $crate::form::reader::Reader,
            ) -> Option<Self> {
                let fields = reader.object_beside(node, at, (Self::FIELDS, Self::ELSEWHERE))?;
                $(
                    let $field: Option<$type> =
                        $crate::form::presence::Presence::read(&$presence, fields, stringify!($field), reader);
                )+
                $( {
                    let ($at, $reader) = (at, &mut *reader);
                    $check
                } )?
                Some(Self { $( $field: $field? ),+ })
            }
        }

        impl $(<const $flag: bool>)? schemars::JsonSchema for $form $(<$flag>)? {
            fn inline_schema() -> bool {
                <[&str]>::is_empty(&[$( $name )?])
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                let names: &[&'static str] = &[$( $name, )? stringify!($form)];
                names.first().copied().unwrap_or_default().into()
            }

            #[allow(unused_variables, reason = "only a presence that depends on fields above it reads them")]
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = $crate::form::declare::FormSchema::default();
                $(
                    schema.add::<$type>(stringify!($field), &[$( $doc ),*], &$presence, generator);
                    let $field: Option<$type> = None;
                )+
                $( schema.example($example); )?
                schema.finish()
            }
        }
    };
}
pub(crate) use form;

/// The schema of a form while its fields are added.
#[derive(Default)]
pub(crate) struct FormSchema {
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    example: Option<Value>,
}

impl FormSchema {
    /// Adds a field; `docs` are the lines of its doc comment.
    pub(crate) fn add<T>(
        &mut self,
        name: &'static str,
        docs: &[&str],
        presence: &impl Presence<Value = T>,
        generator: &mut SchemaGenerator,
    ) {
        let mut schema = presence.schema(generator);
        if !docs.is_empty() {
            let lines: Vec<&str> = docs.iter().map(|line| line.trim()).collect();
            schema.insert("description".to_owned(), lines.join(" ").into());
        }
        if presence.is_required() {
            self.required.push(name);
        }
        let schema =
            if presence.is_nullable() { json!({ "oneOf": [schema, { "type": "null" }] }) } else { schema.to_value() };
        self.properties.insert(name.to_owned(), schema);
    }

    /// Adds an object that is accepted.
    pub(crate) fn example(&mut self, example: Value) {
        self.example = Some(example);
    }

    /// The closed object.
    pub(crate) fn finish(self) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        });
        if let Some(example) = self.example {
            schema.insert("examples".to_owned(), json!([example]));
        }
        schema
    }
}
