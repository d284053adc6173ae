#!/bin/sh
# Installs the emulator, and the script that starts it with the container. A tool for dev containers runs this as root
# while it builds the image, with the option "version" in VERSION.
set -eu

folder=${MANAGED_IDENTITY_EMULATOR_FOLDER:-/usr/local/share/managed-identity-emulator}
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v npm >/dev/null; then
  echo 'The managed identity emulator needs Node.js 20 or later: add the feature ghcr.io/devcontainers/features/node.' >&2
  exit 1
fi

if [ "${VERSION:-local}" = local ]; then
  set -- "$here"/managed-identity-native-*.tgz
  if [ ! -e "$1" ]; then
    echo 'Copy the tarballs of "npm run pack:local" to the folder of install.sh, or set the option "version".' >&2
    exit 1
  fi
else
  set -- "managed-identity-native@$VERSION"
fi

mkdir -p "$folder"
npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-save "$@"

cat >"$folder/start.sh" <<SCRIPT
#!/bin/sh
# Starts the emulator in the background, and then the command of the container.
node "$folder/node_modules/managed-identity-native/dist/cli.js" emulator \\
  --source AppService --port 8099 --secret local-development --any-identity >/tmp/managed-identity-emulator.log 2>&1 &
exec "\$@"
SCRIPT
chmod 755 "$folder/start.sh"
