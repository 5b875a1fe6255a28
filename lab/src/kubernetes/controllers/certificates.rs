//! Requests of nodes for their first certificate: signed where the one who asks may have it without anybody looking.

use crate::kubernetes::{
    kinds::Kind,
    objects::Objects,
    pki::Authority,
    rbac::{self, Ask, CERTIFICATES, NODES, User},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Signs what is asked for.
pub(crate) fn round(objects: Objects<'_>, authority: &Authority) {
    let kind = Kind::plural("certificatesigningrequests");
    for request in objects.list(kind, "").unwrap_or_default() {
        let name = request["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let Some(certificate) = sign(objects, authority, &request) else { continue };
        let signed = objects.modify(kind, "", &name, |request| {
            let mut request = request.clone();
            request["status"] = json!({"certificate": STANDARD.encode(certificate),
                "conditions": [{"type": "Approved", "status": "True", "reason": "AutoApproved"}]});
            Ok(request)
        });
        if let Err(refusal) = signed {
            tracing::debug!(?refusal, name, "a certificate was not handed out");
        }
    }
}

fn sign(objects: Objects<'_>, authority: &Authority, request: &Value) -> Option<String> {
    let (spec, status) = (&request["spec"], &request["status"]);
    if !status["conditions"].is_null() || spec["signerName"] != "kubernetes.io/kube-apiserver-client-kubelet" {
        return None;
    }
    let groups = spec["groups"].as_array()?.iter().filter_map(|group| group.as_str().map(str::to_owned));
    let user = User::new(spec["username"].as_str()?, groups);
    let resource = "certificatesigningrequests/nodeclient";
    let ask = Ask { verb: "create", group: CERTIFICATES, resource, namespace: "", name: "" };
    if !rbac::may(objects, &user, ask).ok()? {
        return None;
    }
    let pem = String::from_utf8(STANDARD.decode(spec["request"].as_str()?).ok()?).ok()?;
    authority.sign(&pem, NODES, objects.now).ok()
}
