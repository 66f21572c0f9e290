#!/usr/bin/env node
// The command `smartermcp`: starts the binary that npm installed for this platform, and is it to whoever started us.
'use strict';

const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { join, dirname } = require('node:path');
const { name, version, optionalDependencies } = require('./package.json');

const INSTEAD = 'Or use the image smartercl/mcp-server, or build it from the source: make build';
const platform = `${process.platform}-${process.arch}`;
const child = spawn(binary(), process.argv.slice(2), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']) {
  // Windows knows not all of them.
  if (signal in constants.signals) process.on(signal, () => child.kill(signal));
}
child.on('error', (error) => fail(`cannot start ${child.spawnfile}: ${error.message}`));
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code);
  // Ended by a signal, and so are we: our parent learns it as it would have learned it of the binary.
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});

function binary() {
  const wanted = `${name}-${platform}`;
  if (!(wanted in optionalDependencies)) {
    fail(
      `there is no binary for ${platform}; there are ${Object.keys(optionalDependencies)
        .map((one) => one.slice(name.length + 1))
        .join(', ')}.\n${INSTEAD}`,
    );
  }
  try {
    const folder = dirname(require.resolve(`${wanted}/package.json`));
    return require.resolve(join(folder, process.platform === 'win32' ? 'smartermcp.exe' : 'smartermcp'));
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    fail(
      `the package ${wanted} with the binary for this platform is missing.\n` +
        `npm leaves it out with --omit=optional, when node_modules was copied from another platform, or where none was published.\n` +
        `Install it: npm install -g --include=optional ${name}@${version}\n${INSTEAD}`,
    );
  }
}

function fail(message) {
  console.error(`smartermcp: ${message}`);
  process.exit(1);
}
