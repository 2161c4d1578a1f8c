//! The runtime's own parser of URLs, and URLs as purges name them.

use nearcache::http::exchange::url_named;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// A URL.
    #[wasm_bindgen(js_name = URL)]
    pub type Url;

    /// Reads one.
    #[wasm_bindgen(constructor, js_class = "URL", catch)]
    pub fn new(text: &str) -> Result<Url, JsValue>;
    /// With a colon.
    #[wasm_bindgen(method, getter)]
    pub fn protocol(this: &Url) -> String;
    /// With its port where that is not the scheme's own.
    #[wasm_bindgen(method, getter)]
    pub fn host(this: &Url) -> String;
    /// Escaped.
    #[wasm_bindgen(method, getter)]
    pub fn pathname(this: &Url) -> String;
    /// With its question mark.
    #[wasm_bindgen(method, getter)]
    pub fn search(this: &Url) -> String;
    /// With its number sign.
    #[wasm_bindgen(method, getter)]
    pub fn hash(this: &Url) -> String;
    /// Who asks.
    #[wasm_bindgen(method, getter)]
    pub fn username(this: &Url) -> String;
    /// And how that is shown.
    #[wasm_bindgen(method, getter)]
    pub fn password(this: &Url) -> String;
    /// All of it.
    #[wasm_bindgen(method, getter)]
    pub fn href(this: &Url) -> String;
}

/// An absolute URL, one without its scheme, or a path, in the form that requests have for the runtime (escaped, lower case, without what
/// goes without saying), and without its scheme: http's own port tells it, where `tells_scheme`.
pub(crate) fn as_requested(name: &str, tells_scheme: bool) -> String {
    let name = name.split('#').next().unwrap_or_default();
    if name.starts_with('/') {
        return parse(&format!("https://host{name}")).map_or_else(|| name.to_owned(), |url| target(&url));
    }
    let scheme = name.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let (scheme, rest) = scheme.unwrap_or(("https", name));
    let is_http = scheme.eq_ignore_ascii_case("http");
    let Some(url) = parse(&format!("{}://{rest}", if is_http { "http" } else { "https" })) else {
        return rest.to_owned();
    };
    url_named(&url.host(), &target(&url), is_http && tells_scheme)
}

/// The same of what URLs begin with.
pub(crate) fn prefix_as_requested(name: &str, tells_scheme: bool) -> String {
    let name = name.split('#').next().unwrap_or_default();
    let after_scheme = name.split_once("://").map_or(name, |(_, rest)| rest);
    if !after_scheme.contains('/') {
        return as_requested(name, tells_scheme);
    }
    // `/a/..` begins `/a/..b` too: nothing at its end may be resolved, or taken for white space.
    let mut prefix = as_requested(&format!("{name}x"), tells_scheme);
    prefix.pop();
    prefix
}

fn parse(text: &str) -> Option<Url> {
    Url::new(text).ok()
}

fn target(url: &Url) -> String {
    url.pathname() + &url.search()
}
