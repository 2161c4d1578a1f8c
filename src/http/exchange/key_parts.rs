//! What of a request a rule puts into its key.

use ::http::HeaderMap;
use ::http::header::{COOKIE, USER_AGENT};

use crate::http::rule::QueryRule;

/// A path and query without the parameters that don't count.
pub(super) fn apply_query_rule(rule: &QueryRule, target: &str) -> String {
    let Some((path, query)) = target.split_once('?').filter(|_| *rule != QueryRule::default()) else {
        return target.to_owned();
    };
    let mut parameters: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            let named = |names: &[String]| names.iter().any(|pattern| matches_name(pattern, name));
            rule.keep.as_ref().is_none_or(|kept| named(kept)) && !named(&rule.drop)
        })
        .collect();
    if rule.sort {
        // Stable: of one name the order counts.
        parameters.sort_by_key(|parameter| parameter.split('=').next().unwrap_or_default());
    }
    match parameters.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", parameters.join("&")),
    }
}

fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// The named cookies of a request as one `Cookie` value, in the order of `names`; `None` where there are none of them.
pub(super) fn cookies(fields: &HeaderMap, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let lines = fields.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs: Vec<(&str, &str)> = lines
        .flat_map(|line| line.split(';'))
        .map(|pair| (pair.trim().split('=').next().unwrap_or_default(), pair.trim()))
        .collect();
    let kept: Vec<&str> =
        names.iter().filter_map(|name| pairs.iter().find(|(known, _)| known == name).map(|(_, pair)| *pair)).collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

/// Which kind of device asks, as far as its `User-Agent` tells.
pub(super) fn device(fields: &HeaderMap) -> &'static str {
    let agent = fields.get(USER_AGENT).map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase());
    let agent = agent.unwrap_or_default();
    let has = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    if has(&["ipad", "tablet", "kindle", "silk/"]) || (has(&["android"]) && !has(&["mobile"])) {
        "tablet"
    } else if has(&["mobi", "iphone", "ipod", "android"]) {
        "mobile"
    } else {
        "desktop"
    }
}
