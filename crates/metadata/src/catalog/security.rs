//! Keys and values of ACLs, SCRAM credentials and quotas: kept as imported, not served yet, so no `Image` has them.
//! docs/format/metadata.md describes them. Called by `transfer`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_model::TopicId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kafka::{QuotaEntity, ScramCredential, ScramMechanism};

pub(super) const ACLS: &str = "acls/";
pub(super) const SCRAM: &str = "scram/";
pub(super) const QUOTAS: &str = "quotas/";
pub(super) const CLIENT_METRICS_CONFIGS: &str = "configs/client-metrics/";

/// `scram/<mechanism>/<user>`: bytes as base64.
#[derive(Serialize, Deserialize)]
pub(super) struct ScramRecord {
    salt: String,
    stored_key: String,
    server_key: String,
    iterations: i32,
}

impl ScramRecord {
    pub(super) fn of(credential: &ScramCredential) -> Self {
        let text = |bytes: &[u8]| STANDARD.encode(bytes);
        Self {
            salt: text(&credential.salt),
            stored_key: text(&credential.stored_key),
            server_key: text(&credential.server_key),
            iterations: credential.iterations,
        }
    }

    /// `None` when a value is no base64.
    pub(super) fn into_credential(self) -> Option<ScramCredential> {
        let bytes = |text: &str| STANDARD.decode(text).ok().map(Into::into);
        Some(ScramCredential {
            salt: bytes(&self.salt)?,
            stored_key: bytes(&self.stored_key)?,
            server_key: bytes(&self.server_key)?,
            iterations: self.iterations,
        })
    }
}

/// The id as Kafka writes it.
pub(super) fn acl_key(id: Uuid) -> String {
    format!("{ACLS}{}", TopicId(id))
}

pub(super) fn scram_key(mechanism: ScramMechanism, user: &str) -> String {
    let mechanism = match mechanism {
        ScramMechanism::Sha256 => "SCRAM-SHA-256",
        ScramMechanism::Sha512 => "SCRAM-SHA-512",
    };
    format!("{SCRAM}{mechanism}/{user}")
}

/// Mechanism and user behind the prefix of a key.
pub(super) fn scram_of(suffix: &str) -> Option<(ScramMechanism, String)> {
    let (mechanism, user) = suffix.split_once('/')?;
    let mechanism = match mechanism {
        "SCRAM-SHA-256" => ScramMechanism::Sha256,
        "SCRAM-SHA-512" => ScramMechanism::Sha512,
        _ => return None,
    };
    Some((mechanism, user.to_owned()))
}

/// The entity as a JSON object, its members sorted; null stands for the default of all that have no quota of their own.
pub(super) fn quota_key(entity: &QuotaEntity) -> String {
    format!("{QUOTAS}{}", serde_json::to_string(entity).expect("an entity has text keys"))
}

pub(super) fn quota_of(suffix: &str) -> Option<QuotaEntity> {
    serde_json::from_str(suffix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::record::encode;
    use crate::kafka::{AclOperation, AclRule, PatternType, Permission, ResourceType};

    /// The bytes that docs/format/metadata.md describes.
    #[test]
    fn records_are_written_as_documented() {
        let acl = AclRule {
            resource_type: ResourceType::TransactionalId,
            resource_name: "t".to_owned(),
            pattern_type: PatternType::Prefixed,
            principal: "User:a".to_owned(),
            host: "*".to_owned(),
            operation: AclOperation::DescribeConfigs,
            permission: Permission::Allow,
        };
        let text = r#"{"resource_type":"TRANSACTIONAL_ID","resource_name":"t","pattern_type":"PREFIXED","#;
        let text =
            format!(r#"{text}"principal":"User:a","host":"*","operation":"DESCRIBE_CONFIGS","permission":"ALLOW"}}"#);
        assert_eq!(encode(&acl), text);
        let (salt, stored_key, server_key) = (b"s"[..].into(), b"k"[..].into(), b"v"[..].into());
        let credential = ScramCredential { salt, stored_key, server_key, iterations: 4096 };
        let text = r#"{"salt":"cw==","stored_key":"aw==","server_key":"dg==","iterations":4096}"#;
        assert_eq!(encode(&ScramRecord::of(&credential)), text);
        assert_eq!(format!("{credential:?}"), "ScramCredential { iterations: 4096, .. }");
        assert_eq!(acl_key(Uuid::nil()), "acls/AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(scram_key(ScramMechanism::Sha512, "a/b"), "scram/SCRAM-SHA-512/a/b");
        assert_eq!(scram_of("SCRAM-SHA-512/a/b"), Some((ScramMechanism::Sha512, "a/b".to_owned())));
        let entity = QuotaEntity::from([("user".to_owned(), None), ("client-id".to_owned(), Some("\"".to_owned()))]);
        assert_eq!(quota_key(&entity), r#"quotas/{"client-id":"\"","user":null}"#);
        assert_eq!(quota_of(r#"{"client-id":"\"","user":null}"#), Some(entity));
    }
}
