# npm_packages <folder>: installs what its package-lock.json says, unless that is done.
npm_packages() {
  if ! cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock"; then
    (cd "$1" && npm ci --no-audit --no-fund)
    cp "$1/package-lock.json" "$1/node_modules/.installed-lock"
  fi
}

# own_package: puts the project's own npm package beside those of pg_test, as an install of it would.
own_package() {
  rm -rf node_modules/pg-live
  cp -R ../packages/pg-live node_modules/pg-live
}
