import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Modules that one layer owns: everybody else goes through that layer's interface. */
const owned = (owners) =>
  Object.entries({
    '@aws-sdk/client-s3': 'object',
    lmdb: 'kv',
    pino: 'observability',
    'prom-client': 'observability',
    commander: 'cli',
    zod: 'config',
    'fuse-native': 'client',
  })
    .filter(([, owner]) => !owners.includes(owner))
    .map(([name, owner]) => ({ name, message: `only src/${owner}/ may import ${name}` }));

export default defineConfig(
  { ignores: ['dist', 'src/gen', 'node_modules', 'native/build', '.demo', '*.cjs'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-console': 'error', 'no-restricted-imports': ['error', { paths: owned([]) }] },
  },
  ...['object', 'kv', 'observability', 'cli', 'config', 'client'].map((layer) => ({
    files: [`src/${layer}/**/*.ts`],
    rules: { 'no-restricted-imports': ['error', { paths: owned([layer]) }] },
  })),
  {
    files: ['**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        performance: 'readonly',
        AbortSignal: 'readonly',
        AbortController: 'readonly',
      },
    },
  },
);
