//! `ipranges/`: reading.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    render,
};
use serde_json::Value;

/// `ipranges/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let all: Value = ctx.state.ranges.iter().map(|range| render::ip_range(ctx.state, range)).collect();
            Ok(Answer::json(&all))
        }
        _ => ctx.refuse("POST, GET"),
    }
}

/// `ipranges/<id>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let range = ctx.state.ranges.iter().find(|range| range.id.to_string() == id);
            let range = range.ok_or_else(|| Answer::not_found("IPRange"))?;
            Ok(Answer::json(&render::ip_range(ctx.state, range)))
        }
        _ => ctx.refuse("GET, PUT, DELETE"),
    }
}
