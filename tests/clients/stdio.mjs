// Speaks to a gateway by `smartermcp stdio`, started by the official TypeScript client as a host starts it, in the era of the argument:
// lists, calls with progress, calls twice at once, cancels, and meets a wrong token. Prints one line of JSON.
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { fail, run } from './common.mjs';

const modes = { legacy: 'legacy', modern: { pin: '2026-07-28' }, auto: 'auto' };
const [mode] = process.argv.slice(2);
const { MCP_COMMAND: command, SMARTERMCP_ENDPOINT, SMARTERMCP_API_TOKEN, SMARTERMCP_TENANT_ID } = process.env;
if (!(mode in modes) || !command) fail('usage: MCP_COMMAND=… SMARTERMCP_…=… stdio.mjs legacy|modern|auto');

run(async () => {
  const client = await connect({ SMARTERMCP_ENDPOINT, SMARTERMCP_API_TOKEN, SMARTERMCP_TENANT_ID });
  const { tools } = await client.listTools();

  const progress = [];
  const onprogress = (told) => progress.push(told.progress);
  await client.callTool({ name: 'test_count_up', arguments: { to: 3 } }, { onprogress });

  const dawdle = (millis, options) => client.callTool({ name: 'test_dawdle', arguments: { millis } }, options);
  const answers = await Promise.all([dawdle(200), dawdle(200)]);

  const patience = new AbortController();
  setTimeout(() => patience.abort(), 200);
  const cancelled = await dawdle(60_000, { signal: patience.signal }).then(() => false, () => true);
  await client.listTools();
  const era = client.getProtocolEra();
  await client.close();

  const refused = await connect({ SMARTERMCP_ENDPOINT, SMARTERMCP_API_TOKEN: 'smcp_no-token-of-ours' }).then(
    () => 'nobody was refused',
    (error) => String(error),
  );
  const line = {
    era,
    tools: tools.map((tool) => tool.name),
    progress,
    at_once: answers.map((answer) => answer.structuredContent.said),
    cancelled,
    refused,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));
});

async function connect(env) {
  const transport = new StdioClientTransport({ command, args: ['stdio'], env, stderr: 'ignore' });
  const client = new Client({ name: 'smartermcp-tests', version: '1.0.0' }, { versionNegotiation: { mode: modes[mode] } });
  await client.connect(transport);
  return client;
}
