export default defineNuxtConfig({
  compatibilityDate: "2026-11-01",
  telemetry: false,
  // For Workers: there the wasm is a module. Elsewhere it lies in the JavaScript, and this does nothing.
  nitro: { experimental: { wasm: true } },
});
