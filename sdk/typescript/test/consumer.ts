// Compiled, not run: what a strict user of the package writes.
import {
  GatewayError,
  NotFoundError,
  RateLimitedError,
  SmarterMCP,
  TimedOut,
  type CallOptions,
  type LogEvent,
  type Page,
  type Service,
  type ServicesListParameters,
} from '@smartercl/mcp-client';

await using client = new SmarterMCP({ log: (event: LogEvent) => console.log(event.tool, event.ms), fetch, timeoutMs: 1000 });

const page: Page<Service> = await client.services.list();
const after: string | null = page.nextCursor;
await client.services.list({ cursor: after, limit: undefined });
for await (const service of client.services.list()) {
  const status: string | null = service.status;
  // What is known is offered; what is new is taken.
  if (service.status === 'active' || service.status === 'hibernating') console.log(status);
}
for await (const one of client.crm.contacts.list({ filter: { country: 'CL' } }).pages()) console.log(one.length, one.nextCursor);

const kpis = await client.analytics.kpis();
const revenue: number | null | undefined = kpis['revenue_mtd'];
const asOf: string | null | undefined = kpis.$details['revenue_mtd']?.asOf;
console.log(revenue, asOf);

const options: CallOptions = { signal: AbortSignal.timeout(1000), idempotencyKey: 'mine' };
await client.workflows.trigger({ workflowId: 'w', inputData: { any_key: [1] } }, options);
for await (const line of client.services.logs({ serviceId: 's', follow: true })) console.log(line.length);
console.log((await client.services.logs({ serviceId: 's' })).lines.length);
await client.tokens.revoke({ id: 'x' });

const schemas = await client.docs.schemas({ database: 'smarteros' });
console.log(schemas.relationships[0]?.referencesTable, schemas[0]?.columns.length);
for await (const day of client.usage.get({ from: '2026-11-01' })) console.log(day.calls);

try {
  const parameters: ServicesListParameters = { filter: 'backend' };
  await client.services.list(parameters);
} catch (error) {
  if (error instanceof RateLimitedError) console.log(error.retryAfter);
  else if (error instanceof NotFoundError) console.log(error.requestId);
  else if (error instanceof TimedOut) console.log(error.idempotencyKey);
  else if (error instanceof GatewayError) console.log(error.code, error.status);
  else throw error;
}

// @ts-expect-error: a filter that there is not
await client.services.list({ filter: 'front' });
// @ts-expect-error: the workflow is missing
await client.workflows.trigger({});
// @ts-expect-error: answers are not written to
page[0]!.name = 'other';
