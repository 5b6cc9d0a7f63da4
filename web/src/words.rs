//! What the page says of statuses and printer keys: the tables of `k485 explain`, as JSON.

use k485_proto::key::KEYS;
use k485_proto::status::STATUSES;
use serde_json::{Value, json};

/// All statuses with the keys that the printer shows for them, and all keys that are explained.
pub(crate) fn words() -> Value {
    let status = |info: &k485_proto::status::StatusInfo| {
        json!({
            "code": info.code.0,
            "name": info.name,
            "meaning": info.meaning,
            "evidence": info.evidence.to_string(),
            "keys": info.keys,
            "context_keys": info.context_keys,
            "likely_keys": info.likely_keys,
        })
    };
    let key = |info: &k485_proto::key::KeyInfo| {
        let evidence = info.evidence.to_string();
        json!({ "key": info.key.0, "meaning": info.meaning, "evidence": evidence })
    };
    json!({
        "statuses": STATUSES.iter().map(status).collect::<Vec<_>>(),
        "keys": KEYS.iter().map(key).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_status_is_explained() {
        let words = words();
        let explained: Vec<_> =
            words["keys"].as_array().unwrap().iter().map(|k| &k["key"]).collect();
        let jam = words["statuses"].as_array().unwrap().iter().find(|s| s["code"] == 0x14).unwrap();
        assert_eq!((&jam["name"], &jam["keys"][0]), (&json!("RETRUDE_ERR2"), &json!(849)));
        for status in words["statuses"].as_array().unwrap() {
            for key in
                ["keys", "context_keys"].iter().flat_map(|which| status[which].as_array().unwrap())
            {
                assert!(explained.contains(&key), "{status}");
            }
        }
    }
}
