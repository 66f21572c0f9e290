#!/usr/bin/env bash
# Takes the pictures of the sign-in pages anew: docs/images/{sign-in,consent}-{es,en}-{desktop,phone}.png. Needs what `make test` installs.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p docs/images
TEST_PICTURES="$PWD/docs/images" cargo test --locked --test it -- --exact chromium::pages_keep_nobody_from_using_them
ls -l docs/images/*.png
