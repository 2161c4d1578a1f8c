# The versions of every tool the scripts install. wasm-bindgen must equal the one in Cargo.lock;
# the npm side is pinned in package.json and package-lock.json.
WASM_BINDGEN_VERSION=0.2.130
WASM_PACK_VERSION=0.15.1
WORKER_BUILD_VERSION=0.8.7
# The oldest Node that the npm package is for.
NODE_20_VERSION=20.20.2
# A distribution's archive has one version only and replaces it with every fix, so this is the least: Debian 12's.
PROMTOOL_AT_LEAST=2.42.0
# The suite of tests for HTTP caches: its newest commit, and what npm has of it.
CACHE_TESTS_COMMIT=b55b8bda3dbb8c927c04e85bd8d496a8caa3e4ba
CACHE_TESTS_NPM_VERSION=0.4.5
