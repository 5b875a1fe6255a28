//! The API's OpenAPI 3.1 document: generated from the handlers, then completed with what is true of every operation, so
//! that no handler can forget it: who may call it, how it fails, and an example.

use super::{examples, routes::ROUTES};
use crate::auth::caller::Access;
use ferrogate_api::Problem;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::OpenApi as _;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Ferrogate plane",
        description = "Builds Kubernetes clusters on the machines of private MAAS sites, through gateways that connect outward.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Document;

/// The OpenAPI 3.1 document of the plane's API, as pretty-printed JSON with a final newline.
#[must_use]
pub fn openapi() -> String {
    let (_, mut generated) = super::described().split_for_parts();
    generated.merge(Document::openapi());
    generated.info = Document::openapi().info;
    let mut document = serde_json::to_value(&generated).expect("the document is made of plain values");
    complete(&mut document);
    let mut text = serde_json::to_string_pretty(&document).expect("the document is made of plain values");
    text.push('\n');
    text
}

fn complete(document: &mut Value) {
    let examples = examples::all();
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "A session's, API or install token"}
    });
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, operations) in paths {
        let Some(operations) = operations.as_object_mut() else { continue };
        for (method, operation) in operations {
            let rule = ROUTES.iter().find(|route| {
                route.path == path && route.method.is_some_and(|known| known.eq_ignore_ascii_case(method))
            });
            if let Some(route) = rule {
                operation["x-ferrogate-access"] = json!(route.access.words());
                operation["x-ferrogate-audit-action"] = json!(route.action);
                operation["security"] =
                    if route.access == Access::Public { json!([]) } else { json!([{"bearer": []}]) };
            }
            operation["responses"]["default"] = json!({
                "description": "Refused or failed: an RFC 9457 problem document",
                "content": {"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": examples.get("Problem"),
                }},
            });
            if let Some(media) = operation.pointer_mut("/requestBody/content/application~1json") {
                exemplify(media, &examples);
            }
            let Some(responses) = operation["responses"].as_object_mut() else { continue };
            for response in responses.values_mut() {
                if let Some(media) = response.pointer_mut("/content/application~1json") {
                    exemplify(media, &examples);
                }
            }
        }
    }
}

/// Gives JSON content the example of its type.
fn exemplify(media: &mut Value, examples: &BTreeMap<&'static str, Value>) {
    let Some(name) = media["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else { return };
    let example = match name.strip_prefix("Page_") {
        Some(item) => examples.get(item).map(|example| json!({"items": [example]})),
        None => examples.get(name).cloned(),
    };
    if let Some(example) = example {
        media["example"] = example;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::from_str(&openapi()).unwrap()
    }

    fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
        document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
            operations
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    #[test]
    fn the_table_of_routes_and_the_document_name_the_same_operations() {
        let document = document();
        let mut described: Vec<_> =
            operations(&document).map(|(path, method, _)| (path.to_owned(), method.to_uppercase())).collect();
        let mut declared: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.path.starts_with("/api/v1/") && route.path != "/api/v1/openapi.json")
            .map(|route| (route.path.to_owned(), route.method.unwrap().to_owned()))
            .collect();
        described.sort();
        declared.sort();
        assert_eq!(described, declared);
    }

    #[test]
    fn every_operation_has_an_example_of_what_it_takes_and_gives() {
        let document = document();
        for (path, method, operation) in operations(&document) {
            let mut contents: Vec<&Value> =
                operation["requestBody"]["content"].as_object().into_iter().flat_map(|c| c.values()).collect();
            for (_, response) in operation["responses"].as_object().unwrap() {
                contents.extend(response["content"].as_object().into_iter().flat_map(|content| content.values()));
            }
            assert!(!contents.is_empty(), "{method} {path}");
            for content in contents {
                assert!(!content["example"].is_null(), "{method} {path}: {content}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let is_path = parameter["in"] == "path";
                assert!(!is_path || !parameter["example"].is_null(), "{method} {path}: {parameter}");
            }
        }
    }

    #[test]
    fn the_document_says_3_1_and_who_may_call() {
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        for (path, method, operation) in operations(&document) {
            assert!(operation["x-ferrogate-access"].is_string(), "{method} {path}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }
}
