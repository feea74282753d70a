import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { renderConfigurationDoc } from '../../../src/config/render-docs.js';

test('docs/CONFIGURATION.md is current (node tools/dev/generate-docs.js)', () => {
  expect(readFileSync('docs/CONFIGURATION.md', 'utf8')).toBe(renderConfigurationDoc());
});
