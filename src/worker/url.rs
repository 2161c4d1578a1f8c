//! The runtime's own parser of URLs.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = URL)]
    pub type Url;

    #[wasm_bindgen(constructor, js_class = "URL", catch)]
    pub fn new(text: &str) -> Result<Url, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub fn protocol(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn host(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn search(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn hash(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn username(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn password(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn href(this: &Url) -> String;
}
