import { defineConfig } from "vitest/config";

export default defineConfig({
  // Relative addresses: the page works under whatever path it is served.
  base: "./",
  build: { target: "es2023", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 10_000 },
});
