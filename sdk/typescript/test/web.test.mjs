// The package where there is nothing of Node's: in a context that has what a browser has, and no more.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { createContext, SourceTextModule } from 'node:vm';
import { setting } from './gateway.mjs';

const WEB = ['AbortController', 'AbortSignal', 'TextDecoder', 'TextEncoder', 'URL', 'clearTimeout', 'crypto', 'fetch', 'setTimeout'];

test('it runs without process, Buffer and the rest of Node', async () => {
  const context = createContext(Object.fromEntries(WEB.map((name) => [name, globalThis[name]])));
  const modules = new Map();
  const load = async (specifier, from) => {
    const url = new URL(specifier, from.identifier);
    const known = modules.get(url.href);
    if (known) return known;
    const made = new SourceTextModule(await readFile(url, 'utf8'), { identifier: url.href, context });
    modules.set(url.href, made);
    return made;
  };
  const entry = await load('../dist/index.js', { identifier: import.meta.url });
  await entry.link(load);
  await entry.evaluate();
  const { SmarterMCP } = entry.namespace;

  assert.throws(() => new SmarterMCP(), /There is no API token/, 'there is no environment to read one from');
  const client = new SmarterMCP({ apiToken: setting('SMARTERMCP_API_TOKEN'), endpoint: setting('SMARTERMCP_ENDPOINT') });
  const services = await client.services.list({ filter: 'backend' });
  assert.ok(services.length > 0);
  const lines = [];
  for await (const line of client.services.logs({ serviceId: 'odoo', follow: true })) lines.push(line);
  assert.ok(lines.length > 0);
});
