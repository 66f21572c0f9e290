// Lists the tools and calls one with the official TypeScript client, in the era named by the argument.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { report, run, settings } from './common.mjs';

const modes = { legacy: 'legacy', modern: { pin: '2026-07-28' } };
const call = settings(Object.keys(modes));

run(async () => {
  const headers = call.token ? { Authorization: `Bearer ${call.token}` } : {};
  const transport = new StreamableHTTPClientTransport(new URL(call.url), { requestInit: { headers } });
  const client = new Client(
    { name: 'smartermcp-tests', version: '1.0.0' },
    { versionNegotiation: { mode: modes[call.mode] } },
  );
  await client.connect(transport);
  const era = client.getProtocolEra();
  if (era !== call.mode) throw new Error(`asked for ${call.mode}, got ${era}`);
  const { tools } = await client.listTools();
  const result = await client.callTool({ name: call.tool, arguments: call.arguments });
  await client.close();
  report('typescript', era, tools, result);
});
