// The owner's three example workflows, from start to end, by the official TypeScript client of MCP, in the era of the argument:
// look after a service, plan from figures, generate a workflow and run it. Prints one line of JSON: what each step answered.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { fail, run } from './common.mjs';

const modes = { legacy: 'legacy', modern: { pin: '2026-07-28' } };
const [mode] = process.argv.slice(2);
const { MCP_URL: url, MCP_TOKEN: token } = process.env;
if (!(mode in modes) || !url || !token) fail('usage: MCP_URL=… MCP_TOKEN=… examples.mjs legacy|modern');

run(async () => {
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
  const client = new Client({ name: 'smartermcp-examples', version: '1.0.0' }, { versionNegotiation: { mode: modes[mode] } });
  await client.connect(transport);
  const steps = [];
  const call = async (name, args = {}) => {
    const result = await client.callTool({ name, arguments: args });
    if (result.isError) throw new Error(`${name}: ${result.content?.[0]?.text}`);
    steps.push({ tool: name, answer: result.structuredContent });
    return result.structuredContent;
  };

  // Deploy and monitor: is n8n well, and if not, restart it.
  const status = async () => (await call('services_health', { service_id: 'n8n' })).services[0].status;
  const before = await status();
  const restarted = await call('services_restart', { service_id: 'n8n' });
  let after = await status();
  for (let look = 0; look < 20 && after !== 'healthy'; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    after = await status();
  }

  // Planning from data.
  const { kpis } = await call('analytics_kpis');
  const pipeline = await call('crm_pipeline_status');
  const support = await call('support_metrics', { period: 'week' });
  const bot = await call('bots_analytics', { bot_id: 'main', period: 'week' });

  // Generate and deploy a workflow.
  const generated = await call('generate_n8n_workflow', {
    description: 'Backup smarteros database daily at 2am',
    services: ['postgresql', 'aws-s3'],
  });
  const created = await call('workflows_create', {
    name: `Daily DB Backup (${mode})`,
    workflow_json: generated.workflow_json,
    tags: ['backup', 'automation'],
  });
  const triggered = await call('workflows_trigger', { workflow_id: created.workflow_id });
  let execution = await call('workflows_status', { execution_id: triggered.execution_id });
  for (let look = 0; look < 40 && execution.status === 'running'; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    execution = await call('workflows_status', { execution_id: triggered.execution_id });
  }
  await client.close();
  const told = {
    era: client.getProtocolEra?.() ?? mode,
    calls: steps.length,
    service: { before, restarted: restarted.new_status, after },
    plan: {
      revenue_mtd: kpis.revenue_mtd,
      conversion_rate: kpis.conversion_rate,
      in_negotiation: pipeline.by_stage.find((stage) => /negocia|negotia/i.test(stage.stage))?.value ?? null,
      satisfaction_score: support.satisfaction_score,
      avg_resolution_hours: support.avg_resolution_time / 3600,
      completion_rate: bot.completion_rate,
    },
    workflow: { source: generated.source, active: created.active, status: execution.status },
  };
  process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit(0));
});
