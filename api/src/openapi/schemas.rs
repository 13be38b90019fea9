//! Schemas of views and forms, derived from their types and collected as components of the document.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

const COMPONENTS: &str = "/components/schemas";

/// Collects the components that operations refer to.
pub(crate) struct Schemas {
    views: SchemaGenerator,
    forms: SchemaGenerator,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.meta_schema = None;
            })
        };
        Self { views: settings().for_serialize().into_generator(), forms: settings().into_generator() }
    }

    /// The schema of what an answer holds, and its example.
    pub(crate) fn view<T: JsonSchema>(&mut self) -> BodySchema {
        let schema = self.views.subschema_for::<T>();
        BodySchema::new(schema, self.views.definitions(), normalize_view)
    }

    /// The schema of what a request holds, and its example.
    pub(crate) fn form<T: JsonSchema>(&mut self) -> BodySchema {
        let schema = self.forms.subschema_for::<T>();
        BodySchema::new(schema, self.forms.definitions(), normalize)
    }

    /// The parameters that a query of this type may have: name, schema, description, and whether it must be there.
    pub(super) fn parameters<T: JsonSchema>(&mut self) -> Vec<Parameter> {
        let mut schema = T::json_schema(&mut self.forms).to_value();
        let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
        let Some(Value::Object(properties)) = schema.as_object_mut().and_then(|members| members.remove("properties"))
        else {
            return Vec::new();
        };
        let parameter = |(name, mut schema): (String, Value)| {
            // A parameter that is missing is missing: there is no null in a query.
            remove_null(&mut schema);
            remove_unsigned_width(&mut schema);
            let description = schema.as_object_mut().and_then(|members| members.remove("description"));
            let description = description.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
            let required = required.iter().any(|one| *one == name);
            Parameter { name, schema, description, required }
        };
        properties.into_iter().map(parameter).collect()
    }

    /// The components, by name. A form and a view of one name are the same.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut components = self.forms.take_definitions(false);
        components.values_mut().for_each(normalize);
        let mut views = self.views.take_definitions(false);
        views.values_mut().for_each(normalize_view);
        components.extend(views);
        // Examples stand where the whole body is described.
        for component in components.values_mut().filter(|component| component.get("properties").is_some()) {
            component.as_object_mut().map(|members| members.remove("examples"));
        }
        components
    }
}

/// A parameter of the query.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) description: String,
    pub(super) required: bool,
}

/// A schema as an operation shows it.
pub(crate) struct BodySchema {
    pub(crate) schema: Value,
    /// The first sentence of the type's documentation.
    pub(crate) description: Option<String>,
    pub(crate) example: Option<Value>,
}

impl BodySchema {
    fn new(schema: Schema, components: &Map<String, Value>, normalize: fn(&mut Value)) -> Self {
        let mut schema = schema.to_value();
        let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit_once('/')).map(|(_, name)| name);
        let whole = name.and_then(|name| components.get(name)).unwrap_or(&schema);
        let description = whole["description"].as_str().map(str::to_owned);
        let example = example_of(whole, components);
        if let Some(members) = schema.as_object_mut() {
            members.remove("examples");
        }
        normalize(&mut schema);
        Self { schema, description, example }
    }
}

/// The example of a schema; that of a list is one of its items.
fn example_of(schema: &Value, components: &Map<String, Value>) -> Option<Value> {
    if let Some(example) = schema["examples"].get(0) {
        return Some(example.clone());
    }
    let item = schema.pointer("/properties/items/items/$ref")?.as_str()?.rsplit_once('/')?.1;
    let example = components.get(item)?["examples"].get(0)?;
    Some(serde_json::json!({ "items": [example] }))
}

/// The schema of a value that has one of these names.
pub(crate) fn one_of<T>(choices: &[(&'static str, T)]) -> Schema {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    schemars::json_schema!({ "type": "string", "enum": names })
}

/// What Rust says of a number's width is no promise to clients, and a default is the reader's affair.
pub(super) fn normalize(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("default");
            let is_width = |format: &Value| {
                format.as_str().is_some_and(|format| {
                    format.starts_with("uint") || ["int32", "int64", "int", "double", "float"].contains(&format)
                })
            };
            if members.get("format").is_some_and(is_width) {
                members.remove("format");
            }
            if members.get("maximum").is_some_and(|most| *most == u16::MAX) {
                members.remove("maximum");
            }
            members.values_mut().for_each(normalize);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        _ => {}
    }
}

fn remove_unsigned_width(schema: &mut Value) {
    let is_unsigned = schema["format"].as_str().is_some_and(|format| format.starts_with("uint"));
    if let Some(members) = schema.as_object_mut().filter(|_| is_unsigned) {
        members.remove("format");
    }
}

/// As [`normalize`]; what is missing from an answer when there is none of it is never `null`.
fn normalize_view(schema: &mut Value) {
    normalize(schema);
    without_nulls(schema);
}

fn without_nulls(schema: &mut Value) {
    if let Value::Array(items) = schema {
        items.iter_mut().for_each(without_nulls);
        return;
    }
    let Value::Object(members) = schema else { return };
    let required: Vec<String> = members
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for (_, property) in properties.iter_mut().filter(|(name, _)| !required.contains(name)) {
            remove_null(property);
        }
    }
    members.values_mut().for_each(without_nulls);
}

/// The same schema without `null`.
pub(super) fn remove_null(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for alternatives in ["anyOf", "oneOf"] {
        let Some(Value::Array(mut all)) = members.remove(alternatives) else { continue };
        all.retain(|one| one["type"] != "null");
        match all.as_slice() {
            [Value::Object(only)] => only.clone().into_iter().for_each(|(name, value)| {
                members.entry(name).or_insert(value);
            }),
            _ => drop(members.insert(alternatives.to_owned(), all.into())),
        }
    }
}
