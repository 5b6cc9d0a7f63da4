//! The OpenAPI document, served as it is here.

use serde_json::{Map, Value, json};

use crate::backend::Backend;
use crate::body;
use crate::refusal::Wrong;
use crate::routes::{LAST, LONGEST_STEP, LONGEST_WAIT, MOST, SPEEDS, USUAL};

/// What whoever looks may be refused for, beside what an operation has of its own.
const LOOKS: &[Wrong] = &[Wrong::Malformed, Wrong::Token, Wrong::Place, Wrong::Ended];
/// What whoever changes something without a body may be refused for.
const CHANGES: &[Wrong] =
    &[Wrong::Malformed, Wrong::Token, Wrong::Place, Wrong::ReadOnly, Wrong::Ended];
/// What whoever changes something with a body may be refused for.
const BODIES: &[Wrong] = &[
    Wrong::Malformed,
    Wrong::Token,
    Wrong::Place,
    Wrong::ReadOnly,
    Wrong::Slow,
    Wrong::TooLarge,
    Wrong::MediaType,
    Wrong::Unprocessable,
    Wrong::Ended,
];

const ABOUT: &str = "The control of a bus: what it looks like, what is done to it, what it carries. \
Whoever changes something sends `Authorization: Bearer TOKEN`; on an address that other machines reach, \
whoever looks does too. The Host header must be an address of the server with its port, and Origin, where \
there is one, must be the server's own. An error is `{\"error\": …, \"code\": …}`.";

/// The document.
pub(crate) fn document(backend: &dyn Backend) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "k485",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths(),
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(backend),
        },
    })
}

fn paths() -> Value {
    json!({
        "/api/v1/state": { "get": look("state", "How everything is.", &[], of("State"), &[]) },
        "/api/v1/hands": { "post": change(
            "act", "Does what a hand does, at once.", Some(of("Hand")), 200, Some(of("After")), &[]) },
        "/api/v1/faults": {
            "get": look("faults", "The faults at work.", &[], object(json!({
                "faults": { "type": "array", "items": of("Fault") } })), &[]),
            "post": change("add_fault", "Adds a fault, written as one line.", Some(of("NewFault")),
                201, Some(object(json!({ "id": { "type": "integer", "minimum": 1 } }))), &[]),
            "delete": change("clear_faults", "Takes all faults away.", None, 204, None, &[]),
        },
        "/api/v1/faults/{id}": { "delete": with_parameters(
            change("remove_fault", "Takes a fault away, and ends what it brought over devices.", None,
                204, None, &[Wrong::NotFound]),
            json!([{ "name": "id", "in": "path", "required": true, "description": "Its number.",
                "schema": { "type": "integer", "minimum": 1, "maximum": u32::MAX } }])) },
        "/api/v1/scene": { "post": change(
            "set_scene",
            "Begins anew, with a scene or with the file that the bus began with; whoever is connected \
             stays. Faults that were added are gone.",
            Some(of("NewScene")), 200, Some(of("After")), &[]) },
        "/api/v1/clock": {
            "get": look("clock", "How the bus's time goes.", &[], of("Clock"), &[Wrong::NotFound]),
            "post": change("set_clock", "Has the time stand still or go, and how fast.",
                Some(of("ClockChange")), 200, Some(of("Clock")), &[]),
        },
        "/api/v1/clock/step": { "post": change(
            "step", "Takes the time on by exactly so much, and does all that is due until then.",
            Some(of("Step")), 200, Some(of("Clock")), &[]) },
        "/api/v1/exchanges": { "get": look(
            "exchanges",
            "What the bus carried: the last ones, or those that follow a number.",
            &exchange_parameters(),
            object(json!({
                "exchanges": { "type": "array", "items": of("Seen"), "maxItems": MOST },
                "next": { "type": "integer", "minimum": 0,
                    "description": "What to give as `after` next." },
                "missed": { "type": "integer", "minimum": 0,
                    "description": "How many that follow `after` are not kept any more." },
                "open": { "type": ["object", "null"],
                    "description": "The request that waits for its answer, as a frame." },
            })),
            &[Wrong::Unprocessable]) },
        "/api/v1/events": { "get": events() },
        "/api/v1/openapi.json": { "get": look(
            "openapi", "This document.", &[], json!({ "type": "object" }), &[]) },
    })
}

fn exchange_parameters() -> Vec<Value> {
    vec![
        query(
            "after",
            "Those that follow this number; without it the last ones.",
            json!({
            "type": "integer", "minimum": 0, "maximum": LAST }),
        ),
        query(
            "limit",
            "How many at most.",
            json!({
            "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL }),
        ),
        filter(),
        query(
            "wait",
            "How many seconds to wait for the first, if there is none yet.",
            json!({
            "type": "number", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0 }),
        ),
    ]
}

fn filter() -> Value {
    let doc = "Only what this holds for, such as `addr==box1 && status!=OK`.";
    query("filter", doc, json!({ "type": "string" }))
}

fn query(name: &str, doc: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": doc, "schema": schema })
}

/// The stream, which is a WebSocket.
fn events() -> Value {
    let after = query(
        "after",
        "Begin behind this number; without it with what comes now.",
        json!({
        "type": "integer", "minimum": 0, "maximum": LAST }),
    );
    let mut responses = refusals(LOOKS, &[Wrong::Conflict, Wrong::Unprocessable]);
    responses.insert("101".to_owned(), json!({ "description":
        "A WebSocket (protocol `k485.v1`) of JSON texts: `{\"type\":\"hello\",…}` first, then \
         `{\"type\":\"state\",\"state\":…}` when something has changed (at most ten a second), what \
         the bus carries as `exchanges` gives it, and `{\"type\":\"lagged\",\"missed\":N}` to whoever \
         reads too slowly. A browser, which can send no Authorization, gives the token as a second \
         protocol, `k485.token.TOKEN`, percent-encoded if it has characters that no protocol has." }));
    json!({
        "operationId": "events",
        "summary": "What the bus carries and how things are, as it happens.",
        "parameters": [after, filter()],
        "responses": responses,
    })
}

/// An operation that changes nothing.
fn look(id: &str, doc: &str, parameters: &[Value], answer: Value, more: &[Wrong]) -> Value {
    let mut responses = refusals(LOOKS, more);
    responses.insert("200".to_owned(), success("It is answered.", answer));
    json!({
        "operationId": id,
        "summary": doc,
        "parameters": parameters,
        "responses": responses,
    })
}

/// An operation that changes something, and needs the token.
fn change(
    id: &str,
    doc: &str,
    body: Option<Value>,
    status: u16,
    answer: Option<Value>,
    more: &[Wrong],
) -> Value {
    let mut responses = refusals(if body.is_some() { BODIES } else { CHANGES }, more);
    let done = answer.map_or_else(|| json!({ "description": "Done." }), |a| success("Done.", a));
    responses.insert(status.to_string(), done);
    let mut operation = json!({
        "operationId": id,
        "summary": doc,
        "security": [{ "token": [] }],
        "responses": responses,
    });
    if let Some(schema) = body {
        operation["requestBody"] = json!({
            "required": true,
            "description": format!("At most {} bytes.", body::LARGEST),
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

fn with_parameters(mut operation: Value, parameters: Value) -> Value {
    operation["parameters"] = parameters;
    operation
}

fn success(doc: &str, schema: Value) -> Value {
    json!({ "description": doc, "content": { "application/json": { "schema": schema } } })
}

fn refusals(usual: &[Wrong], more: &[Wrong]) -> Map<String, Value> {
    let mut responses = Map::new();
    for wrong in usual.iter().chain(more) {
        let doc = match wrong {
            Wrong::Malformed => "The request cannot be read.",
            Wrong::Token => "The token is missing or wrong.",
            Wrong::Place | Wrong::ReadOnly => {
                "Asked from elsewhere, or of a bus that can only be looked at."
            }
            Wrong::NotFound => "There is no such thing.",
            Wrong::Method => "This cannot be done here.",
            Wrong::Slow => "The body did not come in time.",
            Wrong::Conflict => "It does not go with how things are now.",
            Wrong::TooLarge => "The body is too large.",
            Wrong::MediaType => "The body does not say that it is JSON.",
            Wrong::Unprocessable => "It can be read and cannot be done.",
            Wrong::Ended => "The bus has ended.",
        };
        responses.insert(wrong.status().to_string(), success(doc, of("Error")));
    }
    responses
}

fn of(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An object with all of these.
fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// A body: an object with these and nothing else, none of them needed but those that are named.
fn body_of(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn schemas(backend: &dyn Backend) -> Value {
    let codes: Vec<&str> = Wrong::ALL.iter().map(|wrong| wrong.code()).collect();
    json!({
        "Error": object(json!({
            "error": { "type": "string", "description": "What was wrong and what to do." },
            "code": { "enum": codes },
        })),
        "State": state(),
        "After": object(json!({ "state": of("State") })),
        "Hand": backend.hand_schema(),
        "Fault": object(json!({
            "id": { "type": "integer", "minimum": 1 },
            "rule": { "type": "string", "description": "As one line." },
            "met": { "type": "integer", "minimum": 0,
                "description": "What it could strike passed so often." },
            "struck": { "type": "integer", "minimum": 0, "description": "It struck so often." },
        })),
        "NewFault": body_of(&["rule"], json!({ "rule": { "type": "string", "description":
            "A rule as --fault takes it.", "examples": ["drop if func==0x10 p=0.1"] } })),
        "NewScene": body_of(&[], json!({ "toml": { "type": "string", "description":
            "A scene's text; without it the file that the bus began with is read anew." } })),
        "Clock": object(json!({
            "time": { "type": "number", "description": "In seconds since 1970." },
            "elapsed": { "type": "number", "description": "In seconds since the bus began." },
            "paused": { "type": "boolean", "description": "It stands still." },
            "speed": { "type": "number", "description":
                "How many of its seconds a second is while it goes." },
            "virtual": { "type": "boolean", "description":
                "A request takes the time on to its reply." },
        })),
        "ClockChange": body_of(&[], json!({
            "paused": { "type": "boolean" },
            "speed": { "type": "number", "minimum": SPEEDS.start(), "maximum": SPEEDS.end() },
        })),
        "Step": body_of(&["ms"], json!({ "ms": {
            "type": "number", "minimum": 0, "maximum": LONGEST_STEP,
            "description": "In milliseconds, down to nanoseconds." } })),
        "Seen": {
            "type": "object",
            "description": "A line as `k485 decode --to json` writes it, and four keys more.",
            "required": ["seq", "type", "text", "words", "mark"],
            "properties": {
                "seq": { "type": "integer", "minimum": 1, "description": "Its number." },
                "type": { "enum": ["exchange", "frame", "noise", "gap"] },
                "text": { "type": "string", "description": "The line that a screen shows." },
                "words": { "type": "array", "description": "The same as words, each with its role.",
                    "items": { "type": "array", "items": { "type": "string" } } },
                "mark": { "enum": ["good", "warn", "bad"] },
            },
        },
    })
}

fn state() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "version", "read_only", "last_seq"],
        "properties": {
            "kind": { "enum": ["emulator", "bus"] },
            "version": { "type": "string" },
            "read_only": { "type": "boolean" },
            "last_seq": { "type": "integer", "minimum": 0,
                "description": "The number of the last thing that the bus carried." },
            "bus": { "type": "object", "description": "Plant and devices; lengths in mm." },
            "clock": of("Clock"),
            "faults": { "type": "array", "items": of("Fault") },
            "scene": { "type": "object" },
            "endpoints": { "type": "array" },
            "tally": { "type": "object" },
        },
    })
}
