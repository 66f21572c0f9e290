// The client against the real gateway, whose tenant has the played shop's systems.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import {
  ConfigurationError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  TimedOut,
  UnauthenticatedError,
  VERSION,
} from '@smartercl/mcp-client';
import { connect, proxy, setting } from './gateway.mjs';

const TOKEN = setting('SMARTERMCP_API_TOKEN');

test('each of the 35 tools answers through its method, every name of the contract in camelCase', async () => {
  const client = connect();
  const workflowJson = {
    nodes: [
      {
        id: '1',
        name: 'Webhook',
        type: 'n8n-nodes-base.webhook',
        typeVersion: 2,
        position: [0, 0],
        parameters: { path: 'sdk', httpMethod: 'POST' },
      },
    ],
    connections: {},
    settings: {},
  };
  const calls = {
    services_list: () => client.services.list({ filter: 'backend' }),
    services_health: () => client.services.health({ serviceId: 'n8n' }),
    services_deploy: () => client.services.deploy({ serviceId: 'tienda' }),
    services_restart: () => client.services.restart({ serviceId: 'tienda' }),
    services_logs: () => client.services.logs({ serviceId: 'odoo', lines: 10 }),
    workflows_list: () => client.workflows.list({ active: true, tags: ['automation'] }),
    workflows_trigger: () => client.workflows.trigger({ workflowId: 'wf_backup_db' }),
    workflows_status: () => client.workflows.status({ executionId: 'exec_abc123' }),
    workflows_create: () => client.workflows.create({ name: 'SDK', workflowJson, tags: ['backup'], activate: false }),
    analytics_kpis: () => client.analytics.kpis({ kpis: ['revenue_mtd', 'conversion_rate'] }),
    analytics_dashboards: () => client.analytics.dashboards(),
    analytics_reports: () => client.analytics.reports({ query: 'Diez mejores clientes por ingresos del mes', format: 'markdown' }),
    crm_contacts_list: () => client.crm.contacts.list({ limit: 50, filter: { country: 'CL', type: 'lead' } }),
    crm_contacts_search: () => client.crm.contacts.search({ query: 'john@example.com' }),
    crm_records_upsert: () => client.crm.records.upsert({ kind: 'contact', id: 13, fields: { name: 'John Smith', tags: ['web'] } }),
    crm_opportunities_list: () => client.crm.opportunities.list({ stage: 'negotiation' }),
    crm_pipeline_status: () => client.crm.pipeline.status(),
    support_conversations_list: () => client.support.conversations.list({ limit: 20 }),
    support_conversations_search: () => client.support.conversations.search({ query: 'refund request' }),
    support_agents_status: () => client.support.agents.status(),
    support_metrics: () => client.support.metrics({ period: 'week' }),
    bots_list: () => client.bots.list(),
    bots_conversations: () => client.bots.conversations({ botId: 'bot_abc123', limit: 20 }),
    bots_analytics: () => client.bots.analytics({ botId: 'main', period: 'month' }),
    bots_deploy: () => client.bots.deploy({ botId: 'main', active: true }),
    infra_status: () => client.infra.status(),
    infra_metrics: () => client.infra.metrics({ metric: 'cpu', period: '24h' }),
    containers_list: () => client.containers.list({ filter: 'running' }),
    containers_restart: () => client.containers.restart({ containerId: 'luna-odoo' }),
    docs_services: () => client.docs.services({ serviceId: 'n8n' }),
    docs_apis: () => client.docs.apis({ serviceId: 'supabase' }),
    docs_schemas: () => client.docs.schemas({ database: 'smarteros' }),
    generate_n8n_workflow: () =>
      client.generate.n8nWorkflow({ description: 'Backup smarteros database daily at 2am', services: ['postgresql'] }),
    generate_botpress_skill: () => client.generate.botpressSkill({ description: 'Help users track their order status' }),
    generate_api_client: () => client.generate.apiClient({ serviceId: 'smartermcp', language: 'typescript' }),
  };
  const listed = await client.tools.list();
  assert.deepEqual(Object.keys(calls).sort(), listed.map((tool) => tool.name).sort());
  assert.equal(listed.length, 35);
  // What is the tenant's own keeps its spelling; all else is the contract's.
  const own = new Set(['kpis', 'output', 'document', 'workflowJson', 'skillJson', 'arguments', 'report']);
  const snakes = (value, path) =>
    typeof value !== 'object' || value === null
      ? []
      : Object.entries(value).flatMap(([name, one]) => [
          ...(name.includes('_') ? [`${path}.${name}`] : []),
          ...(own.has(name) ? [] : snakes(one, `${path}.${name}`)),
        ]);
  for (const [tool, call] of Object.entries(calls)) {
    const answer = await call();
    assert.equal(typeof answer, 'object', tool);
    if (tool !== 'analytics_kpis') assert.deepEqual(snakes(answer, tool), []);
  }
});

test('a list is an array with nextCursor, its call iterates over all items, and pages() over the pages', async () => {
  const client = connect();
  const first = await client.crm.contacts.list({ limit: 3 });
  assert.ok(Array.isArray(first));
  assert.equal(first.length, 3);
  assert.equal(typeof first.nextCursor, 'string');
  assert.deepEqual(first.map((contact) => contact.id).length, 3);
  const second = await client.crm.contacts.list({ limit: 3, cursor: first.nextCursor });
  assert.notEqual(second[0].id, first[0].id);

  const ids = [];
  for await (const contact of client.crm.contacts.list({ limit: 3 })) ids.push(contact.id);
  const whole = await client.crm.contacts.list();
  assert.equal(whole.nextCursor, null);
  assert.deepEqual(
    ids,
    whole.map((contact) => contact.id),
  );
  assert.ok(ids.length > 6, `${ids}`);

  const sizes = [];
  for await (const page of client.crm.contacts.list({ limit: 3 }).pages()) sizes.push(page.length);
  assert.equal(
    sizes.reduce((sum, size) => sum + size),
    ids.length,
  );
  assert.ok(sizes.length >= 3, `${sizes}`);
});

test('what a list says beside its items is beside the array, and loops do not meet it', async () => {
  const schemas = await connect().docs.schemas({ database: 'smarteros', limit: 1 });
  assert.equal(schemas.length, 1);
  assert.equal(schemas.database, 'smarteros');
  assert.ok(Array.isArray(schemas.relationships));
  assert.deepEqual(Object.keys(schemas), ['0']);
});

test('a KPI is a number under its own name, and what is said of it is behind a dollar sign', async () => {
  const kpis = await connect().analytics.kpis({ kpis: ['revenue_mtd', 'conversion_rate'] });
  assert.equal(kpis.revenue_mtd, 45780);
  assert.equal(kpis.conversion_rate, 3.2);
  assert.deepEqual(Object.keys(kpis).sort(), ['conversion_rate', 'revenue_mtd']);
  assert.equal(typeof kpis.$details.revenue_mtd.asOf, 'string');
  assert.deepEqual(kpis.$unavailable, []);
});

test('the keys of what is free are sent and answered as they are spelled', async () => {
  const client = connect();
  const inputData = { snake_case: 1, camelCase: 2, nested: { deep_er: [{ x_y: true }] }, next_cursor: 'mine' };
  const { executionId } = await client.workflows.trigger({ workflowId: 'wf_backup_db', inputData });
  const { output } = await client.workflows.status({ executionId });
  assert.deepEqual(output.input, inputData);
});

test('a wrong token fails at the first call, with the remedy and without the token', async () => {
  const client = connect({ apiToken: 'smcp_this-is-nobodys-token' });
  await assert.rejects(client.services.list(), (error) => {
    assert.ok(error instanceof UnauthenticatedError);
    assert.match(error.message, /^Unauthorized - Invalid or expired API token\. .*SMARTERMCP_API_TOKEN/);
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    assert.equal(error.status, 401);
    assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /nobodys-token/);
    return true;
  });
  assert.deepEqual(
    client.events.map((event) => event.type),
    ['request', 'response'],
    'it is not tried again',
  );
});

test('a wrong value, a missing scope and what is not there are errors of their own', async () => {
  const client = connect();
  await assert.rejects(
    client.services.logs({ serviceId: 'n8n', lines: 0 }),
    (error) => error instanceof InvalidInputError && /lines/.test(error.message),
  );
  await assert.rejects(client.tenants.list(), (error) => error instanceof ForbiddenError && error.code === 'insufficient_scope');
  await assert.rejects(
    client.workflows.status({ executionId: 'none' }),
    (error) => error instanceof NotFoundError && error.tool === 'workflows_status',
  );
});

test('a rate limit is waited out as told, and one that lasts longer than the client may wait is an error', async () => {
  const client = connect({ apiToken: setting('SDK_SLOW_TOKEN') });
  await client.services.list();
  await assert.rejects(client.services.list({}, { maxWaitMs: 0 }), (error) => error instanceof RateLimitedError && error.retryAfter >= 1);
  assert.equal((await client.services.list()).nextCursor, null);
  const waits = client.events.filter((event) => event.type === 'retry');
  assert.ok(waits.length >= 1 && waits.every((wait) => wait.ms >= 1000 && wait.code === 'rate_limited'), inspect(waits));
});

test('followed logs come line by line, and may be left at any line', async () => {
  const client = connect();
  const lines = client.services.logs({ serviceId: 'postgres', follow: true });
  const seen = [];
  let step;
  while (!(step = await lines.next()).done) seen.push(step.value);
  assert.deepEqual(seen.slice(-2), ['after', 'later'], 'what was written while it was followed');
  assert.equal(step.value.serviceId, 'postgres');
  assert.deepEqual(step.value.lines, seen);
  for await (const line of client.services.logs({ serviceId: 'postgres', follow: true })) {
    assert.equal(line, seen[0]);
    break;
  }
  await assert.rejects(client.services.logs({ serviceId: 'none', follow: true }).next(), NotFoundError);
});

test('a write whose connection is cut, before or within the answer, is repeated with the same key, and done once', async (t) => {
  const answers = [];
  const endpoint = await proxy(t, (answer) => {
    answers.push(answer);
    if (answers.length === 1) answer.cut();
    if (answers.length === 2) answer.cut(10);
  });
  const client = connect({ endpoint });
  const execution = await client.workflows.trigger({ workflowId: 'wf_backup_db', inputData: { cut: true } });
  assert.equal(answers.length, 3);
  assert.equal(new Set(answers.map((answer) => answer.headers['idempotency-key'])).size, 1);
  assert.deepEqual(
    answers.map((answer) => JSON.parse(answer.body).execution_id),
    Array(3).fill(execution.executionId),
    'the gateway did it the first time, and answered so twice more',
  );
  assert.deepEqual(
    client.events.map((event) => event.code).filter(Boolean),
    Array(4).fill('connection_failed'),
    'two failures, and before each repetition why',
  );
});

test('a call that takes too long ends, and its key asks for the outcome without doing it twice', async () => {
  const client = connect();
  const parameters = { workflowId: 'wf_backup_db', inputData: { late: true } };
  const late = await client.workflows.trigger(parameters, { timeoutMs: 1, maxRetries: 0 }).catch((error) => error);
  assert.ok(late instanceof TimedOut, inspect(late));
  const { executionId } = await client.workflows.trigger(parameters, { idempotencyKey: late.idempotencyKey });
  const again = await client.workflows.trigger(parameters, { idempotencyKey: late.idempotencyKey });
  assert.equal(again.executionId, executionId);
});

test('a signal ends a call with its own reason, and close() ends all', async () => {
  const reason = new Error('enough');
  await assert.rejects(connect().services.list({}, { signal: AbortSignal.abort(reason) }), (error) => error === reason);

  const client = connect();
  const running = client.services.list();
  await client[Symbol.asyncDispose]();
  await assert.rejects(running, (error) => error instanceof ConfigurationError && error.code === 'closed');
  await assert.rejects(client.services.list(), { code: 'closed' });
});

test('no token is in what is printed of the client, of its log or of an issued token', async () => {
  const client = connect();
  await client.services.list();
  for (const value of [client, client.events, client.services, client.tools]) {
    assert.doesNotMatch(inspect(value, { depth: 9, showHidden: true, getters: true }), new RegExp(TOKEN));
    assert.doesNotMatch(JSON.stringify(value), new RegExp(TOKEN));
  }
  assert.ok(client.events.every((event) => !JSON.stringify(event).includes('filter')));

  const admin = connect({ apiToken: setting('SDK_ADMIN_TOKEN') });
  const issued = await admin.tokens.create({
    name: 'sdk',
    scopes: ['admin:tenants'],
    expiresIn: 3600,
    limits: { categories: { crm: { perMinute: 5 } } },
  });
  assert.match(issued.apiToken, /^smcp_/);
  assert.doesNotMatch(inspect([issued]), new RegExp(issued.apiToken));
  assert.equal(JSON.parse(JSON.stringify(issued)).apiToken, issued.apiToken);
  const named = await admin.tools.call('tokens_create', { name: 'sdk by name', scopes: ['admin:tenants'], expires_in: 3600 });
  assert.match(named.api_token, /^smcp_/);
  assert.doesNotMatch(inspect([named]), new RegExp(named.api_token));
  assert.equal(JSON.parse(JSON.stringify(named)).api_token, named.api_token);
  await admin.tokens.revoke({ id: named.id });
  const shown = await admin.tokens.get({ id: issued.id });
  assert.deepEqual(shown.limits.categories, { crm: { perMinute: 5 } }, 'the map keeps its keys, and its values are the contract’s');
  assert.equal(await admin.tokens.revoke({ id: issued.id }), undefined);
});

test('the account is managed by methods too, and the audit goes on over its pages', async () => {
  const admin = connect({ apiToken: setting('SDK_ADMIN_TOKEN') });
  const who = await admin.whoami();
  assert.equal(who.tenantId, who.tenant.id);
  assert.equal((await admin.tenants.get({ id: who.tenantId })).slug, who.tenant.slug);
  const connections = await admin.connections.list();
  assert.ok(connections.some((connection) => connection.backend === 'n8n' && connection.settings.aliases.exec_abc123));
  assert.ok(connections.backends.length >= connections.length);
  await admin.kpis.set({ name: 'sdk_kpi', cardId: 1, parameters: [{ own_key: 1 }] });
  assert.ok((await admin.kpis.list()).some((kpi) => kpi.name === 'sdk_kpi' && kpi.parameters[0].own_key === 1));
  await admin.kpis.delete({ name: 'sdk_kpi' });
  const usage = await admin.usage.get();
  assert.ok(usage.meters.length > 0 && typeof usage.monthEndsAt === 'string');
  const entries = [];
  for await (const entry of admin.audit.list({ limit: 2 })) {
    entries.push(entry);
    if (entries.length === 5) break;
  }
  assert.equal(new Set(entries.map((entry) => entry.id)).size, 5);
});

test('a tool is called by its name as on the wire, and one that nobody knows is not found', async () => {
  const client = connect();
  const answer = await client.tools.call('services_health', { service_id: 'odoo' });
  assert.equal(answer.services[0].service_id, 'odoo');
  await assert.rejects(client.tools.call('no_such_tool'), NotFoundError);
  assert.equal(await client.gatewayVersion(), VERSION);
  assert.equal((await client.health()).version, VERSION);
});
