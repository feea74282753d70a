#!/bin/sh
# Fails when a generated file in the repository differs from what its source makes of it. Leaves the new version in place.
set -eu
cd "$(dirname "$0")/../.."
npm run --silent generate
git diff --exit-code --stat -- src/gen || {
  echo "src/gen is not what proto/ makes of it: commit the result of 'npm run generate'" >&2
  exit 1
}
npm run --silent build
node tools/dev/generate-docs.js --check
