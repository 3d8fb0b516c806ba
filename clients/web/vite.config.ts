import { defineConfig } from "vitest/config";

export default defineConfig({
  // Relative addresses: the page works under whatever path it is served.
  base: "./",
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // Swagger UI is as large as it is; only the API's page loads it.
    chunkSizeWarningLimit: 2000,
    rolldownOptions: { input: ["index.html", "docs.html"] },
  },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 10_000 },
});
