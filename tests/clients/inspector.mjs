// Lists the tools and calls one with the MCP inspector's command line, in the era named by the argument.
import { once } from 'node:events';
import { collect, fail, parse, report, run, settings, start } from './common.mjs';

const TOOL_SAID_ERROR = 5;
const call = settings(['legacy', 'modern']);

run(async () => {
  const { tools } = await inspect('tools/list');
  const result = await inspect('tools/call', '--tool-name', call.tool, '--tool-args-json', JSON.stringify(call.arguments));
  report('inspector', call.mode, tools, result);
});

async function inspect(method, ...more) {
  const header = call.token ? ['--header', `Authorization: Bearer ${call.token}`] : [];
  const child = start('@modelcontextprotocol/inspector/clients/launcher/build/index.js', [
    '--cli', '--server-url', call.url, '--transport', 'http', '--protocol-era', call.mode, '--stored-auth-only',
    '--format', 'json', ...header, '--method', method, ...more,
  ]);
  const [out, err] = [collect(child.stdout), collect(child.stderr)];
  const [code, signal] = await once(child, 'close');
  const answered = code === 0 || (code === TOOL_SAID_ERROR && out.text !== '');
  if (!answered) fail(`inspector ${method} ended with ${code ?? signal}: ${err.text.trim()}`);
  return parse(out.text, `what the inspector printed for ${method}`).result;
}
