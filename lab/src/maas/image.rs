//! `boot-resources/`: which images are there. Reading only.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    state::State,
};
use crate::seed::Image;
use serde_json::{Value, json};

/// The kernels that every Ubuntu image of the recordings can also boot, before its own.
const SUBARCHES: &str =
    "generic,hwe-p,hwe-q,hwe-r,hwe-s,hwe-t,hwe-u,hwe-v,hwe-w,ga-16.04,ga-18.04,ga-20.04,ga-22.04,ga-24.04";

/// Each image once for each of its kernels.
fn rows(state: &State) -> Vec<(usize, &Image, &str)> {
    let all = state.images.iter().flat_map(|image| image.kernels.iter().map(move |kernel| (image, kernel.as_str())));
    let mut rows: Vec<_> = all.enumerate().map(|(n, (image, kernel))| (n + 1, image, kernel)).collect();
    rows.sort_by(|a, b| (&a.1.name, &a.1.architecture, a.2).cmp(&(&b.1.name, &b.1.architecture, b.2)));
    rows
}

fn resource(id: usize, image: &Image, kernel: &str) -> Value {
    let (_, series) = image.name.split_once('/').unwrap_or(("", &image.name));
    let version = kernel.rsplit_once('-').map_or(kernel, |(_, version)| version);
    json!({
        "id": id,
        "type": "Synced",
        "name": image.name,
        "architecture": format!("{}/{kernel}", image.architecture),
        "resource_uri": format!("/MAAS/api/2.0/boot-resources/{id}/"),
        "last_deployed": null,
        "krel": series,
        "title": format!("{version} LTS"),
        "platform": "generic",
        "subarches": format!("{SUBARCHES},{kernel}"),
        "support_eol": "2034-04-25",
        "release_codename": "",
        "supported_platforms": "generic",
    })
}

/// `boot-resources/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => match ctx.request.query("type") {
            None | Some("synced") => {
                let all: Value =
                    rows(ctx.state).into_iter().map(|(id, image, kernel)| resource(id, image, kernel)).collect();
                Ok(Answer::json(&all))
            }
            Some("uploaded") => Ok(Answer::json(&json!([]))),
            Some(other) => {
                let text =
                    format!("'{other}' is not a valid boot resource type. Available types: ['synced', 'uploaded']");
                Err(Answer::bad_request(text))
            }
        },
        ("GET", Some("is_importing")) => Ok(Answer::json(&json!(false))),
        ("POST", Some(op @ ("import" | "stop_import"))) => {
            ctx.need_admin(Answer::admins_only)?;
            Ok(Answer::text(match op {
                "import" => "Import of boot resources started",
                _ => "Import of boot resources is being stopped",
            }))
        }
        _ => ctx.refuse("POST, GET"),
    }
}

/// `boot-resources/<id>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let found = rows(ctx.state).into_iter().find(|(n, _, _)| n.to_string() == id);
            let (n, image, kernel) = found.ok_or_else(|| Answer::not_found("BootResource"))?;
            let mut value = resource(n, image, kernel);
            value["sets"] = sets();
            Ok(Answer::json(&value))
        }
        _ => ctx.refuse("GET, PUT, DELETE"),
    }
}

/// The one set of files each image has: kernel, initial file system, root file system.
fn sets() -> Value {
    const FILES: [(&str, u64); 3] =
        [("boot-kernel", 14_000_000), ("boot-initrd", 70_000_000), ("squashfs", 260_000_000)];
    let files: serde_json::Map<String, Value> = FILES
        .iter()
        .map(|(name, size)| {
            let digest: String = std::iter::repeat_n(format!("{size:08x}"), 8).collect();
            let file = json!({
                "filename": name, "filetype": name, "sha256": digest, "filename_on_disk": digest[..7], "size": size,
                "complete": true,
            });
            ((*name).to_owned(), file)
        })
        .collect();
    let size: u64 = FILES.iter().map(|(_, size)| size).sum();
    json!({ "20261101": { "version": "20261101", "label": "stable", "size": size, "complete": true, "files": files } })
}
