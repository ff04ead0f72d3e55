import { defineConfig } from "vitest/config";

const shared = { resolve: { alias: { "@": import.meta.dirname } } };

export default defineConfig({
  test: {
    projects: [
      { ...shared, test: { name: "server", include: ["tests/*.test.ts"], testTimeout: 30_000 } },
      {
        ...shared,
        test: { name: "browser", include: ["tests/*.test.tsx"], environment: "jsdom", setupFiles: ["tests/support/jsdom.ts"] },
      },
      // Builds the application first, hence apart: `pnpm test:bundle`.
      { ...shared, test: { name: "bundle", include: ["tests/bundle/*.test.ts"] } },
    ],
  },
});
