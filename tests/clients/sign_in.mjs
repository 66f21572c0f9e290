// The owner's configuration of a desktop host: `npx -y mcp-remote <the gateway>` and his two variables. A member signs in and allows it
// in Chromium where mcp-remote opens a browser, if it does; then the tools are listed and one is called. `MCP_CONFIG` is the folder in
// which mcp-remote remembers. Prints one line of JSON, with what the page said, or null where no browser was opened.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allow, open, signIn } from './chromium.mjs';
import { collect, ends, fail, folder, run, speak, stop } from './common.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { MCP_URL: url, MCP_TOKEN: token, MCP_TENANT: tenant, MCP_CONFIG: config, MCP_TOOL: tool } = process.env;

run(async () => {
  const { browser, context } = await open();
  // xdg-open, which mcp-remote brings along, asks BROWSER; ours notes the address.
  const notes = folder();
  const [opened, opener] = [join(notes, 'opened'), join(notes, 'browser')];
  writeFileSync(opener, `#!/bin/sh\nprintf %s "$1" > '${opened}.part' && mv '${opened}.part' '${opened}'\n`);
  chmodSync(opener, 0o755);
  const child = ends(
    spawn('npx', ['-y', 'mcp-remote', url], {
      cwd: here,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: [join(here, 'node_modules/.bin'), process.env.PATH].join(delimiter),
        HOME: notes,
        BROWSER: opener,
        MCP_REMOTE_CONFIG_DIR: config,
        // npx finds the pinned one in this folder; nothing is downloaded.
        npm_config_offline: 'true',
        SMARTERMCP_API_TOKEN: token,
        SMARTERMCP_TENANT_ID: tenant,
      },
    }),
  );
  const err = collect(child.stderr);
  let done = false;
  child.stdin.on('error', () => {}); // its exit, just below, says more than a broken pipe
  child.once('close', (code, signal) => done || fail(`mcp-remote ended with ${code ?? signal}:\n${err.text.trim()}`));

  let page = null;
  const browse = async () => {
    while (!existsSync(opened)) await new Promise((resolve) => setTimeout(resolve, 50));
    const tab = await context.newPage();
    await signIn(tab, readFileSync(opened, 'utf8'), token);
    page = await allow(tab);
  };
  browse().catch((error) => fail(`in the browser: ${error}\n${err.text.trim()}`));

  const request = speak(child);
  await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'smartermcp-tests', version: '1' } });
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
  const { tools } = await request('tools/list', {});
  const result = await request('tools/call', { name: tool, arguments: {} });

  done = true;
  const closed = once(child, 'close');
  child.stdin.end();
  const patience = setTimeout(() => stop(child), 2000);
  await closed;
  clearTimeout(patience);
  await browser.close();
  const line = { page, tools: tools.map(({ name }) => name), result: result.structuredContent ?? null, is_error: result.isError ?? false };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
}, 100);
