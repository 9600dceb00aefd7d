import { defineConfig } from 'vite';

// Built by `vite build tests/clients/react`; what comes out is looked at by tests/clients/browser.mjs.
export default defineConfig({
  base: './',
  build: { outDir: '../../../target/browser/react', emptyOutDir: true },
});
