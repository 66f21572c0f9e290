// The main job on real input: two tenants, each with its own real n8n, both doors, both eras; prints a Markdown report.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { generated } from './generated.mjs';

const binary = process.argv[2] ?? 'target/debug/smartermcp';
const here = dirname(fileURLToPath(import.meta.url));
const children = [];
const folder = mkdtempSync(join(tmpdir(), 'smartermcp-real-'));
let failures = 0;

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
    probe.on('error', reject);
  });

/** Two real n8n, started by the script beside this one; its first line says where they are. */
async function instances() {
  const child = spawn(process.execPath, [join(here, 'n8n_instances.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push({ end: () => child.stdin.end(), ended: new Promise((resolve) => child.once('close', resolve)) });
  for await (const line of createInterface({ input: child.stdout })) {
    return JSON.parse(line).instances;
  }
  throw new Error('the n8n instances did not start');
}

async function gateway() {
  const port = await freePort();
  const admin = randomBytes(32).toString('hex');
  const child = spawn(binary, ['serve'], {
    env: {
      ...process.env,
      SMARTERMCP_LISTEN: `127.0.0.1:${port}`,
      SMARTERMCP_DATA_DIR: folder,
      SMARTERMCP_ADMIN_TOKEN: admin,
      SMARTERMCP_BACKEND_ALLOW: '127.0.0.1/32',
      RUST_LOG: 'warn',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.push({ end: () => child.kill('SIGTERM'), ended: new Promise((resolve) => child.once('close', resolve)) });
  const url = `http://127.0.0.1:${port}`;
  for (let look = 0; look < 100; look += 1) {
    const ready = await fetch(`${url}/health/ready`).catch(() => null);
    if (ready?.ok) return { url, admin };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the gateway did not become ready');
}

async function rest(url, token, method, path, body, headers = {}) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, json: text ? JSON.parse(text) : null };
}

async function mcp(url, token, name, args, modern) {
  const params = { name, arguments: args };
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  if (modern) {
    params._meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
    Object.assign(headers, { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name });
  } else {
    headers['mcp-protocol-version'] = '2025-11-25';
  }
  const response = await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }) });
  return { status: response.status, json: await response.json() };
}

/** One line of the report: what was done, what came back, whether that is right. */
function saw(what, answer, right) {
  if (!right) failures += 1;
  const text = JSON.stringify(answer);
  console.log(`- ${right ? 'ok' : '**FAILED**'}: ${what}\n  \`${text.length > 420 ? `${text.slice(0, 420)}…` : text}\``);
}

async function until(look, good) {
  let last;
  for (let turn = 0; turn < 40; turn += 1) {
    last = await look();
    if (good(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return last;
}

async function main() {
  const started = Date.now();
  const [real, { url, admin }] = await Promise.all([instances(), gateway()]);
  console.log(`## n8n, ${new Date().toISOString().slice(0, 10)}\n`);
  console.log(`Two real n8n instances (npm, SQLite, Node 24), two tenants, started in ${Math.round((Date.now() - started) / 1000)} s.\n`);
  const tenants = [];
  for (const [index, n8n] of real.entries()) {
    const slug = ['luna', 'sol'][index];
    const made = await rest(url, admin, 'POST', '/api/v1/tenants', { name: slug, slug });
    const credential = { api_key: n8n.api_key, ...(n8n.mcp_token ? { mcp_token: n8n.mcp_token } : {}) };
    await rest(url, admin, 'PUT', '/api/v1/connections/n8n', { url: n8n.url, credential }, { 'x-tenant-id': slug });
    const tested = await rest(url, admin, 'POST', '/api/v1/connections/n8n/test', {}, { 'x-tenant-id': slug });
    saw(`tenant ${slug}: the connection is tested`, tested, tested.status === 200 && tested.json.ok);
    const issued = await rest(url, admin, 'POST', '/auth/token', { name: 'real', scopes: ['write:workflows'], tenant_id: made.json.id });
    tenants.push({ slug, id: made.json.id, token: issued.json.api_token, n8n, index: index + 1 });
  }
  for (const { slug, token, n8n, index } of tenants) {
    const list = await rest(url, token, 'GET', '/api/v1/workflows?active=true');
    saw(`${slug}: REST lists its active workflows`, list, list.status === 200 && list.json.workflows.length === 2);

    const byRest = await rest(url, token, 'POST', `/api/v1/workflows/${n8n.workflows.backup.id}/trigger`, { input_data: { by: 'rest' } });
    saw(`${slug}: REST triggers by id, and the execution is found`, byRest, byRest.status === 200 && byRest.json.execution_id !== null);
    const status = await until(
      () => rest(url, token, 'GET', `/api/v1/workflows/executions/${byRest.json?.execution_id}`),
      (answer) => answer.json?.status === 'completed',
    );
    saw(`${slug}: its output is its own`, status, status.json?.output?.instance === index && status.json?.output?.echo?.by === 'rest');

    for (const modern of [false, true]) {
      const era = modern ? '2026-07-28' : '2025-11-25';
      const called = await mcp(url, token, 'workflows_trigger', { workflow_id: 'Backup', input_data: { by: era } }, modern);
      const content = called.json.result?.structuredContent;
      saw(`${slug}: tools/call (${era}) triggers by exact name`, content ?? called, called.json.result?.isError === false && content.execution_id !== null);
    }
    if (n8n.mcp_token) {
      const scheduled = await mcp(url, token, 'workflows_trigger', { workflow_id: n8n.workflows.schedule.id }, true);
      const content = scheduled.json.result?.structuredContent;
      saw(`${slug}: a workflow with only a schedule is started by n8n's own MCP server`, content ?? scheduled, content?.execution_id != null);
    }
    const inactive = await rest(url, token, 'POST', `/api/v1/workflows/${n8n.workflows.inactive.id}/trigger`, {});
    saw(`${slug}: an inactive workflow is refused`, inactive, inactive.status === 409 && inactive.json.code === 'workflow_inactive');

    const created = await rest(url, token, 'POST', '/api/v1/workflows', {
      name: 'Daily DB Backup',
      tags: ['backup', 'automation'],
      workflow_json: {
        id: 'an export has one',
        nodes: [
          { id: 'a', name: 'Webhook', type: 'n8n-nodes-base.webhook', typeVersion: 2, position: [0, 0], parameters: { httpMethod: 'POST', path: `daily-${slug}`, responseMode: 'lastNode' } },
          { id: 'b', name: 'Code', type: 'n8n-nodes-base.code', typeVersion: 2, position: [200, 0], parameters: { jsCode: 'return [{ json: { sum: 40 + $input.first().json.body.add } }];' } },
        ],
        connections: { Webhook: { main: [[{ node: 'Code', type: 'main', index: 0 }]] } },
        settings: {},
      },
    });
    saw(`${slug}: a workflow is created, tagged and activated`, created, created.status === 201 && created.json.active);
    const fresh = await rest(url, token, 'POST', `/api/v1/workflows/${created.json?.workflow_id}/trigger`, { input_data: { add: 2 } });
    saw(`${slug}: and triggered at once`, fresh, fresh.status === 200 && fresh.json.status === 'completed');
    const summed = await until(
      () => rest(url, token, 'GET', `/api/v1/workflows/executions/${fresh.json?.execution_id}`),
      (answer) => answer.json?.status === 'completed',
    );
    saw(`${slug}: its Code node ran in n8n`, summed, summed.json?.output?.sum === 42);
  }
  const [luna, sol] = tenants;
  // The limits of a token are for people: a token of its own for each part.
  const issued = await rest(url, admin, 'POST', '/auth/token', {
    name: 'generated',
    scopes: ['write:workflows', 'read:services'],
    tenant_id: luna.id,
    limits: { general: { per_minute: 1000, per_hour: 5000, burst: 200 }, categories: { code_generation: { per_minute: 100, per_hour: 500 }, workflows: { per_minute: 200 } } },
  });
  const { api_token: token } = issued.json;
  await generated({ url, token, rest, saw, until, look: (id) => rest(url, token, 'GET', `/api/v1/workflows/executions/${id}`) });
  const client = await rest(url, token, 'POST', '/api/v1/generate/api-client', { service_id: 'n8n', language: 'javascript' });
  const path = join(folder, 'client.mjs');
  writeFileSync(path, client.json?.files?.[0]?.content ?? '');
  const { Client } = await import(path).catch((error) => ({ Client: null, error }));
  const listed = Client && (await new Client({ apiKey: luna.n8n.api_key }).getWorkflows({ limit: 2 }).catch((error) => ({ error: String(error) })));
  saw(
    "generate_api_client makes a client of n8n's own document, and it lists workflows of the real n8n",
    { status: client.status, operations: client.json?.operations, detail: client.json?.detail, workflows: listed?.data?.map((workflow) => workflow.name), error: listed?.error },
    client.status === 200 && listed?.data?.length === 2,
  );
  const foreign = await rest(url, sol.token, 'POST', `/api/v1/workflows/${luna.n8n.workflows.backup.id}/trigger`, {});
  saw("sol cannot trigger luna's workflow", foreign, foreign.status === 404);
  const posing = await rest(url, sol.token, 'GET', '/api/v1/workflows', undefined, { 'x-tenant-id': 'luna' });
  saw('sol cannot pose as luna', posing, posing.status === 404 && posing.json.code === 'tenant_not_found');
  console.log(`\n${failures === 0 ? 'Everything as it should be' : `${failures} failed`}.`);
}

try {
  await main();
} catch (error) {
  failures += 1;
  console.error(error);
} finally {
  children.reverse().forEach((child) => child.end());
  await Promise.all(children.map((child) => child.ended));
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
