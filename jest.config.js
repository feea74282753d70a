/** One project per kind of test; `kernel`, `integration` and `fault` run serially and from dist/ (see tools/dev/test.js). */
const project = (name) => ({
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.demo'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
});

export default {
  coverageProvider: 'v8',
  projects: ['unit', 'conformance', 'model', 'integration', 'fault', 'kernel'].map(project),
};
