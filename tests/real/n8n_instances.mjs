// Starts real, separate n8n instances on loopback, each ready for the gateway: an owner, an API key with few scopes, an
// MCP token and three workflows. Everything lives in temporary folders and is gone when this program ends.
//
//   tests/real/n8n.sh && node tests/real/n8n_instances.mjs
//
// When all are ready it prints one line of JSON on stdout:
//   {"instances":[{"url","api_key","mcp_token","owner":{"email","password"},"workflows":{"backup":{"id","name","path"},
//     "schedule":{"id","name"},"inactive":{"id","name","path"}}}, …]}
// `mcp_token` is null where the instance offers none. Then it stays until stdin closes or SIGTERM or SIGINT comes, so a test
// holds a pipe on its stdin (`< /dev/null` ends it at once). Logs go to stderr and, in case of failure, the end of n8n's own.
//
// REAL_DIR       where tests/real/n8n.sh installed n8n (default: target/real in this repository)
// N8N_INSTANCES  how many (default 2)
// Other N8N_… variables are handed on to n8n, for example N8N_MCP_SERVER_RATE_LIMIT (100 calls per address and 5 minutes).

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const real = resolve(process.env.REAL_DIR ?? join(here, '../../target/real'));
const nodeBin = join(real, 'node24/node_modules/node/bin/node');
const n8nBin = join(real, 'n8n/node_modules/n8n/bin/n8n');
const count = Number(process.env.N8N_INSTANCES ?? 2);

/** What the gateway calls, and nothing more. Publishing is covered by workflow:activate. */
const SCOPES = [
  'workflow:list', 'workflow:read', 'workflow:create', 'workflow:activate',
  'workflowTags:update', 'tag:list', 'tag:create', 'execution:list', 'execution:read',
];

const say = (text) => process.stderr.write(`n8n_instances: ${text}\n`);

/** Everything that has been started, so that it can be ended whatever goes wrong. */
const running = [];
/** The ending, once it has begun. */
let stopping;

async function main() {
  for (const file of [nodeBin, n8nBin]) {
    if (!existsSync(file)) throw new Error(`${file} is missing: run tests/real/n8n.sh first`);
  }
  const ports = await freePorts(2 * count);
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const ready = await Promise.all(numbers.map((number) => instance(number, ports[2 * number - 2], ports[2 * number - 1])));
  process.stdout.write(`${JSON.stringify({ instances: ready })}\n`);
}

async function instance(number, port, brokerPort) {
  const server = await start(number, port, brokerPort);
  const web = await signIn(server.url);
  const api = publicApi(server.url, await createApiKey(web));
  const mcpToken = await enableMcp(web);
  return {
    url: server.url,
    api_key: api.key,
    mcp_token: mcpToken,
    owner: web.owner,
    workflows: await createWorkflows(api, number),
  };
}

/** Starts n8n with its own data folder and ports, and waits until its database and its routes answer. */
async function start(number, port, brokerPort) {
  if (stopping) throw new Fatal('asked to stop');
  // From here to the entry in `running` nothing waits, so stop() sees all of it or none.
  const dir = mkdtempSync(join(tmpdir(), `smartermcp-n8n-${number}-`));
  const log = join(dir, 'n8n.log');
  const out = openSync(log, 'a');
  const child = spawn(nodeBin, [n8nBin, 'start'], {
    stdio: ['ignore', out, out],
    detached: true, // a process group of its own: the task runner it starts can then be ended with it
    env: {
      ...handedOn(),
      NODE_ENV: 'production', // as in n8n's own image: rate limits on, no stack traces in answers
      PATH: `${dirname(nodeBin)}:${process.env.PATH}`,
      HOME: dir,
      TZ: 'UTC',
      GENERIC_TIMEZONE: 'UTC',
      DB_TYPE: 'sqlite',
      N8N_USER_FOLDER: dir,
      N8N_ENCRYPTION_KEY: randomBytes(16).toString('hex'),
      N8N_PORT: String(port),
      N8N_LISTEN_ADDRESS: '127.0.0.1',
      N8N_HOST: '127.0.0.1',
      N8N_SECURE_COOKIE: 'false',
      N8N_RUNNERS_BROKER_PORT: String(brokerPort),
      N8N_RUNNERS_BROKER_LISTEN_ADDRESS: '127.0.0.1',
      N8N_DIAGNOSTICS_ENABLED: 'false',
      N8N_VERSION_NOTIFICATIONS_ENABLED: 'false',
      N8N_TEMPLATES_ENABLED: 'false',
      N8N_PERSONALIZATION_ENABLED: 'false',
      N8N_GRACEFUL_SHUTDOWN_TIMEOUT: '5',
      EXECUTIONS_DATA_SAVE_ON_SUCCESS: 'all',
      EXECUTIONS_DATA_SAVE_ON_ERROR: 'all',
    },
  });
  closeSync(out);
  running.push({ dir, child });
  child.on('error', (error) => say(`${nodeBin}: ${error.message}`));
  const url = `http://127.0.0.1:${port}`;
  const began = Date.now();
  try {
    await until(120_000, `${url} to be ready`, async () => {
      if (stopping || !isAlive(child)) throw new Fatal('n8n has ended');
      // The health page answers before the routes of the editor do, hence the second question.
      return (await get(`${url}/healthz/readiness`)).ok && (await get(`${url}/rest/settings`)).ok;
    });
  } catch (error) {
    say(`${error.message}; the end of its log:\n${readFileSync(log, 'utf8').slice(-4000)}`);
    throw error;
  }
  say(`instance ${number} at ${url} (pid ${child.pid}) ready after ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return { url };
}

function handedOn() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('N8N_')));
}

function isAlive(child) {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** The editor's own interface, as a browser uses it: a cookie, and one browser id throughout. */
async function signIn(url) {
  const owner = { email: 'owner@example.test', password: `P4-${randomBytes(9).toString('base64url')}` };
  const headers = { 'browser-id': randomBytes(8).toString('hex') };
  const web = {
    owner,
    async call(method, path, body) {
      const answer = await send(method, `${url}/rest${path}`, headers, body);
      const cookies = answer.headers.getSetCookie().map((line) => line.split(';')[0]);
      if (cookies.length) headers.cookie = cookies.join('; ');
      return answer.body.data;
    },
  };
  await web.call('POST', '/owner/setup', { ...owner, firstName: 'Test', lastName: 'Owner' });
  await web.call('POST', '/login', { emailOrLdapLoginId: owner.email, password: owner.password });
  return web;
}

async function createApiKey(web) {
  const key = await web.call('POST', '/api-keys', { label: 'gateway', expiresAt: null, scopes: SCOPES });
  return key.rawApiKey;
}

/** Turns on n8n's own MCP server and gives its token, or null where this n8n has no such thing. */
async function enableMcp(web) {
  try {
    await web.call('PATCH', '/mcp/settings', { mcpAccessEnabled: true });
    return (await web.call('GET', '/mcp/api-key')).apiKey ?? null;
  } catch (error) {
    say(`no MCP token: ${error.message}`);
    return null;
  }
}

function publicApi(url, key) {
  return {
    url,
    key,
    call: async (method, path, body) =>
      (await send(method, `${url}/api/v1${path}`, { 'x-n8n-api-key': key }, body)).body,
  };
}

async function createWorkflows(api, number) {
  const backup = await api.call('POST', '/workflows', webhookWorkflow('Backup', 'backup', number));
  const schedule = await api.call('POST', '/workflows', scheduleWorkflow('Nightly report', number));
  const inactive = await api.call('POST', '/workflows', webhookWorkflow('Draft', 'draft', number));

  const tag = await api.call('POST', '/tags', { name: 'ops' });
  await api.call('PUT', `/workflows/${backup.id}/tags`, [{ id: tag.id }]);

  await api.call('POST', `/workflows/${schedule.id}/publish`, {});
  await api.call('POST', `/workflows/${backup.id}/publish`, {});
  await webhookIsUp(api.url, 'backup');

  return {
    backup: { id: backup.id, name: backup.name, path: 'backup' },
    schedule: { id: schedule.id, name: schedule.name },
    inactive: { id: inactive.id, name: inactive.name, path: 'draft' },
  };
}

/** POST webhook → fields; the caller gets the last node's item, which says which instance answered and what was sent. */
function webhookWorkflow(name, path, number) {
  const webhook = node('Webhook', 'n8n-nodes-base.webhook', 2.1, {
    httpMethod: 'POST', path, responseMode: 'lastNode', options: {},
  });
  return workflow(name, [webhook, fields(number, '={{ $json.body }}')]);
}

/** Runs by itself once a year only, so that in a test nobody but n8n's MCP server starts it. */
function scheduleWorkflow(name, number) {
  const schedule = node('Schedule', 'n8n-nodes-base.scheduleTrigger', 1.2, {
    rule: { interval: [{ field: 'cronExpression', expression: '0 0 4 1 1 *' }] },
  });
  return workflow(name, [schedule, fields(number, '={{ {} }}')], { availableInMCP: true });
}

function fields(number, echo) {
  const assignments = [
    { id: 'a1', name: 'result', type: 'string', value: 'done' },
    { id: 'a2', name: 'instance', type: 'number', value: number },
    { id: 'a3', name: 'echo', type: 'object', value: echo },
  ];
  return node('Fields', 'n8n-nodes-base.set', 3.4, { assignments: { assignments }, options: {} });
}

function node(name, type, typeVersion, parameters) {
  return { id: `${name.toLowerCase()}-1`, name, type, typeVersion, position: [0, 0], parameters };
}

/** The nodes in a row, each feeding the next. */
function workflow(name, nodes, settings = {}) {
  const connections = {};
  nodes.forEach((each, i) => {
    each.position = [i * 240, 0];
    if (i > 0) connections[nodes[i - 1].name] = { main: [[{ node: each.name, type: 'main', index: 0 }]] };
  });
  return { name, nodes, connections, settings: { executionOrder: 'v1', ...settings } };
}

/**
 * Publishing answers before the webhook is registered. A request with the wrong method runs nothing and tells the two
 * apart: a known path says which method it wants.
 */
async function webhookIsUp(url, path) {
  await until(15_000, `webhook ${path}`, async () => {
    const answer = await get(`${url}/webhook/${path}`);
    return /Did you mean to make a POST request/.test(await answer.text());
  });
}

function get(url) {
  return fetch(url, { signal: AbortSignal.timeout(5000) });
}

async function send(method, url, headers, body) {
  const answer = await fetch(url, {
    method,
    signal: AbortSignal.timeout(30_000),
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url} answered ${answer.status}: ${text.slice(0, 500)}`);
  return { headers: answer.headers, body: text ? JSON.parse(text) : null };
}

class Fatal extends Error {}

/** Asks again until the answer is true; a refused connection counts as "not yet". */
async function until(limit, what, ask) {
  const end = Date.now() + limit;
  while (Date.now() < end) {
    try {
      if (await ask()) return;
    } catch (error) {
      if (error instanceof Fatal) throw error;
    }
    await sleep(100);
  }
  throw new Error(`waited ${limit / 1000} s in vain for ${what}`);
}

/** Free ports, held open together so that no two are the same. */
async function freePorts(n) {
  const servers = await Promise.all(Array.from({ length: n }, () => new Promise((ok, fail) => {
    const server = createServer().once('error', fail);
    server.listen(0, '127.0.0.1', () => ok(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((ok) => server.close(ok))));
  return ports;
}

/** Ends what was started, gently first, and removes its folders. */
function stop(code) {
  stopping ??= (async () => {
    await Promise.all(running.map(async ({ child, dir }) => {
      if (isAlive(child)) {
        const gone = new Promise((ok) => child.once('exit', ok));
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(8000)]);
      }
      if (child.pid) try { process.kill(-child.pid, 'SIGKILL'); } catch { /* the whole group is gone already */ }
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    }));
    process.exit(code);
  })();
  return stopping;
}

process.on('SIGTERM', () => stop(0));
process.on('SIGINT', () => stop(0));
process.stdin.on('end', () => stop(0)).on('error', () => stop(0)).resume();

main().catch((error) => {
  if (!stopping) say(error.stack);
  return stop(1);
});
