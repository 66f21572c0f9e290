// The client against what the real gateway never does: an older or newer one, proxies, redirects. These servers are played.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as sdk from '@smartercl/mcp-client';
import { connect, play, problem, proxy } from './gateway.mjs';
import { KINDS } from '../dist/errors.js';

const EMPTY = { services: [] };

test('a method that the gateway does not know says which version it needs', async (t) => {
  const { endpoint } = await play(t, [404, problem(404, 'unknown_tool', 'Not found')], [200, { status: 'healthy', version: '0.9.0' }]);
  await assert.rejects(connect({ endpoint }).services.list(), (error) => {
    assert.ok(error instanceof sdk.NotSupportedByGateway);
    assert.match(error.message, /services\.list needs a gateway of version 1\.0\.0 or newer, and this one is 0\.9\.0/);
    return true;
  });
});

test('fields and values that a newer gateway has do not break this version', async (t) => {
  const endpoint = await proxy(t, (answer) => {
    const body = JSON.parse(answer.body);
    body.new_thing = { own_key: 1 };
    for (const service of body.services) Object.assign(service, { status: 'hibernating', new_field: { a_b: 1 } });
    return JSON.stringify(body);
  });
  const services = await connect({ endpoint }).services.list();
  assert.equal(services[0].status, 'hibernating');
  assert.deepEqual(services[0].new_field, { a_b: 1 }, 'its spelling is not guessed');
  assert.deepEqual(services.new_thing, { own_key: 1 });
});

test('a proxy that finds no gateway for a moment is asked again, a write with the same key', async (t) => {
  const { endpoint, requests } = await play(
    t,
    [502, '<h1>Bad Gateway</h1>'],
    [503, ''],
    [200, { execution_id: 'e', workflow_id: 'w', status: 'completed', started_at: 'now' }],
  );
  const { executionId } = await connect({ endpoint }).workflows.trigger(
    { workflowId: 'w', inputData: { a_b: 1 } },
    { idempotencyKey: 'mine' },
  );
  assert.equal(executionId, 'e');
  assert.deepEqual(
    requests.map((one) => [one.headers['idempotency-key'], one.body]),
    Array(3).fill(['mine', '{"workflow_id":"w","input_data":{"a_b":1}}']),
  );
});

test('it is tried as often as was said, and then the last failure is told', async (t) => {
  const down = [503, problem(503, 'backend_down', 'The backend is unavailable', { retryable: true })];
  const { endpoint, requests } = await play(t, down);
  const error = await connect({ endpoint, maxRetries: 2 })
    .services.list()
    .catch((error) => error);
  assert.ok(error instanceof sdk.BackendDownError);
  assert.equal(error.requestId, 'request-1');
  assert.equal(requests.length, 3);
});

test('a failure that is this write’s kept outcome, or that will not pass, is not asked for again', async (t) => {
  const down = problem(503, 'backend_down', 'The backend is unavailable', { retryable: true });
  const kept = await play(t, [503, down, { 'idempotent-replayed': 'true' }]);
  await assert.rejects(connect({ endpoint: kept.endpoint }).services.restart({ serviceId: 's' }), sdk.BackendDownError);
  assert.equal(kept.requests.length, 1);
  const spent = await play(t, [429, problem(429, 'quota_spent', 'Quota spent'), { 'retry-after': '1' }]);
  await assert.rejects(connect({ endpoint: spent.endpoint }).services.list(), sdk.QuotaSpentError);
  assert.equal(spent.requests.length, 1);
});

test('a Retry-After of a date is understood, and one beyond the limit is not waited for', async (t) => {
  const limited = problem(429, 'rate_limited', 'Rate limit exceeded', { retryable: true });
  const tomorrow = new Date(Date.now() + 86_400_000).toUTCString();
  const { endpoint, requests } = await play(t, [429, limited, { 'retry-after': tomorrow }]);
  const error = await connect({ endpoint })
    .services.list()
    .catch((error) => error);
  assert.ok(error instanceof sdk.RateLimitedError && error.retryAfter > 86_000, `${error.retryAfter}`);
  assert.equal(requests.length, 1);
});

test('what is no gateway is told from one, and a redirect gets no token', async (t) => {
  for (const body of ['<h1>Welcome</h1>', [], { other: true }]) {
    const { endpoint } = await play(t, [200, body]);
    await assert.rejects(
      connect({ endpoint }).services.list(),
      (error) => error instanceof sdk.UnexpectedAnswer && /Check the endpoint/.test(error.message),
    );
  }
  const elsewhere = await play(t, [200, EMPTY]);
  const { endpoint } = await play(t, [307, '', { location: elsewhere.endpoint }]);
  await assert.rejects(connect({ endpoint }).services.list(), { code: 'redirected' });
  assert.equal(elsewhere.requests.length, 0);
  await assert.rejects(connect({ endpoint: 'http://127.0.0.1:1', maxRetries: 0 }).services.list(), sdk.ConnectionFailed);
});

test('a stream that ends in the middle, or says that it failed, is no end of the log', async (t) => {
  const stream = { 'content-type': 'text/event-stream' };
  const cut = await play(t, [200, 'event: line\r\ndata: one\r\n\r\n: still working\n\nevent: line\ndata:  two\n\n', stream]);
  const lines = [];
  await assert.rejects(async () => {
    for await (const line of connect({ endpoint: cut.endpoint }).services.logs({ serviceId: 's', follow: true })) lines.push(line);
  }, sdk.ConnectionFailed);
  assert.deepEqual(lines, ['one', ' two']);

  const failure = JSON.stringify(problem(502, 'backend_refused', 'The backend refused'));
  const failed = await play(t, [200, `event: error\ndata: ${failure}\n\nevent: end\ndata: {}\n\n`, stream]);
  await assert.rejects(
    connect({ endpoint: failed.endpoint }).services.logs({ serviceId: 's', follow: true }).next(),
    sdk.BackendRefusedError,
  );
});

test('a cursor that leads nowhere but to itself is not followed for ever', async (t) => {
  const { endpoint } = await play(t, [200, { services: [{ id: 'a' }], next_cursor: 'again' }]);
  await assert.rejects(async () => {
    for await (const service of connect({ endpoint }).services.list()) assert.equal(service.id, 'a');
  }, sdk.UnexpectedAnswer);
});

test('wrong options are refused before anything is sent, and not quoted', () => {
  const secret = 'smcp_secret';
  for (const options of [
    { apiToken: '' },
    { apiToken: `${secret}\n` },
    { tenantId: 'a b' },
    { endpoint: 'mcp.smarterbot.cl' },
    { endpoint: 'ftp://mcp.smarterbot.cl' },
    { endpoint: `https://me:${secret}@mcp.smarterbot.cl` },
    { timeoutMs: 0 },
    { maxRetries: -1 },
    { maxWaitMs: Infinity },
  ]) {
    assert.throws(
      () => new sdk.SmarterMCP(options),
      (error) => error instanceof sdk.ConfigurationError && !error.message.includes(secret),
      JSON.stringify(options),
    );
  }
});

test('a key that no header can carry is refused, once', async () => {
  const client = connect();
  await assert.rejects(client.services.restart({ serviceId: 's' }, { idempotencyKey: 'a\nb' }), sdk.ConfigurationError);
  assert.deepEqual(client.events, []);
});

test('each kind of the gateway’s errors has a class', async () => {
  const document = JSON.parse(await readFile(new URL('../../../openapi/smartermcp.json', import.meta.url)));
  const told = Object.entries(document.components.responses).flatMap(([name, { description }]) =>
    description.split(', or: ').map((title) => `${name.replace('Problem', '')} ${title}`),
  );
  assert.deepEqual(KINDS.map(([status, title]) => `${status} ${title}`).sort(), told.sort());
  for (const [, , kind] of KINDS) assert.equal(sdk[kind.name], kind);
});
